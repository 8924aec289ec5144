"""Questions that are answered by spans of their context."""

import json
import math
import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hf_toys import save_bert

from ulmfit_easy.all import (
    AWD_QRNN,
    BaseTokenizer,
    SpanExactMatch,
    SpanF1,
    SpanLoss,
    SpanPrediction,
    TextDataLoaders,
    Tokenizer,
    Transformer,
    accuracy,
    load_learner,
    load_predictor,
    read_squad,
    set_seed,
    squad_score,
    text_classifier_learner,
)
from ulmfit_easy.data.targets.span import CLS, NULL, SpanTarget
from ulmfit_easy.errors import ArgumentError, LabelError
from ulmfit_easy.text.hf import HFTokenizer

os.environ["HF_HUB_OFFLINE"] = "1"
NAMES, CITIES = ("Anna", "Bert", "Kuechly"), ("Oslo", "New York", "서울")


def row(name, city, asked):
    context = f"Last year {name}, so they say, moved to {city}. (It is far.)"
    said = {"Who?": name, "Where?": city}.get(asked)
    answers = [] if said is None else [{"text": said, "answer_start": context.index(said)}]
    return {"question": asked, "context": context, "answers": answers}


DF = pd.DataFrame([row(*each) for _ in range(2) for name in NAMES for city in CITIES
                   for each in [(name, city, "Who?"), (name, city, "Where?"), (name, city, "When?")]])
PAIRS = list(zip(DF["question"], DF["context"], strict=True))


