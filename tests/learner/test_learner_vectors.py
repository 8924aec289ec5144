"""Word vectors in an embedding: as a start, frozen, or slow; for a classifier and for a language model."""

import numpy as np
import pytest
import torch
from learner_toys import classifier, lm, text_dls

from ulmfit_easy.all import WordVectors
from ulmfit_easy.errors import ArgumentError, FileError

SIZE = 8


def vectors_of(learn, but=()):
    """Return vectors of the words of a learner, and of words that it does not have."""
    words = ["zzz", *(word for word in learn.dls.text_vocab.stoi if word not in but)]
    rng = np.random.default_rng(0)
    return WordVectors({word: i for i, word in enumerate(words)}, rng.random((len(words), SIZE), np.float32))


@pytest.mark.parametrize("make", [classifier, lm])
def test_words_start_from_their_vectors_and_others_from_the_mean(make, capsys):
    learn = make()
    vocab, rows = learn.dls.text_vocab, learn.encoder.embedding.weight
    vectors = vectors_of(learn, but=vocab[9:12])
    learn.verbose = True
    assert learn.load_vectors(vectors) is learn
    known = [word for word in vocab.stoi if word not in vocab[9:12]]
    given = vectors.of(known)[0]
    np.testing.assert_array_equal(rows[[vocab.stoi[word] for word in known]].detach(), given)
    np.testing.assert_allclose(rows[9:12].detach(), np.tile(given.mean(0), (3, 1)), atol=1e-6)
    assert "of the 306 different words in your texts start from their vectors" in capsys.readouterr().out
    assert make is classifier or learn.head.decoder.weight is rows


def test_a_file_is_read_for_the_words_of_the_data(tmp_path):
    learn = classifier()
    word = learn.dls.text_vocab[-9]
    (tmp_path / "glove.txt").write_text(f"zzz {'1 ' * SIZE}\n{word} {'0.5 ' * SIZE}\n")
    learn.load_vectors(tmp_path / "glove.txt")
    assert learn.encoder.embedding.weight[learn.dls.text_vocab.stoi[word]].tolist() == [0.5] * SIZE
    with pytest.raises(FileError, match="E404"):
        learn.load_vectors(tmp_path / "gone.txt")


@pytest.mark.parametrize(("train", "moves"), [
    (lambda learn: learn.fit(1, 1e-2), lambda embedding, rest: embedding > 1e-3 and rest > 1e-3),
    (lambda learn: learn.freeze_to(1).fit(1, 1e-2), lambda embedding, rest: embedding == 0 and rest > 1e-3),
    (lambda learn: learn.fit(1, slice(1e-5, 1e-2)), lambda embedding, rest: 0 < embedding < 1e-3 < rest),
], ids=["start", "frozen", "slow"])
def test_vectors_are_a_start_or_frozen_or_slow(train, moves):
    learn = classifier(text_dls(n=30))
    learn.load_vectors(vectors_of(learn))
    parts = [learn.encoder.embedding.weight, learn.encoder.rnns[-1].module["weight_ih_l0"]]
    before = [p.detach().clone() for p in parts]
    train(learn)
    assert moves(*(float((p - b).abs().mean()) for p, b in zip(parts, before, strict=True)))


@pytest.mark.parametrize("vectors", [WordVectors({"the": 0}, np.ones((1, 9), np.float32)),
                                     WordVectors({"zzz": 0}, np.ones((1, SIZE), np.float32))],
                         ids=["size", "words"])
def test_vectors_that_do_not_fit_are_e603(vectors):
    learn = classifier()
    before = learn.encoder.embedding.weight.detach().clone()
    with pytest.raises(ArgumentError, match=r"E603.*vectors of \d numbers for \d words.*emb_sz"):
        learn.load_vectors(vectors)
    assert torch.equal(before, learn.encoder.embedding.weight)
