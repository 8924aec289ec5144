"""Write the artefacts of this version, and what they answer: `make_artefacts.py NAME` makes `artefacts/NAME`.

To be run once for each release, with a name of its own. What it wrote is never written again: the test beside it
loads every folder there is, and each must go on giving the answers of its day.
"""

import json
import sys
from pathlib import Path

import torch

from ulmfit_easy.all import (
    AWD_LSTM,
    MSELossFlat,
    TextDataLoaders,
    language_model_learner,
    load_learner,
    set_seed,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.bundle.record import versions

HERE = Path(__file__).parent / "artefacts"
SIZES = {"emb_sz": 6, "n_hid": 8, "n_layers": 2}
TEXTS = ["The soup was really lovely.", "what a BROKEN phone !", "", "my sister hated hated hated hated the plot :-(",
         "Zebras &amp; unknown words, 3.5 of them; http://example.com", "not bad at all " * 30]


def labelled():
    """Reviews with a class, with several, and with a number."""
    df = toy_reviews(120, seed=0)
    return df.assign(several=df["label"] + ";" + df["topic"], stars=(df["label"] == "pos") * 4.0 + 1)


def learners() -> dict:
    """One learner of each kind, trained a little, by the name of its folder."""
    df, common = labelled(), {"text_col": "text", "bs": 16, "seed": 0, "min_freq": 6}
    options = {"config": SIZES, "pretrained": False, "verbose": False}
    lm = language_model_learner(TextDataLoaders.from_df(df, is_lm=True, seq_len=10, **common), AWD_LSTM, **options)

    def classifier(**labels):
        dls = TextDataLoaders.from_df(df, text_vocab=lm.dls.vocab, **labels, **common)
        return text_classifier_learner(dls, AWD_LSTM, seq_len=10, **options)

    made = {"language_model": lm, "classifier": classifier(label_col="label"),
            "multilabel": classifier(label_col="several", label_delim=";"),
            "regression": classifier(label_col="stars", y_block="regression")}
    made["regression"].loss_func = MSELossFlat()
    for learn in made.values():
        learn.fit_one_cycle(6, 2e-2)
    return made


def answers(learn) -> dict:
    """The tokens of some texts, and what a learner says of each."""
    with torch.no_grad():
        if learn.dls.task == "lm":
            said = [{"logprob": score.logprob, "perplexity": score.perplexity} for score in learn.logprob(TEXTS[:2])]
        else:
            said = [{"label": p.label, "probs": p.probs.tolist()} for p in learn.predict(TEXTS)]
    return {"tokens": [" ".join(learn.dls.tokenizer(text)) for text in TEXTS], "said": said}


def main(name: str):
    place = HERE / name
    place.mkdir(parents=True)
    set_seed(0)
    expected = {"made_with": versions(), "texts": TEXTS}
    for kind, learn in learners().items():
        folder = learn.export((place / kind).absolute(), half=kind != "language_model")
        for card in ("README.md", "training.json"):
            (folder / card).unlink()
        expected[kind] = answers(load_learner(folder))
    (place / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
