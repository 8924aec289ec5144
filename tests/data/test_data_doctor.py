import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.data.checks import shown_share
from ulmfit_easy.data.doctor import doctor, doctor_of
from ulmfit_easy.data.languages import COMMON, guess_language
from ulmfit_easy.data.tables import read_table
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import LabelError, TextError, TrainingError
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.text.words import BaseTokenizer

SECRET = "my account number is 12345678"


def reviews(n=60, **changes):
    """Healthy rows, with some cells changed: `reviews(text={3: ""})`."""
    df = toy_reviews(n, seed=1).astype(object)
    for column, cells in changes.items():
        for row, value in cells.items():
            df.loc[row, column] = value
    return df


def found(checkup, what):
    """The findings whose text has these words."""
    return [finding for finding in checkup.findings if what in finding.what]


def loaders(df, **options):
    defaults = {"text_col": "text", "label_col": "label", "tok_tfm": BaseTokenizer(), "seed": 0, "min_freq": 1}
    return TextDataLoaders.from_df(df, **(defaults | options))


def test_healthy_data_gives_figures_and_no_findings():
    checkup = doctor(reviews(200))
    assert checkup.ok and checkup.findings == []
    assert checkup.figures["texts"] == "200" and checkup.figures["classes"].startswith("2: ")
    assert checkup.figures["languages (a guess)"] == "en 100%"
    assert "nothing found" in repr(checkup)


@pytest.mark.parametrize("changes, what, rows, level", [
    (dict(text={3: None, 7: float("nan")}), "without a text", [3, 7], "problem"),
    (dict(text={5: 12.5}), "no strings", [5], "problem"),
    (dict(text={2: "", 9: "  \n"}), "without a word: 2", [2, 9], "note"),
    (dict(text={4: "it was so good caf\u00c3\u00a9", 6: "bad \ufffd and the rest of it"}), "wrong encoding", [4, 6],
     "problem"),
    (dict(text={1: SECRET, 8: SECRET.upper(), 20: SECRET + " "}, label={1: "pos", 8: "pos", 20: "pos"}),
     "repeat an earlier one: 2", [8, 20], "note"),
    (dict(text={10: "bad bad"}), "fewer than 3 words", [10], "note"),
    (dict(text={11: "the plot was good and " * 500}), "more than 1,440 words", [11], "note"),
    (dict(text={12: SECRET, 13: SECRET}, label={12: "pos", 13: "neg"}), "another label", [13], "problem"),
    (dict(label={14: None, 15: " "}), "without a label", [14, 15], "problem"),
    (dict(label={16: "odd", 17: "odd"}), "fewer than 10 training texts: odd", [16, 17], "problem"),
    (dict(label={row: "POS " for row in (21, 23)}), "look alike", [21, 23], "problem"),
    (dict(text={18: "Das ist nicht gut und der Film war auch zu lang", 19: "Le film est long mais il est très beau"}),
     "other languages", [18, 19], "note")])
def test_each_ailment_is_found_with_its_rows(changes, what, rows, level):
    checkup = doctor(reviews(**changes))
    finding, = found(checkup, what)
    assert finding.level == level and finding.rows == rows and finding.advice
    assert checkup.ok is (level == "note")
    assert not found(doctor(reviews()), what)


def test_empty_texts_are_neither_copies_of_each_other_nor_torn_nor_leaks():
    df = reviews(text={2: "", 9: " ", 50: ""}, label={2: "pos", 9: "neg"}).assign(valid=[i >= 40 for i in range(60)])
    assert [f.what for f in doctor(df, valid_col="valid").findings] == ["texts without a word: 3"]


def test_problems_come_first():
    levels = [f.level for f in doctor(reviews(text={1: "", 2: None, 3: "a b"}, label={4: None})).findings]
    assert levels == sorted(levels, reverse=True) and set(levels) == {"problem", "note"}


