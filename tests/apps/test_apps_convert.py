"""`ulmfit convert`: a checkpoint of another library becomes a folder that every door of this one takes."""

import importlib
import tarfile
from pathlib import Path

import pytest
import torch

from ulmfit_easy.all import AWD_LSTM, TextDataLoaders, language_model_learner, load_learner, text_classifier_learner
from ulmfit_easy.apps.parser import parser
from ulmfit_easy.bundle.artefact import load_bundle
from ulmfit_easy.bundle.foreign import load_foreign
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.files import sha256_file

SIZES = {"emb_sz": 6, "n_hid": 10, "n_layers": 3}


@pytest.fixture
def files(monkeypatch):
    """The builders of checkpoints, which live with the tests of `bundle`."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "bundle")
    return importlib.import_module("foreign_files")


def run(*args):
    args = parser().parse_args(["convert", *map(str, args)])
    args.parser.command.run(args)


@pytest.mark.parametrize("layout", ["fastai_07", "fastai_1", "fastai_1_early", "fastai_2", "multifit", "multifit_old"])
def test_every_layout_becomes_a_bundle_that_predicts(layout, files, tmp_path, capsys):
    file, out = getattr(files, layout)(tmp_path / "theirs"), tmp_path / "made" / "ours"
    run(tmp_path / "theirs", out, *(["--forwards"] if file.backwards is None else []))
    told = capsys.readouterr().out
    assert told.count("\n") == 1 and told.endswith(f"Next: ulmfit train FILE --pretrained {out}\n")
    theirs, ours = load_foreign(file.path), load_bundle(out)
    assert ours.vocab == theirs.vocab and ours.config["text"]["backwards"] is False
    assert all(torch.equal(ours.weights[k], v) for k, v in theirs.weights.items())
    learn = load_learner(out)
    assert len(learn.dls.text_vocab) == len(theirs.vocab)
    if learn.dls.tokenizer.config()["tok"]["name"] == "SpacyTokenizer":  # those of MultiFiT need their own pieces
        assert learn.predict("The film was", n_words=5, seed=0).startswith("The film was ")


def test_both_kinds_of_learners_start_from_it(files, tmp_path):
    file = files.fastai_1(tmp_path / "theirs")
    run(file.path, tmp_path / "ours")
    df = toy_reviews(n=60, seed=0)
    for is_lm, build in [(True, language_model_learner), (False, text_classifier_learner)]:
        labels = {} if is_lm else {"label_col": "label"}
        dls = TextDataLoaders.from_df(df, text_col="text", is_lm=is_lm, bs=8, seq_len=10, min_freq=1, **labels)
        learn = build(dls, AWD_LSTM, config=SIZES, pretrained=tmp_path / "ours")
        known = set(dls.text_vocab) & set(file.words) - {"xxfake"}
        assert learn.n_matched == len(known) > 15
        row = learn.encoder.state_dict()["encoder.weight"][dls.text_vocab.stoi["the"]]
        assert torch.equal(row, file.state["0.encoder.weight"][file.words.index("the")])


def test_a_card_tells_where_it_came_from(files, tmp_path):
    file = files.fastai_1(tmp_path / "theirs", "lstm_bwd.pth")
    run(tmp_path / "theirs", tmp_path / "ours")
    card = (tmp_path / "ours" / "README.md").read_text(encoding="utf-8")
    assert "lstm_bwd.pth" in card and sha256_file(file.path) in card and "licence applies" in card
    assert "AWD_LSTM, emb_sz 6, n_hid 10, n_layers 3" in card and "backwards" in card and "43 words" in card
    with tarfile.open(tmp_path / "wt103-bwd.tgz", "w:gz") as tar:
        tar.add(tmp_path / "theirs", "wt103-bwd")
    run(tmp_path / "wt103-bwd.tgz", tmp_path / "again")
    card = (tmp_path / "again" / "README.md").read_text(encoding="utf-8")
    assert "wt103-bwd.tgz" in card and sha256_file(tmp_path / "wt103-bwd.tgz") in card


def test_the_direction_comes_from_names_or_from_the_user_but_never_from_a_guess(files, tmp_path, capsys):
    files.fastai_1_early(tmp_path / "unknown")
    files.fastai_1(tmp_path / "known", "lstm_bwd.pth")
    with pytest.raises(ArgumentError, match="E603.*--forwards"):
        run(tmp_path / "unknown", tmp_path / "x")
    with pytest.raises(ArgumentError, match="E603.*--backwards, as its name says"):
        run(tmp_path / "known", tmp_path / "x", "--forwards")
    assert not (tmp_path / "x").exists()
    for i, (source, flags) in enumerate([("unknown", ["--backwards"]), ("known", []), ("known", ["--backwards"])]):
        run(tmp_path / source, tmp_path / f"{i}", *flags)
        assert load_learner(tmp_path / f"{i}").dls.backwards is True
        assert capsys.readouterr().out.endswith("--backwards\n")


def test_the_tokenizer_has_the_language_asked_for_or_the_pieces_of_the_original(files, tmp_path):
    from ulmfit_easy.text.subword import SentencePieceTokenizer

    run(files.fastai_1(tmp_path / "v1").path, tmp_path / "de", "--lang", "de")
    assert load_learner(tmp_path / "de").dls.tokenizer.tok.lang == "de"
    texts = [" ".join(files.WORDS[i % 5:]) for i in range(200)]
    model = SentencePieceTokenizer(vocab_sz=60).setup(texts).model
    place = files.fastai_ulmfit(tmp_path / "dewiki").path.parent
    (tmp_path / "dewiki" / "spm" / "spm.model").write_bytes(model)
    run(place, tmp_path / "pieces")
    learn = load_learner(tmp_path / "pieces")
    tokens = learn.dls.tokenizer("The film")
    assert tokens[:2] == ["xxbos", "xxmaj"] and "".join(tokens[2:]) == "▁the▁film"
    assert learn.dls.backwards is True and load_bundle(tmp_path / "pieces").vocab == learn.dls.text_vocab


def test_a_word_list_elsewhere_can_be_named(files, tmp_path):
    file = files.fastai_1(tmp_path / "theirs")
    words = (tmp_path / "theirs" / "itos_wt103.pkl").rename(tmp_path / "words.pkl")
    with pytest.raises(FileError, match="E404"):
        run(file.path, tmp_path / "ours")
    run(file.path, tmp_path / "ours", "--words", words)
    assert load_bundle(tmp_path / "ours").vocab[9:] == files.WORDS


def test_an_encoder_alone_is_no_language_model(files, tmp_path):
    file = files.fastai_ulmfit(tmp_path / "theirs")
    with pytest.raises(FileError, match="E402.*pretrained="):
        run(file.path.with_name("lm_encoder.pth"), tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_nothing_else_is_overwritten(files, tmp_path):
    file = files.fastai_1(tmp_path / "theirs")
    with pytest.raises(FileError, match="E412"):
        run(file.path, tmp_path / "theirs")
    assert file.path.exists() and len(list((tmp_path / "theirs").iterdir())) == 2
