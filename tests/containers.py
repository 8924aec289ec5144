"""All that may hold texts, and all doors that take some: each door has to read each container alike."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

TEXTS = ["i loved this film", "what a terrible dinner"]
DF = pd.DataFrame({"label": ["pos", "neg"], "text": TEXTS, "year": [3, 4]}, index=[7, 5])

SEVERAL = {
    "list": lambda: list(TEXTS), "tuple": lambda: tuple(TEXTS), "array": lambda: np.array(TEXTS),
    "object array": lambda: np.array(TEXTS, dtype=object), "array of one column": lambda: np.array(TEXTS)[:, None],
    "Series": lambda: DF["text"], "category": lambda: DF["text"].astype("category"),
    "string dtype": lambda: DF["text"].astype("string"), "Index": lambda: pd.Index(TEXTS),
    "iterator": lambda: iter(TEXTS), "dict values": lambda: dict(enumerate(TEXTS)).values(),
    "table": lambda: DF, "table of one column": lambda: pd.DataFrame({"review": TEXTS})}
ONE = {
    "string": lambda: TEXTS[0], "numpy string": lambda: np.str_(TEXTS[0]),
    "array of one string": lambda: np.array(TEXTS[0]),
    "dict": lambda: {"text": TEXTS[0], "year": 3}, "row": lambda: DF.iloc[0]}
WRONG = {
    "number": (lambda: 3, "E101"), "nothing": (lambda: None, "E101"), "bytes": (lambda: b"a film", "E101"),
    "set": (lambda: {*TEXTS}, "E101"), "table without texts": (lambda: DF[["label", "year"]], "E102"),
    "dict without texts": (lambda: {"label": "pos", "year": 3}, "E102"),
    "two columns named text": (lambda: DF[["text", "text"]], "E102")}


def answers() -> dict[str, tuple]:
    """Each door, what it says of a list of texts, and what of a list of one; None if it takes no text alone."""
    from ulmfit_easy.all import (
        AWD_LSTM,
        BaseTokenizer,
        TextDataLoaders,
        language_model_learner,
        text_classifier_learner,
        toy_reviews,
    )

    made = []
    for is_lm, new in ((True, language_model_learner), (False, text_classifier_learner)):
        dls = TextDataLoaders.from_df(toy_reviews(40, seed=0), text_col="text", label_col="label", is_lm=is_lm, bs=8,
                                      tok_tfm=BaseTokenizer(), seq_len=10, seed=0, min_freq=1, cache_dir=False)
        made.append(new(dls, AWD_LSTM, config={"emb_sz": 8, "n_hid": 12, "n_layers": 2}, pretrained=False,
                        verbose=False))
    return {name: (ask, repr(ask(list(TEXTS))), None if name in LABELLED else repr(ask(TEXTS[:1])))
            for name, ask in doors(*made).items()}


def doors(lm, clas) -> dict[str, Callable]:
    """Every function that is given texts, by name; `lm` and `clas` are learners whose column is `text`."""
    from ulmfit_easy.all import (
        Tokenizer,
        ULMFiT,
        baseline,
        ensemble,
        evaluate_lm,
        explain,
        lm_data,
        parallel_tokenize,
        predict_with_uncertainty,
        tokenize_texts,
    )
    from ulmfit_easy.recipes.inputs import texts_of

    model = ULMFiT(verbose=False)
    model.learners_, model.classes_ = [clas], np.array(clas.dls.classes)
    tok = clas.dls.tokenizer
    options = {"min_freq": 1, "tok_tfm": tok, "valid_pct": 0.5, "seed": 0, "cache_dir": False}

    def probs(said):
        return [p.probs for p in (said if isinstance(said, list) else [said])]

    def labels(texts):
        return ["pos", "neg"] if hasattr(texts, "__len__") else iter(["pos", "neg"])

    return {
        "predict": lambda texts: probs(clas.predict(texts)),
        "test_dl": lambda texts: clas.dls.test_dl(texts).ids.docs,
        "predict_with_uncertainty": lambda texts: probs(predict_with_uncertainty(clas, texts, 2, seed=0)),
        "ensemble": lambda texts: ensemble([clas, clas], texts),
        "explain": lambda texts: [*map(str, said if isinstance(said := explain(clas, texts), list) else [said])],
        "LMLearner.predict": lambda texts: np.atleast_1d(lm.predict(texts, 2, top_k=1)).tolist(),
        "logprob": lambda texts: said if isinstance(said := _read(lm.logprob(texts)), list) else [said],
        "evaluate_lm": lambda texts: evaluate_lm(lm, texts),
        "Tokenizer.pipe": lambda texts: list(tok.pipe(texts)),
        "tokenize_texts": partial(tokenize_texts, n_workers=0, tok=tok),
        "parallel_tokenize": lambda texts: list(parallel_tokenize(texts, Tokenizer(tok.tok), n_workers=0)),
        "ULMFiT.predict_proba": model.predict_proba,
        "ULMFiT.fit": texts_of,  # its first step
        "baseline": lambda texts: baseline(texts, labels(texts)).predict_proba(TEXTS),
        "lm_data": lambda texts: lm_data(texts, **options).text_vocab.itos,
    }


LABELLED = {"ULMFiT.predict_proba", "ULMFiT.fit", "baseline", "lm_data"}  # one answer a row: no text alone


def _read(scores):
    return scores if isinstance(scores, tuple | list) else list(scores)

