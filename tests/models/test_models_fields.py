"""Heads over texts of several columns: what they read, and what they make of it."""

from itertools import permutations

import pandas as pd
import pytest
import torch

from ulmfit_easy.all import (
    AWD_LSTM,
    AuxiliaryLM,
    BaseTokenizer,
    TextDataLoaders,
    Tokenizer,
    accuracy,
    explain,
    load_predictor,
    text_classifier_learner,
)
from ulmfit_easy.errors import ArgumentError, TrainingError
from ulmfit_easy.models.heads.fields import ChoiceHead, SiameseHead, SimilarityHead
from ulmfit_easy.models.heads.pooling import masked_concat_pool

PAD, BOS, SEP, FLD = 0, 2, 3, 4
NAMES = ["anna", "bert", "oslo", "rome", "sea"]
PAIRS = [(f"{a} sees {b}", f"{c} sees {d}") for a, b in permutations(NAMES, 2) for c, d in [(b, a), (b, b)]]
ROWS = pd.DataFrame({"a": [a for a, _ in PAIRS], "b": [b for _, b in PAIRS],
                     "label": [{*a.split()} == {*b.split()} for a, b in PAIRS]})


class Parts:
    """Stands for an encoder of width 2."""

    width = 2


def head_of(kind, **tokens):
    return kind.built(Parts, 3, {"output_p": 0.0, "pad_token": PAD, "bos_token": BOS, **tokens})


MARKED = {"fld_token": FLD}, [2, 4, 11, 7, 7, 4, 12, 8, 4, 13, 4, 14, 9], {
    (0,): [2, 4, 11, 7, 7], (1,): [2, 4, 11, 8], (0, 1): [2, 4, 11, 7, 7, 4, 12, 8],
    (1, 0): [2, 4, 11, 8, 4, 12, 7, 7], (0, 2): [2, 4, 11, 7, 7, 4, 12], (0, 3): [2, 4, 11, 7, 7, 4, 12, 9]}
ENDED = {"sep_token": SEP}, [2, 7, 7, 3, 8, 3, 3, 9, 3], {
    (0,): [2, 7, 7, 3], (1,): [2, 8, 3], (0, 1): [2, 7, 7, 3, 8, 3], (1, 0): [2, 8, 3, 7, 7, 3],
    (0, 2): [2, 7, 7, 3, 3], (0, 3): [2, 7, 7, 3, 9, 3]}
ONE_MARK = {"sep_token": SEP, "bos_token": SEP}, [7, 7, 3, 8, 3, 3, 9, 3], {
    (0,): [7, 7, 3], (1,): [8, 3], (0, 1): [7, 7, 3, 8, 3], (1, 0): [8, 3, 7, 7, 3], (0, 2): [7, 7, 3, 3],
    (0, 3): [7, 7, 3, 9, 3]}


@pytest.mark.parametrize("tokens, row, texts", [MARKED, ENDED, ONE_MARK], ids=["xxfld", "[SEP]", "GPT"])
@pytest.mark.parametrize("kind, n", [(SiameseHead, 2), (SimilarityHead, 2), (ChoiceHead, 4)])
def test_the_texts_that_are_read_are_made_of_the_fields(kind, n, tokens, row, texts):
    head = head_of(kind, **tokens)
    if n == 2:  # the first two fields alone
        row = row[:len(texts[0, 1])]
    ids, lengths = torch.tensor([row + [PAD], row + [9]]), torch.tensor([len(row), len(row)])
    found, n_tokens = head.arranged(ids, lengths)
    expected = [texts[order] for order in head.orders()] * 2
    assert [text[:n].tolist() for text, n in zip(found, n_tokens, strict=True)] == expected
    assert (found.where(torch.arange(found.shape[1]) >= n_tokens[:, None], PAD) == PAD).all()