def test_unequal_classes_are_told_in_the_words_of_training():
    df = toy_reviews(400, seed=1)
    one = {label: df[df["label"] == label] for label in ("neg", "pos")}
    unequal = pd.concat([one["pos"][:190], one["neg"][:15]], ignore_index=True)
    finding, = found(doctor(unequal), "unequal")
    assert finding.what == "the classes are unequal: the largest has 190 training texts, the smallest 15"
    assert finding.level == "note" and finding.rows == list(range(190, 205)) and "macro-F1" in finding.advice
    with pytest.warns(UserWarning, match="the classes are unequal") as told:
        loaders(unequal, valid_pct=0.1)
    assert finding.advice in " ".join(str(warning.message) for warning in told)
    assert not found(doctor(unequal[40:]), "unequal")  # 150 : 15


def test_a_leak_is_seen_once_the_split_is_known():
    df = reviews(text={1: SECRET, 50: SECRET + "!", 51: f" {SECRET}"}, label={1: "pos", 50: "pos", 51: "pos"})
    df["valid"] = df.index >= 40
    assert not found(doctor(df), "validation texts")
    finding, = found(doctor(df, valid_col="valid"), "validation texts")
    assert finding.rows == [51] and finding.level == "problem"
    df.loc[55, "label"] = "unheard"
    assert found(doctor(df, valid_col="valid"), "no training text has: unheard")[0].rows == [55]


def test_one_class_or_as_many_as_texts_are_not_the_right_column():
    df = reviews()
    assert found(doctor(df.assign(label="pos")), "1 class to train with")
    assert found(doctor(df.assign(label=range(60))), "60 classes for 60 texts")


def test_several_labels_and_numbers_are_understood():
    df = reviews()
    df["tags"] = ["good;cheap" if i % 2 else "good" for i in range(60)]
    assert doctor(df, label_col="tags", label_delim=";").figures["classes"] == "2: good 67%, cheap 33%"
    df["good"], df["cheap"] = 1, [i % 2 for i in range(60)]
    assert doctor(df, label_col=["good", "cheap"]).figures["classes"] == "2: good 67%, cheap 33%"
    stars = doctor(df.assign(stars=[i / 7 for i in range(60)]), label_col="stars")
    assert stars.ok and "classes" not in stars.figures
    assert "classes" not in doctor(df, label_col=None).figures


def test_rare_words_are_counted_for_the_vocabulary_to_come():
    df = pd.DataFrame({"text": ["the cat sat"] * 3 + ["a dog"]})
    assert doctor(df, label_col=None).figures["words seen less than 3 times"] == "18.2%"  # 2 of 11


@pytest.mark.parametrize("n", [0, 1])
def test_hardly_any_data_is_no_reason_to_fail(n):
    checkup = doctor(reviews().iloc[:n])
    assert not checkup.ok and repr(checkup) and checkup._repr_html_()


@pytest.mark.parametrize("rate, shown", [(0, ""), (0.0004, ""), (0.0005, "0.1%"), (0.1234, "12.3%"), (1, "100.0%")])
def test_a_share_that_would_be_shown_as_0_is_left_out(rate, shown):
    assert shown_share(rate) == shown


def test_an_unknown_column_is_named():
    with pytest.raises(TextError, match="E102"):
        doctor(reviews(), text_col="txt")


@pytest.mark.parametrize(("names", "given", "told"), [
    (["kind", "message"], {}, "text 'message', label 'kind'"),
    (["message", "kind"], {}, "text 'message', label 'kind'"),
    (["label", "message"], {}, "text 'message', label 'label'"), (["kind", "text"], {}, "text 'text', label 'kind'"),
    (["label", "text"], {}, None), (["kind", "message"], {"text_col": "message", "label_col": "kind"}, None),
    (["kind", "message"], {"text_col": 1, "label_col": 0}, None), (["kind", "message"], {"label_col": None},
                                                                  "text 'message', label none")])