def loaders(df=DF, **kwargs):
    options = dict(text_col=["question", "context"], label_col="answers", y_block="span", bs=9, seed=0, valid_pct=0.25,
                   cache_dir=False, min_freq=1)
    return TextDataLoaders.from_df(df, **{**options, **kwargs})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small BERT with pieces of its own, as `save_pretrained` writes it."""
    pytest.importorskip("transformers", reason="needs transformers: pip install -e '.[hf]'")
    return save_bert(tmp_path_factory.mktemp("bert"), texts=[*DF["context"], *DF["question"]], vocab_size=150,
                     hidden_size=32, intermediate_size=32, max_position_embeddings=20, initializer_range=0.2)


@pytest.fixture(scope="module", params=["QRNN and rules", "BERT in windows"])
def learn(request, tmp_path_factory):
    options, path = dict(drop_mult=0, verbose=False, metrics=[SpanExactMatch, SpanF1]), tmp_path_factory.mktemp("spans")
    set_seed(0)
    if request.param == "QRNN and rules":
        dls, lr, epochs = loaders(path=path, bs=4), 4e-3, 20  # an LSTM learns it with some seeds only
        learn = text_classifier_learner(dls, AWD_QRNN, config=dict(emb_sz=64, n_hid=128, n_layers=2), pretrained=False,
                                        head_config=dict(n_hid=64), **options)
    else:
        folder = request.getfixturevalue("folder")
        dls, lr, epochs = loaders(pretrained=folder, path=path), 5e-3, 24
        assert dls.train.lengths.min() > 20  # positions
        learn = text_classifier_learner(dls, Transformer, pretrained=folder, **options)
    learn.before = learn.validate()[0]
    learn.unfreeze()
    for _ in range(6):  # until it is certain, whatever this processor rounds
        learn.fit_one_cycle(epochs, lr)
        if learn.validate()[0] < 0.1:
            break
    return learn


def test_questions_are_answered_by_what_stands_in_the_context(learn):
    found = learn.predict(DF[["question", "context"]])
    assert squad_score(found, DF["answers"]).f1 > 0.9
    assert all(context[start:end] == answer for context, (answer, start, end, _)
               in zip(DF["context"], found, strict=True))
    assert {answer for answer, *_ in found} >= {"Kuechly", "New York", "서울", ""}


def test_the_metrics_of_a_fit_are_those_of_tokens(learn):
    loss, exact, f1 = learn.validate()
    assert loss < learn.before / 2 and 0.8 < exact <= f1 <= 1


def test_a_prediction_is_the_same_in_any_batch(learn):
    for pair, (answer, start, end, score) in zip(PAIRS[:9], learn.predict(PAIRS[:9]), strict=True):
        alone = learn.predict(pair)
        assert alone[:3] == (answer, start, end) and alone.score == pytest.approx(score, abs=1e-4)
        assert 0 <= score <= 1 and repr(alone).startswith(f"SpanPrediction(answer={answer!r}")


@pytest.mark.parametrize("load", [load_learner, load_predictor])
def test_a_model_of_answers_is_exported_and_loaded(learn, load, tmp_path):
    learn.dls.target.max_answer = 7
    try:
        loaded = load(learn.export(tmp_path / "model"))
    finally:
        learn.dls.target.max_answer = 30
    assert loaded.predict(PAIRS[4]).answer == learn.predict(PAIRS[4]).answer
    assert getattr(loaded, "dls", loaded.predictor).prepare.target.config() == {"max_answer": 7, "null_threshold": 0.0}


def test_a_threshold_asks_for_answers_or_for_none(learn):
    target = learn.dls.target
    assert target.null_threshold == 0
    for threshold, expected in ((None, {True}), (1e4, {False})):
        target.null_threshold = threshold
        assert {bool(answer) for answer, *_ in learn.predict(PAIRS)} == expected
    target.null_threshold = 0.0


def test_batches_and_results_show_the_words_of_answers(learn, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    learn.dls.show_batch(3)
    learn.show_results(dl=learn.dls.test_dl(DF[18:21], with_labels=True), shuffle=False)  # of Kuechly
    out = capsys.readouterr().out.lower()
    assert "answer" in out and "predicted" in out and out.count("kuechly") > out.count("kuechly ,") > 0


def test_new_texts_are_validated_with_their_answers(learn):
    dl = learn.dls.test_dl(DF, with_labels=True)
    assert learn.validate(dl=dl)[1] > 0.8


@pytest.mark.filterwarnings("ignore:a text without a known word")
@pytest.mark.parametrize("pair", [("", ""), ("Who?", "")])
def test_a_context_without_words_has_no_answer(learn, pair):
    assert learn.predict(pair) == ("", 0, 0, pytest.approx(1.0))


def test_an_answer_has_no_blanks_around_it():
    places = np.array([[-1, -1, -1], [0, 3, 0], [0, 2, 1], [2, 8, 1], [8, 9, 1]])  # pieces of GPT-2 begin with a blank
    logits = torch.zeros(5, 2)
    logits[3], logits[2, 0] = 9, -9
    asked = SimpleNamespace(prepare=SimpleNamespace(target=SpanTarget()))
    found = SpanPrediction.at_places(asked, logits, places, ("Who", "In  Oslo."))
    assert found[:3] == ("Oslo", 4, 8) and found.score > 0.99


def test_the_best_span_is_short_ordered_and_in_the_context():
    logits, context = np.zeros((6, 2)), np.array([False, False, True, True, True, True])
    logits[[5, 3], [0, 1]] = 9  # it ends before it starts
    logits[1] = 99              # of the question
    logits[2, 0], logits[4, 1] = 4, 3
    assert SpanTarget().best(logits, context) == (2, 3)
    assert SpanTarget(max_answer=1).best(logits, context) == (3, 3)
    logits[0] = 7               # no answer: 14, the best answer 13
    assert SpanTarget().best(logits, context) == (2, 3)
    assert SpanTarget(null_threshold=0).best(logits, context) == NULL
    assert SpanTarget(null_threshold=-1.5).best(logits, context) == (2, 3)
    assert SpanTarget().best(logits, np.zeros(6, bool)) == NULL


def test_the_loss_is_the_mean_of_two_cross_entropies_over_the_tokens_of_the_context():
    pred = torch.randn(2, 5, 2)
    y = torch.tensor([[4, -100, 0, 1, 2], [4, -100, 0, 0, -100]], dtype=torch.int8)
    logp = [(rows[y[i] >= 0].log_softmax(0)) for i, rows in enumerate(pred)]
    expected = -(logp[0][2, 0] + logp[0][3, 1] + logp[1][0].sum()) / 4
    assert SpanLoss()(pred, y) == pytest.approx(expected.item(), abs=1e-6)
    assert math.isfinite(SpanLoss()(pred.bfloat16(), y))


@pytest.mark.parametrize(("ours", "theirs", "exact", "f1"), [
    ((3, 4), (3, 4), 1, 1), ((3, 4), (4, 7), 0, pytest.approx(1 / 3)), ((3, 3), (4, 4), 0, 0), (NULL, NULL, 1, 1),
    (NULL, (3, 3), 0, 0), ((3, 3), NULL, 0, 0)])
def test_spans_are_compared_by_their_tokens(ours, theirs, exact, f1):
    assert (SpanExactMatch().measure(ours, theirs), SpanF1().measure(ours, theirs)) == (exact, f1)


def test_labels_of_the_library_datasets_are_read_too():
    theirs = DF.assign(answers=[{"text": np.array([each["text"] for each in cell], dtype=object),
                                 "answer_start": np.array([each["answer_start"] for each in cell], dtype=int)}
                                for cell in DF["answers"]])
    for ours, other in zip(loaders().train_ds, loaders(theirs).train_ds, strict=True):
        assert torch.equal(ours[1], other[1])


def test_korean_answers_are_found_inside_words(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    context, said = "한글은 1443년에 세종대왕이 서울에서 만들었다.", ("세종대왕", "1443년", "서울")
    asked = [{"id": str(i), "question": "누가 언제 어디에서?", "answers": [
        {"text": text, "answer_start": context.index(text)}]} for i, text in enumerate(said * 2)]
    (tmp_path / "KorQuAD.json").write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": asked}]}]}))
    own = tokenizers.BertWordPieceTokenizer()  # it splits syllables into letters, and each word here into pieces
    own.train_from_iterator([context], vocab_size=30, show_progress=False)
    own._tokenizer.save(str(tmp_path / "tokenizer.json"))
    roles = {f"{role}_token": f"[{role.upper()}]" for role in ("unk", "pad", "cls", "sep")}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(roles))
    tokenizer = Tokenizer(HFTokenizer(tmp_path), rules=[], post_rules=[])
    df = read_squad(tmp_path / "KorQuAD.json")
    dls = loaders(df, tok_tfm=tokenizer, valid_col=None, splitter=lambda rows: ([0, 1, 2, 3], [4, 5]))
    [found] = tokenizer.pipe([(df["question"][0], context)], where="chars")
    for (_, y), answer in zip([*dls.train_ds, *dls.valid_ds], said * 2, strict=True):
        first, last = dls.decode(y)
        assert context[found.words[first][0]:found.words[last][1]] == answer


def test_accuracy_is_no_metric_of_answers():
    with pytest.raises(ArgumentError, match="E603.*accuracy.*SpanF1"):
        accuracy(torch.zeros(1, 4, 2), torch.tensor([[4, 0, 3, -100]], dtype=torch.int8))


def changed(i, answers):
    return DF.assign(answers=[answers if j == i else cell for j, cell in enumerate(DF["answers"])])


@pytest.mark.parametrize(("df", "kwargs", "error", "said"), [
    (changed(4, [{"text": "Oslo", "answer_start": 1}]), {}, LabelError, r"E207.*`answer_start`, row 4\b.*df\.drop"),
    (changed(4, [{"text": " ", "answer_start": 4}]), {}, LabelError, r"E207.*`answer_start`, row 4\b"),
    (changed(5, "Oslo"), {}, LabelError, r"E207.*no answers, row 5\b.*read_squad"),
    (changed(5, [{"text": "Oslo"}]), {}, LabelError, r"E207.*no answers, row 5\b"),
    (changed(5, None), {}, LabelError, r"E202.*row 5\b"),
    (DF, dict(label_col=["answers", "question"]), LabelError, "E207.*2 label columns"),
    (DF, dict(backwards=True), ArgumentError, "E603.*backwards=False"),
], ids=["not there", "blank", "a string", "no start", "missing", "two columns", "backwards"])
def test_labels_that_are_no_answers_are_refused(df, kwargs, error, said):
    with pytest.raises(error, match=said):
        loaders(df, tok_tfm=Tokenizer(BaseTokenizer(), rules=[]), **kwargs)


def test_data_in_which_each_question_has_an_answer_ask_for_no_threshold():
    answered = DF[DF["answers"].map(bool)].reset_index(drop=True)
    dls = loaders(answered)
    assert dls.target.null_threshold is None
    y = dls.train_ds[0][1]
    assert dls.decode(y) != NULL and y[0] == CLS