def learner(path=".", df=ROWS, head="SiameseHead", **kwargs):
    torch.manual_seed(0)
    dls = TextDataLoaders.from_df(df, path, text_col=[c for c in df if c != "label"], label_col="label", bs=8, seed=0,
                                  tok_tfm=Tokenizer(BaseTokenizer(), rules=[]), min_freq=1, cache_dir=False)
    return text_classifier_learner(dls, AWD_LSTM, config=dict(emb_sz=8, n_hid=12, n_layers=1), drop_mult=0,
                                   pretrained=False, verbose=False, head=head, metrics=accuracy,
                                   precision="fp32", **kwargs)


@pytest.mark.parametrize("head", ["SiameseHead", "SimilarityHead"])
def test_a_head_over_pairs_learns_answers_alike_in_any_batch_and_is_saved(head, tmp_path):
    learn = learner(tmp_path, head=head)
    before = learn.validate(dl=learn.dls.train)[0]
    learn.fit_one_cycle(6, 0.05, cbs=AuxiliaryLM(0.01))
    assert learn.validate(dl=learn.dls.train)[0] < before
    together = learn.predict(PAIRS[:5])
    loaded = load_predictor(learn.export())
    for pair, found in zip(PAIRS, together, strict=False):
        torch.testing.assert_close(loaded.predict(pair).probs, found.probs)


def test_similarity_does_not_depend_on_the_order():
    learn = learner(head="SimilarityHead")
    for (a, b), found in zip(PAIRS[:5], learn.predict(PAIRS[:5]), strict=True):
        torch.testing.assert_close(learn.predict((b, a)).probs, found.probs)


def test_two_sentences_are_read_alone():
    learn = learner()
    model, ids = learn.model.eval(), torch.from_numpy(next(iter(learn.dls.tokenizer.ids([PAIRS[0]])))).long()[None]
    texts, lengths = model.head.arranged(ids, torch.tensor([ids.shape[1]]))
    states = [model[0](text[None, :n], torch.tensor([n])) for text, n in zip(texts, lengths.tolist(), strict=True)]
    u, v = (masked_concat_pool(read.raw, read.mask) for read in states)
    expected = model.head.layers(torch.cat([u, v, (u - v).abs(), u * v], 1))
    torch.testing.assert_close(model(ids, torch.tensor([ids.shape[1]])).logits, expected)


def test_an_explanation_leaves_the_marks_between_fields():
    found = explain(learner(head="SimilarityHead"), PAIRS[0])
    scores = {token == "xxfld": score for token, score in zip(found.tokens, found.scores, strict=True)}
    assert scores[True] == 0 and scores[False] != 0
    with pytest.raises(TrainingError, match="E506.*SiameseHead"):
        explain(learner(), PAIRS[0], method="gradients")


def test_choices_are_scored_with_the_context(tmp_path):
    rows = [(f"who is with {a}", *choices, "ABC"[choices.index(a)]) for choices in permutations(NAMES[:3])
            for a in choices]
    df = pd.DataFrame(rows, columns=["context", "first", "second", "third", "label"])
    learn = learner(tmp_path, df, "ChoiceHead")
    learn.fit(1, 0.05)
    text = ("who is with anna", "rome", "anna", "bert")
    found, other = learn.predict(text), learn.predict((text[0], *text[:0:-1]))
    torch.testing.assert_close(other.probs, found.probs.flip(0))  # a choice has its score in any place
    assert learn.dls.classes == ["A", "B", "C"] and found.probs.sum() == pytest.approx(1)


@pytest.mark.parametrize("df, head, said", [
    (ROWS.drop(columns="b"), "SiameseHead", "0 fields for SiameseHead.*2 fields"),
    (ROWS.assign(c="oslo"), "SimilarityHead", "3 fields for SimilarityHead"),
    (ROWS, "ChoiceHead", "2 fields for ChoiceHead.*3 fields")], ids=["one", "three", "choices"])
def test_another_number_of_fields_is_e603(df, head, said):
    with pytest.raises(ArgumentError, match=f"E603.*{said}.*text_col"):
        learner(df=df, head=head).fit(1)


def test_a_text_that_is_read_backwards_is_e603():
    with pytest.raises(ArgumentError, match="E603.*backwards"):
        head_of(SiameseHead, **MARKED[0]).arranged(torch.tensor([[8, 12, 4, 7, 11, 4, 2]]), torch.tensor([7]))