def test_columns_are_found_by_their_names_or_by_their_cells_wherever_they_stand(names, given, told):
    labels, texts = [toy_reviews(60)[name].tolist() for name in ("label", "text")]
    df = pd.DataFrame({"number": range(60)} | {
        name: labels if name in ("kind", "label") else texts for name in names})
    if given.get("text_col") == 1:
        df = df[names]
    checkup = doctor(df, **given)
    assert checkup.figures.get("columns") == (told and f"{told} (name others with text_col= and label_col=)")
    assert checkup.ok and checkup.figures["words of a text"] == doctor(toy_reviews(60)).figures["words of a text"]
    if told is None or not told.endswith("none"):
        assert checkup.figures["classes"].startswith("2: ")
    one = doctor(pd.DataFrame({"body": texts}))
    assert one.ok and one.figures["columns"].startswith("text 'body', label none (")


def test_all_columns_that_are_not_there_are_named_at_once():
    for door in (doctor, ULMFiT.from_df, lambda df, text, label: loaders(df, text_col=text, label_col=label)):
        with pytest.raises(TextError, match=r"E102.*the columns 'txt', 'kind', which are not.* text, label, topic"):
            door(reviews(), "txt", "kind")


@given(st.lists(st.tuples(st.text(max_size=40), st.one_of(st.none(), st.text(max_size=5), st.integers())), max_size=20))
@settings(deadline=None, max_examples=60)
def test_any_texts_and_labels_can_be_examined(rows):
    df = pd.DataFrame(rows, columns=["text", "label"])
    checkup = doctor(df)
    assert all(0 <= row < len(df) for finding in checkup.findings for row in finding.rows)
    assert repr(checkup) and "<script" not in checkup._repr_html_()


def test_no_text_is_ever_shown_and_a_label_only_in_part():
    hostile = "<script>alert(1)</script> $x$ ".ljust(60, ".") + SECRET  # names have 60 characters in any message
    df = reviews(text={1: hostile, 2: hostile, 3: ""}, label={2: hostile, 1: "pos"})
    checkup = doctor(df)
    for shown in (repr(checkup), checkup._repr_html_(), str(checkup.findings)):
        assert SECRET not in shown
    assert "<script" not in checkup._repr_html_()
    swapped = doctor(df, text_col="label", label_col="text")
    assert "Received" not in repr(swapped) and SECRET not in repr(swapped)


def test_loaders_are_examined_as_they_were_split(recwarn):
    df = reviews(80, text={1: SECRET, 70: SECRET}, label={1: "pos", 70: "pos"})
    df["valid"] = df.index >= 60
    checkup = doctor_of(loaders(df, valid_col="valid"))
    assert checkup.figures["texts"] == "60 to train, 20 to validate with"
    assert found(checkup, "validation texts")[0].rows == [70]
    assert "unknown tokens, training" not in checkup.figures  # 0.0% would tell nothing
    assert checkup.figures["unknown tokens, validation"] != "0.0%"
    assert checkup.figures["classes"].startswith("2: ")


def test_loaders_whose_words_are_unknown_have_a_problem(recwarn):
    checkup = doctor_of(loaders(reviews(), text_vocab=loaders(reviews(3)).vocab[0][:12]))
    assert found(checkup, "unknown training tokens") and found(checkup, "unknown validation tokens")


def test_loaders_of_a_language_model_and_of_several_labels_are_examined_too(recwarn):
    df = reviews()
    df["tags"] = ["good;cheap" if i % 2 else "good" for i in range(60)]
    assert doctor_of(loaders(df, label_col="tags", label_delim=";")).figures["classes"].startswith("2: good")
    assert "classes" not in doctor_of(loaders(df, is_lm=True, bs=4, seq_len=8)).figures


def test_loaders_without_data_are_refused():
    dls = loaders(reviews())
    with pytest.raises(TrainingError, match="E506"):
        doctor_of(type(dls)([], [], prepare=dls.prepare))


