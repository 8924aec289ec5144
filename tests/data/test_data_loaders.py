import inspect
import json
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.data.toy import toy_reviews, toy_texts
from ulmfit_easy.errors import ArgumentError, FileError, LabelError, TextError, TrainingError
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.subword import SentencePieceTokenizer
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer
from ulmfit_easy.text.vocab import Vocab


@pytest.fixture(scope="module")
def df():
    return toy_reviews(120, seed=0)


def loaders(df, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TextDataLoaders.from_df(df, **{"seed": 0, "bs": 8, "min_freq": 1, "seq_len": 20} | kwargs)


def texts_of(dls, dl):
    """The tokens of each text that a loader yields, joined."""
    vocab = dls.text_vocab
    return [" ".join(vocab[i] for i in ids[:n].tolist()) for batch in dl
            for ids, n in zip(batch[0], batch[1], strict=True)]


def fails(error, code, match=""):
    return pytest.raises(error, match=rf"\[{code}\](?s:.*){match}")


def test_a_table_becomes_loaders_with_everything_a_learner_asks_for(df):
    dls = loaders(df, text_col="text", label_col="label", val_bs=5, path="here")
    assert dls.classes == ["neg", "pos"] and dls.c == 2 and dls.task == "single" and dls.n_inp == 2
    assert dls.vocab == (dls.text_vocab, ["neg", "pos"]) and isinstance(dls.text_vocab, Vocab)
    assert (dls.bs, dls.valid.bs, dls.seq_len, dls.backwards, str(dls.path)) == (8, 5, 20, False, "here")
    assert dls[0] is dls.train and dls[1] is dls.valid and dls.device.type in ("cpu", "cuda")
    assert dls.train.n_rows == 96 and dls.valid.n_rows == 24
    ids, lengths, y = dls.one_batch()
    assert ids.shape == (8, int(lengths.max())) and y.dtype == torch.int64
    tokens, label = texts_of(dls, dls.valid)[0], next(iter(dls.valid))[2][0]
    row = dls.valid.rows[dls.valid.order[0]]
    assert " ".join(dls.tokenizer(df.text[row])) == tokens and dls.classes[label] == df.label[row]


def test_a_language_model_reads_the_same_table_without_labels(df):
    dls = loaders(df[["text"]], is_lm=True)
    assert dls.task == "lm" and dls.vocab == dls.text_vocab and dls.c == len(dls.vocab) and dls.n_inp == 1
    assert dls.classes is None
    x, y = dls.one_batch()
    assert x.shape == (8, 20) and torch.equal(x[:, 1:], y[:, :-1])


def test_a_given_vocabulary_tokenizer_and_rules_are_used(df):
    lm = loaders(df, is_lm=True)
    assert loaders(df, text_vocab=lm.vocab).text_vocab is lm.vocab
    assert loaders(df, text_vocab=list(lm.vocab)).text_vocab == lm.vocab
    mine = Tokenizer(BaseTokenizer(), rules=[], post_rules=[])
    assert loaders(df, tok_tfm=mine).tokenizer.config() == mine.config()
    assert mine.vocab is None
    assert loaders(df, tok_tfm=BaseTokenizer()).tokenizer("a,b c") == ["xxbos", "a,b", "c"]
    assert loaders(df, rules=[str.upper]).tokenizer("a") == ["A"]
    assert len(loaders(df, max_vocab=32).text_vocab) == 32


RUSSIAN, KOREAN = "это был очень хороший фильм {}", "정말 재미있는 영화였어요 {}"
GERMAN = "das ist nicht der Film, den ich mag {}"


@pytest.mark.parametrize(("text", "lang", "told"), [
    (KOREAN, "en", r'in Korean, but are read as English: pass lang="ko", and no'), (KOREAN, "ko", None),
    (RUSSIAN, "en", "in Cyrillic letters, but are read as English: pass lang= with the code"), (RUSSIAN, "ru", None),
    (GERMAN, "en", "in German"), (GERMAN, "de", None), (GERMAN, "da", None),  # Danish is none of those that are guessed
    ("it was a film that I did not like {}", "en", None), ("{} {}", "en", None)])
@pytest.mark.parametrize("is_lm", [True, False])
def test_texts_in_another_language_than_lang_are_noticed(text, lang, told, is_lm):
    df = pd.DataFrame({"text": [text.replace("{}", str(i)) for i in range(12)], "label": ["a", "b"] * 6})
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        TextDataLoaders.from_df(df, text_col="text", label_col="label", is_lm=is_lm, lang=lang, bs=2, seq_len=4,
                                min_freq=1, cache_dir=False, seed=0)
    found = [str(w.message) for w in found if "seem to be in" in str(w.message)]
    assert len(found) == (told is not None) and all(re.search(told, message) for message in found)


@pytest.mark.parametrize(("n_rare", "options", "is_told"), [
    (3, {}, True), (4, {}, False), (3, {"balanced": True}, False), (3, {"weights": [1.0] * 43}, False)])
def test_very_unequal_classes_are_told(n_rare, options, is_told):
    df = pd.DataFrame({"text": [f"text number {i}" for i in range(40 + n_rare)], "label": ["a"] * 40 + ["b"] * n_rare})
    df["aside"] = df.index < 1
    options = {k: v[:1] * len(df) if k == "weights" else v for k, v in options.items()}
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        TextDataLoaders.from_df(df, text_col="text", label_col="label", valid_col="aside", bs=8, min_freq=1,
                                cache_dir=False, **options)
    found = [str(w.message) for w in found if "unequal" in str(w.message)]
    assert len(found) == is_told and all("largest has 39 training texts, the smallest 3." in text for text in found)


def test_the_words_of_a_tokenizer_are_known_though_no_text_has_them(df):
    knows = Tokenizer().with_vocab([*SPECIAL_TOKENS, "the", "zebra"])
    plain, lm, clas = (loaders(df, **options).text_vocab for options in (
        {"is_lm": True}, {"is_lm": True, "tok_tfm": knows}, {"tok_tfm": knows}))
    assert set(lm) - set(plain) == {"zebra"}
    assert lm[: plain.stoi["the"] + 1] == plain[: plain.stoi["the"] + 1]
    assert clas is knows.vocab


def test_several_text_columns_are_marked_fields(df):
    table = pd.DataFrame({"title": ["good", "bad"] * 5, "body": ["one", "two"] * 5, "label": [1, 0] * 5})
    dls = loaders(table, text_col=["title", "body"], label_col="label")
    assert "xxbos xxfld 1 good xxfld 2 one" in texts_of(dls, dls.train)
    found = texts_of(dls, dls.test_dl(pd.DataFrame({"body": ["two"], "title": ["good"]})))
    assert found == ["xxbos xxfld 1 good xxfld 2 two"]
    dls = loaders(table, text_col=[0, 1], label_col=2, mark_fields=False)
    assert not any("xxfld" in text for text in texts_of(dls, dls.train))


def test_pieces_are_not_learned_anew_beside_a_vocabulary(df):
    dls = loaders(df, text_col="text", is_lm=True, tok_tfm=SentencePieceTokenizer(vocab_sz=150))
    with fails(TrainingError, "E506"):
        loaders(df, text_vocab=dls.vocab, tok_tfm=SentencePieceTokenizer(vocab_sz=150))
    assert loaders(df, text_vocab=dls.vocab, tok_tfm=dls.tokenizer).train.ids.unk_rate() == 0


def test_backwards_reads_each_text_from_its_end(df):
    there, back = loaders(df), loaders(df, backwards=True)
    for a, b in zip(texts_of(there, there.valid), texts_of(back, back.valid), strict=True):
        assert a.split() == b.split()[::-1]
    assert texts_of(back, back.test_dl(["it was worth"])) == ["worth was it xxbos"]


def test_labels_keep_their_python_type_and_other_targets_work(df):
    assert loaders(df.assign(n=[3, 1] * 60), label_col="n").classes == [1, 3]
    multi = loaders(df.assign(tags=["a;b", "b"] * 60), label_col="tags", label_delim=";")
    assert multi.task == "multi" and multi.c == 2 and multi.one_batch()[2].shape == (8, 2)
    one_hot = loaders(df.assign(x=[1, 0] * 60, y=1), label_col=["x", "y"])
    assert one_hot.task == "multi" and one_hot.classes == ["x", "y"]
    number = loaders(df.assign(n=np.linspace(0, 1, 120)), label_col="n", y_block="regression")
    assert (number.task, number.c, number.classes) == ("regression", 1, None)
    assert number.one_batch()[2].dtype == torch.float32
    order = loaders(df.assign(n=pd.Categorical(df.label, ["pos", "neg"])), label_col="n")
    assert order.classes == ["pos", "neg"]


def test_label_trouble_is_found_before_training(df):
    with fails(LabelError, "E201"):
        loaders(df.assign(label="same"))
    with fails(LabelError, "E202", "row 3"):
        loaders(df.assign(label=[*"aba", None, *"ab" * 58]))
    alone = df.assign(label=["a", "b"] * 59 + ["c", "a"], is_valid=[False] * 118 + [True] * 2)
    with fails(LabelError, "E203", "'c'"):
        loaders(alone, valid_col="is_valid")
    with fails(LabelError, "E203", "1 time, row 118"):
        loaders(alone, valid_col="is_valid")
    assert loaders(alone, valid_col="is_valid", labels=["a", "b", "c"]).classes == ["a", "b", "c"]
    with fails(LabelError, "E206"):
        loaders(df[:1].assign(label="a"), is_lm=True)


def test_text_trouble_is_found_before_training(df):
    holes = df.assign(text=[*df.text[:-1], None])
    with fails(TextError, "E101", "row 119"):
        loaders(holes)
    assert sum(dl.n_rows for dl in loaders(holes, on_missing="drop")) == 119
    dls = loaders(holes, on_missing="empty")
    assert "xxbos" in texts_of(dls, dls.train) + texts_of(dls, dls.valid)
    with fails(ArgumentError, "E602", "on_missing='skip'"):
        loaders(df, on_missing="skip")
    with fails(ArgumentError, "E602", "lang='english'"):
        loaders(df, lang="english")
    with fails(TextError, "E102", "did you mean 'text'"):
        loaders(df, text_col="txt")
    with fails(TextError, "E101"):
        loaders(df.assign(text=range(120)))
    for nothing, options in ((df[:0], {}), (df.assign(text=None), {"on_missing": "drop"})):
        with fails(TextError, "E104", f"a table of {len(nothing)} rows"):
            loaders(nothing, **options)
    for option, fix in (("text_col", 'text_col="text"'), ("label_col", "is_lm=True")):
        with fails(TextError, "E102", fix):
            loaders(df, **{option: None})
    for no_table in ("reviews.csv", ["a film", "a play"]):
        with fails(FileError, "E407", f"Received {type(no_table).__name__} as a table.*from_csv"):
            loaders(no_table)


@pytest.mark.parametrize(("bs", "code"), [(0, "E602"), (-3, "E602"), (8.5, "E602"), ("8", "E601")])
@pytest.mark.parametrize("is_lm", [True, False])
def test_a_batch_of_no_whole_number_of_rows_is_refused_where_it_is_asked_for(df, is_lm, bs, code):
    with fails(ArgumentError, code, f"bs={bs!r}.*whole number from 1 to 65,536"):
        loaders(df, bs=bs, is_lm=is_lm)


def test_messages_count_the_rows_of_the_table_also_where_some_were_left_out():
    table = pd.DataFrame({"text": [None, *"abcdefgha"], "label": [None, *"xyxyxyxyx"], "v": [False] * 6 + [True] * 4})
    options = {"valid_col": "v", "on_missing": "drop", "min_freq": 1}
    with fails(LabelError, "E202", "row 3"):
        TextDataLoaders.from_df(table.assign(label=[*"yxx", "", *"yxyxyx"]), **options)
    with fails(LabelError, "E203", "row 8"):
        TextDataLoaders.from_df(table.assign(label=[*"yxxyyxyx", "new", "x"]), **options)
    numbers = {**options, "y_block": "regression"}
    with fails(LabelError, "E204", "row 5"):
        TextDataLoaders.from_df(table.assign(label=[0.0] * 5 + [np.nan] + [1.0] * 4), **numbers)
    with pytest.warns(UserWarning) as caught:
        TextDataLoaders.from_df(table.assign(label=[*"yxxyyxyxyy"]), **options)
    messages = [str(w.message) for w in caught]
    assert any("1 of 4 validation texts is a training text too (row 9), so 25.0% of a score" in m for m in messages)
    assert any("than an equal text before it (row 9):" in m for m in messages)


def test_making_loaders_shows_a_bar_in_a_terminal_and_asking_them_shows_none(df, capfd, monkeypatch, own_cache):
    loaders(df, text_col="text", label_col="label")
    assert capfd.readouterr().err == ""  # a log file
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    dls = loaders(df.assign(text=df.text + " new"))
    assert "tokenizing: " in (err := capfd.readouterr().err) and "/120" in err
    dls.test_dl(["a", "b"])
    assert capfd.readouterr().err == ""


def test_duplicates_over_the_split_and_torn_labels_are_warned_of_without_showing_texts():
    table = pd.DataFrame({"text": [f"secret text {i}" for i in range(8)] + ["secret text 0", "secret text 1", "", ""],
                          "label": [*"abababab", "b", "b", "a", "b"], "is_valid": [False] * 8 + [True] * 3 + [False]})
    with pytest.warns(UserWarning) as caught:
        TextDataLoaders.from_df(table, valid_col="is_valid", min_freq=1)
    messages = [str(w.message) for w in caught]
    assert any("2 of 3 validation texts are training texts too (rows 8, 9)" in m for m in messages)
    assert any("1 text has another label than an equal text before it (row 8)" in m for m in messages)
    assert not any("secret" in m for m in messages)
    assert all(w.filename == __file__ for w in caught if "validation" in str(w.message))


@pytest.mark.parametrize("options", [{"is_lm": True}, {}, {"y_block": "multi", "chunksize": 50}],
                         ids=["lm", "single", "multi"])
def test_a_split_that_the_library_draws_keeps_copies_of_a_text_on_one_side(df, options, tmp_path, recwarn):
    pd.concat([df, df[:60]]).to_csv(tmp_path / "copies.csv", index=False)
    for seed in range(2):
        dls = TextDataLoaders.from_csv(tmp_path, "copies.csv", seed=seed, **options)
        train, valid = set(dls.train.rows % 120), set(dls.valid.rows % 120)
        assert not train & valid and len(train | valid) == 120
    assert not [w for w in recwarn if "training text" in str(w.message)]


def test_copies_in_a_folder_are_named_by_their_files(tmp_path):
    for part, name in (("train", "1"), ("train", "2"), ("valid", "3"), ("valid", "4")):
        (file := tmp_path / part / "pos" / f"{name}.txt").parent.mkdir(parents=True, exist_ok=True)
        file.write_text("the same text" if name in "14" else f"text {name}")
    with pytest.warns(UserWarning, match=r"1 of 2 validation texts is a training text too \(file .*valid.pos.4.txt\), "
                                         "so 50.0% of a score .* Delete the copies"):
        TextDataLoaders.from_folder(tmp_path, is_lm=True, min_freq=1)


def test_a_label_that_is_in_the_text_is_warned_of(df):
    with pytest.warns(UserWarning, match="hold the name of their own label"):
        TextDataLoaders.from_df(df.assign(text=df.text + " Verdict: " + df.label.str.upper()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        TextDataLoaders.from_df(df, text_col="label", label_col="label")
    assert any("'label' is both text and label" in str(w.message) for w in caught)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TextDataLoaders.from_df(df.drop_duplicates("text"), min_freq=1)


def test_the_seed_repeats_the_split_and_the_batches(df):
    a, b, c = loaders(df, seed=1), loaders(df, seed=1), loaders(df, seed=2)
    assert (a.valid.rows == b.valid.rows).all() and texts_of(a, a.train) == texts_of(b, b.train)
    assert sorted(a.valid.rows) != sorted(c.valid.rows)


def test_looking_at_a_batch_does_not_change_training(df, capsys):
    a, b = loaders(df), loaders(df)
    a.one_batch()
    a.show_batch()
    assert texts_of(a, a.train) == texts_of(b, b.train)


def test_show_batch_prints_texts_with_labels(df, capsys):
    loaders(df).show_batch(max_n=3, trunc_at=5)
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["text", "label"] and len(out) == 4
    *words, mark, label = out[1].split()
    assert words[0] == "xxbos" and len(words) == 5 and mark == "\u2026" and label in ("pos", "neg")
    loaders(df, is_lm=True).show_batch(max_n=2)
    assert "text" in (out := capsys.readouterr().out) and "next words" in out and "\u2026" not in out
    loaders(df.assign(tags=["a;b", "b"] * 60), label_col="tags", label_delim=";").show_batch()
    assert "a; b" in (out := capsys.readouterr().out) and "[" not in out
    loaders(df.assign(n=np.linspace(0, 1, 120)), label_col="n", y_block="regression").show_batch()
    assert capsys.readouterr().out.split()[:2] == ["text", "label"]


def test_targets_and_decisions_are_told_in_the_users_words(df):
    table = df.assign(tags=["a;b", "b"] * 60, n=np.linspace(0, 1, 120))
    single = loaders(table, label_col="label")
    assert [single.decode(torch.tensor(i)) for i in (0, 1, -100)] == ["neg", "pos", "?"]
    multi = loaders(table, label_col="tags", label_delim=";")
    assert multi.decode(torch.tensor([0.0, 1.0])) == ["b"] and multi.decode(torch.tensor([True, True])) == ["a", "b"]
    number = loaders(table, label_col="n", y_block="regression")
    assert number.decode(torch.tensor(0.5)) == number.decode(torch.tensor([0.5])) == 0.5
    pair = loaders(table.assign(m=1.0), label_col=["n", "m"], y_block="regression")
    assert pair.decode(torch.tensor([0.5, 1.0])) == [0.5, 1.0]
    assert single.words(torch.tensor([2, 0])) == "xxbos xxunk" and single.words(torch.tensor([])) == ""
    for dls in (loaders(table, is_lm=True), DataLoaders([], [])):
        with fails(TrainingError, "E506"):
            dls.decode(torch.tensor(1))


def test_a_test_loader_takes_lists_series_tables_and_files(df, tmp_path):
    dls = loaders(df)
    texts = df.text[:20].tolist()
    (tmp_path / "a.txt").write_text(texts[0])
    expected = texts_of(dls, dls.test_dl(texts, bs=3))
    for items in (df.text[:20], df[:20], df[["label", "text"]][:20], np.array(texts), df[["text"]][:20]):
        assert texts_of(dls, dls.test_dl(items, bs=3)) == expected
    assert texts_of(dls, dls.test_dl(texts[0])) == texts_of(dls, dls.test_dl([tmp_path / "a.txt"]))
    assert texts_of(dls, dls.test_dl(pd.DataFrame({"other": texts}), bs=3)) == expected
    with fails(TextError, "E102", "did you mean 'texts'"):
        dls.test_dl(pd.DataFrame({"id": ["1"] * 20, "texts": texts}))
    assert len(next(iter(dls.test_dl(texts)))) == 2
    assert dls.test_dl(texts[:7]).order.shape == (7,)
    for items in ([], df[:0], df.text[:0]):
        with fails(TextError, "E104"):
            dls.test_dl(items)
    with fails(TextError, "E101", "row 1"):
        dls.test_dl(["a", None])


def test_a_test_loader_with_labels_counts_new_labels_as_wrong(df):
    dls = loaders(df)
    table = df[:4].assign(label=["pos", "neg", "new", "pos"])
    with pytest.warns(UserWarning, match="'new'"):
        dl = dls.test_dl(table, with_labels=True)
    y = torch.cat([batch[2] for batch in dl])
    assert y[np.argsort(dl.order)].tolist() == [1, 0, -100, 1]
    for items in (table[["text"]], table.text.tolist()):
        with fails(TextError, "E102"):
            dls.test_dl(items, with_labels=True)


def test_a_language_model_reads_new_texts_too(df):
    x, y = next(iter(loaders(df, is_lm=True).test_dl(toy_texts(30, seed=1))))
    assert x.shape == (8, 20) and torch.equal(x[:, 1:], y[:, :-1])


@pytest.mark.parametrize("kwargs", [{}, {"is_lm": True}, {"label_col": "n"},
                                    {"label_col": "topic", "backwards": True},
                                    {"label_col": "tags", "label_delim": ";"},
                                    {"label_col": ["n", "n2"], "y_block": "regression"},
                                    {"text_col": ["topic", "text"], "label_col": "label"}])
def test_the_config_goes_through_json_and_prepares_texts_as_before(df, kwargs):
    table = df.assign(n=[3, 1] * 60, n2=1.5, tags=["a;b", "b"] * 60)
    dls = loaders(table, **kwargs)
    config = json.loads(json.dumps(dls.config(), allow_nan=False))
    again = DataLoaders([], [], prepare=Preparation.from_config(config, Vocab(list(dls.text_vocab))))
    assert again.config() == dls.config() == config
    for name in ("vocab", "classes", "c", "task", "n_inp", "seq_len", "backwards", "bs", "text_vocab"):
        assert getattr(again, name) == getattr(dls, name), name
    labels = dls.task != "lm"
    for a, b in zip(again.test_dl(table[:9], labels), dls.test_dl(table[:9], labels), strict=True):
        assert all(torch.equal(s, t) for s, t in zip(a, b, strict=True))


@pytest.mark.parametrize("table", ["text,label\nNA,null\nnull,b\nNone,null\n1.0,b\n"])
def test_a_file_of_odd_words_is_read_as_text(tmp_path, table):
    (tmp_path / "labels.csv").write_text(table)
    dls = TextDataLoaders.from_csv(tmp_path, min_freq=1, seed=0)
    assert dls.classes == ["b", "null"] and dls.path == tmp_path
    (tmp_path / "x.tsv").write_text(table.replace(",", "\t"))
    other = TextDataLoaders.from_csv(tmp_path / "x.tsv", text_col="text", label_col=-1, min_freq=1, seed=0)
    assert texts_of(other, other.train) == texts_of(dls, dls.train) and other.path == tmp_path
    with fails(FileError, "E404"):
        TextDataLoaders.from_csv(tmp_path, "no.csv")


def test_of_prodigys_rows_the_accepted_ones_are_learned(tmp_path, df):
    answered = df.assign(answer=["accept", "reject", "ignore"] * 40)
    answered.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    with pytest.warns(UserWarning, match="80 of 120 rows were left out: their answer is reject or ignore"):
        dls = TextDataLoaders.from_jsonl(tmp_path / "a.jsonl", text_col="text", label_col="label", seed=0, min_freq=1,
                                         tok_tfm=BaseTokenizer(), weights=[1, 0, 0] * 40)
    assert dls.train.n_rows + dls.valid.n_rows == 40 and dls.train.weights.tolist() == [1] * dls.train.n_rows
    assert loaders(answered, is_lm=True).train.ids.lengths.size == 120
    assert loaders(answered, label_col="answer").classes == ["accept", "ignore", "reject"]
    assert loaders(df.assign(answer="yes")).train.n_rows == 96
    with fails(TextError, "E104"):
        loaders(df.assign(answer="reject"))
    answered.to_csv(tmp_path / "a.csv", index=False)
    with pytest.warns(UserWarning), fails(FileError, "E407"):
        TextDataLoaders.from_csv(tmp_path / "a.csv", text_col="text", label_col="label", chunksize=50)


def make_folder(root, df):
    for i, row in df.iterrows():
        file = root / ("valid" if i % 5 == 0 else "train") / row.label / f"{i:03d}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(row.text)
    return root


def test_a_folder_of_folders_is_the_same_as_its_table(tmp_path, df):
    root = make_folder(tmp_path / "data", df)
    dls = TextDataLoaders.from_folder(root, bs=8, min_freq=1)
    table = loaders(df.assign(v=df.index % 5 == 0), valid_col="v")
    assert dls.classes == ["neg", "pos"] and dls.valid.n_rows == 24
    assert sorted(texts_of(dls, dls.valid)) == sorted(texts_of(table, table.valid))
    drawn = TextDataLoaders.from_folder(root, valid_pct=0.5, seed=0)
    assert drawn.train.n_rows == drawn.valid.n_rows == 60
    files = [next(root.glob(f"valid/{label}/*.txt")) for label in dls.classes]
    assert torch.cat([y for _, _, y in dls.test_dl(files, with_labels=True)]).sort().values.tolist() == [0, 1]
    assert TextDataLoaders.from_folder(root, vocab=["pos", "neg", "other"]).c == 3
    assert TextDataLoaders.from_folder(root, is_lm=True, bs=4).task == "lm"
    with fails(FileError, "E404"):
        TextDataLoaders.from_folder(root, valid="test")
    with fails(TextError, "E104"):
        TextDataLoaders.from_folder(root, extensions=(".md",))
    (root / "train/neg/001.txt").write_bytes(b"caf\xe9")
    with fails(FileError, "E403"):
        TextDataLoaders.from_folder(root)


def test_plain_loaders_of_batches_will_do():
    data = torch.utils.data.TensorDataset(torch.arange(6.0)[:, None], torch.arange(6))
    dls = DataLoaders(torch.utils.data.DataLoader(data, batch_size=2), [(torch.ones(1), torch.ones(1))])
    assert dls.bs == 2 and dls.n_inp is None and dls.vocab is None and dls.c is None and dls.config
    assert len(dls.train) == 3 and len(dls.valid) == 1 and len(dls.train.dataset) == 6
    x, y = dls.one_batch()
    assert x.tolist() == [[0], [1]] and y.tolist() == [0, 1]
    for call in (dls.show_batch, dls.config, lambda: dls.test_dl(["a"]), lambda: dls.words(y)):
        with fails(TrainingError, "E506"):
            call()


def test_batches_are_on_the_device_asked_for(df):
    dls = loaders(df, device="meta")
    assert {t.device.type for t in dls.one_batch()} == {"meta"}
    plain = DataLoaders([(torch.ones(1), {"y": torch.ones(1)}, "name")], [], device="meta")
    x, y, name = plain.one_batch()
    assert x.device.type == y["y"].device.type == "meta" and name == "name"
    assert {t.device.type for t in dls.to("cpu").one_batch()} == {"cpu"} and dls.to("cpu") is dls


def test_the_doors_show_every_option_and_keep_the_order_of_fastai():
    names = list(inspect.signature(TextDataLoaders.from_df).parameters)
    assert names[:19] == ["df", "path", "valid_pct", "seed", "text_col", "label_col", "label_delim",
                          "y_block", "text_vocab", "is_lm", "valid_col", "tok_tfm", "tok_text_col", "seq_len",
                          "backwards", "bs", "val_bs", "shuffle", "device"]
    for door in (TextDataLoaders.from_df, TextDataLoaders.from_csv, TextDataLoaders.from_folder):
        shown = set(inspect.signature(door).parameters)
        assert {"min_freq", "max_vocab", "rules", "lang", "mark_fields", "cache_dir", "is_lm"} <= shown
        assert "kwargs" not in shown


def test_an_option_that_does_not_exist_is_refused(df):
    with pytest.raises(TypeError, match="E604.*min_frequency= for TextDataLoaders.from_df.*did you mean 'min_freq'"):
        loaders(df, min_frequency=2)
    with pytest.raises(TypeError, match="delimeter= for TextDataLoaders.from_csv.*did you mean 'delimiter'"):
        TextDataLoaders.from_csv("no.csv", delimeter=";")
    with pytest.raises(TypeError, match="extension= for TextDataLoaders.from_folder.*did you mean 'extensions'"):
        TextDataLoaders.from_folder("no", extension=[".md"])


def test_a_door_of_ones_own_takes_what_it_passes_on(df, tmp_path):
    class Mine(TextDataLoaders):
        @classmethod
        def from_df(cls, df, note=None, **kw):
            return super().from_df(df, **kw)

    df.to_csv(tmp_path / "labels.csv", index=False)
    assert len(Mine.from_df(df, min_freq=1).text_vocab) > 20
    assert len(Mine.from_csv(tmp_path, note="x", min_freq=1, text_col="text", label_col="label").text_vocab) > 20


def test_a_new_or_changed_file_or_another_rule_is_tokenized_anew(tmp_path, df):
    def door(**kwargs):
        dls = TextDataLoaders.from_folder(tmp_path / "texts", valid_pct=0.2, **{"seed": 0, "min_freq": 1} | kwargs)
        return dls.train.n_rows + dls.valid.n_rows, texts_of(dls, dls.train.unshuffled()) + texts_of(dls, dls.valid)
    for i, row in df[:20].iterrows():
        file = tmp_path / "texts" / row.label / f"{i}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(row.text)
    assert door()[0] == 20
    (file.parent / "new.txt").write_text("A new file")
    n, texts = door()
    assert n == 21 and "xxbos a new file" in [text.replace("xxmaj ", "") for text in texts]
    (file.parent / "new.txt").write_text("changed")
    assert "xxbos changed" in door()[1] and "xxbos a new file" not in door()[1]
    assert "CHANGED" in " ".join(door(rules=[str.upper])[1])


def test_show_batch_of_one_unique_row(df, capsys):
    loaders(df).show_batch(unique=True)
    assert capsys.readouterr().out.count("xxbos") == 1


def test_training_and_validation_texts_can_be_looked_at_one_by_one(df):
    dls = loaders(df)
    ids, y = dls.valid_ds[3]
    row = dls.valid.rows[3]
    assert dls.words(ids) == " ".join(dls.tokenizer(df.text[row])) and dls.decode(y) == df.label[row]
    assert len(dls.train_ds) == 96 and len(dls.valid_ds) == 24
    back = loaders(df, is_lm=True, backwards=True)
    assert back.words(back.train_ds[0]).split()[-1] == "xxbos"
    with fails(TrainingError, "E506"):
        _ = DataLoaders([], []).train_ds


def test_the_name_of_the_tokens_is_taken_and_changes_nothing(df):
    a, b = loaders(df), loaders(df, tok_text_col="tokens")
    assert texts_of(a, a.valid) == texts_of(b, b.valid)


def test_varying_batches_reach_the_training_loader_of_a_language_model(df):
    dls = loaders(df, is_lm=True, bptt_jitter=3)
    assert len({x.shape[1] for x, _ in dls.train}) > 5
    assert {x.shape[1] for x, _ in list(dls.valid)[:-1]} == {20}