@pytest.mark.parametrize("language, text", [
    ("en", "The food was cold and the waiter did not care, so we left."),
    ("de", "Das Essen war kalt und der Kellner hat sich nicht gekümmert."),
    ("fr", "Le repas était froid et le serveur ne nous a pas aidés."),
    ("es", "La comida estaba fría y el camarero no nos ayudó en todo el día."),
    ("it", "Il cibo era freddo e il cameriere non ci ha aiutato molto."),
    ("pt", "A comida estava fria e o garçom não ajudou, mas foi barato."),
    ("nl", "Het eten was koud en de ober heeft niet geholpen, maar het was goedkoop."),
    ("sv", "Maten var kall och det var inte bra, men jag var glad att komma hem."),
    ("pl", "Jedzenie było zimne i nie było to bardzo dobre, ale było tanio."),
    ("tr", "Yemek çok soğuktu ve garson bize hiç yardım etmedi ama ucuz bir yer."),
    ("cyrillic", "Еда была холодной, а официант нам не помог."), ("zh", "这部电影很好看，我非常喜欢。"),
    ("ja", "この映画はとても面白かったです。"), ("ko", "이 영화는 정말 재미있었어요."), ("el", "Το φαγητό ήταν κρύο."),
    (None, ""), (None, "12 345 !!"), (None, "Paris")])
def test_languages_are_guessed(language, text):
    assert guess_language(text) == language


def test_common_words_are_lists_of_one_length():
    assert all(18 <= len(words) <= 21 for words in COMMON.values())


def test_a_valid_col_of_strings_is_read_as_the_loaders_read_it(tmp_path):
    df = reviews().assign(valid=[i >= 40 for i in range(60)], flag=[int(i >= 40) for i in range(60)], odd="maybe")
    df.to_csv(tmp_path / "r.csv", index=False)
    table = read_table(tmp_path / "r.csv")
    for col in ("valid", "flag"):
        assert doctor(table, valid_col=col).figures["texts"] == "40 to train, 20 to validate with"
    with pytest.raises(LabelError, match="E206.*'odd'"):
        doctor(table, valid_col="odd")


@pytest.mark.parametrize("kind", [list, tuple, set, np.array])
def test_labels_that_are_lists_are_the_several_labels_of_a_text(kind):
    tags = pd.Series([kind(["good", "cheap"] if i % 2 else ["good"]) for i in range(60)], dtype=object)
    for delim in (None, ";"):
        checkup = doctor(reviews().assign(tags=tags), label_col="tags", label_delim=delim)
        assert checkup.ok and checkup.figures["classes"] == "2: good 67%, cheap 33%"


def test_labels_that_cannot_be_told_apart_by_python_are_told_apart_by_how_they_look():
    df = reviews().assign(label=[{"is": "good"} if i % 2 else [["bad"]] for i in range(60)])
    assert "2: " in doctor(df).figures["classes"]


def test_loaders_of_damaged_texts_are_found_out_though_their_tokens_are_lower_case(recwarn):
    damaged = {4: "it was so good caf\u00c3\u00a9", 6: "we don\u00e2\u20ac\u2122t go there",
               9: "\u00c3\u00a9tait bon \u00e0 table"}
    healthy = {11: "a ma\u00e7\u00e3\u00bb e irm\u00e3\u00a0boa, \u00abm\u00e3\u00bb",
               12: "\u0111\u00e3 - m\u00e2\u00ad", 13: "caf\u00e9 d\u00e9j\u00e0"}
    dls = loaders(reviews(text=damaged | healthy), tok_tfm=None)
    assert found(doctor_of(dls), "wrong encoding")[0].rows == [4, 6, 9]
    lower = {row: text.lower() for row, text in (damaged | healthy).items()}
    assert found(doctor(reviews(text=lower)), "wrong encoding")[0].rows == [4, 6, 9]
