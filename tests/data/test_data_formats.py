"""Files of annotation tools are read as what they are."""

import json

import pytest

from ulmfit_easy.data.formats import FORMATS, Format
from ulmfit_easy.data.formats.spans import Span, tags_of
from ulmfit_easy.data.tables import read_table
from ulmfit_easy.errors import FileError
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.text.tokenizers import BaseTokenizer

TEXT = "Ann Lee went to Rome."
TAGS = ["B-PER", "I-PER", "O", "O", "B-LOC"]
ANSWERS = ("accept", "reject", "ignore")


def read(tmp_path, rows, name="x.jsonl"):
    as_lines = name.endswith("l")
    (tmp_path / name).write_text("\n".join(map(json.dumps, rows)) if as_lines else json.dumps(rows, indent=1))
    return read_table(tmp_path / name)


def prodigy(answer="accept", **row):
    return {"text": TEXT, "_input_hash": 1, "_task_hash": 2, "answer": answer, **row}


def choice(*accept, answer="accept", **row):
    return prodigy(answer, options=[{"id": "a", "text": "A"}, {"id": "b", "text": "B"}], accept=[*accept], **row)


def task(*annotations, text=TEXT, **data):
    return {"id": 7, "data": {"text": text, **data}, "annotations": [
        {"id": 1, **more, "result": [{"from_name": name, "to_name": "text", "type": kind, "value": value}
                                     for name, kind, value in results]} for results, more in annotations],
            "predictions": []}


def chosen(*choices, **more):
    return [("mood", "choices", {"choices": [*choices]})], more


def marked(text, label, **value):
    start = TEXT.index(text)
    return "ner", "labels", {"start": start, "end": start + len(text), "text": text, "labels": [label], **value}


SPANS = [{"start": 0, "end": 7, "label": "PER"}, {"start": 16, "end": 20, "label": "LOC"}]


@pytest.mark.parametrize(("rows", "labels", "answers"), [
    ([prodigy(a, label=label) for a in ANSWERS for label in "ab"], [*"ababab"], [a for a in ANSWERS for _ in "ab"]),
    ([prodigy("accept", label="spam"), prodigy("reject", label="spam"), prodigy("ignore", label="spam")],
     ["spam", "not spam", "spam"], ["accept", "accept", "ignore"]),
    ([choice("a"), choice("b"), choice("b", answer="reject"), choice()], ["a", "b", "b", None],
     ["accept", "accept", "reject", "ignore"]),
    ([choice("a"), choice("b", "a"), choice()], [["a"], ["b", "a"], []], ["accept"] * 3),
    ([choice("a", config={"choice_style": "multiple"}), choice("b")], [["a"], ["b"]], ["accept"] * 2)])
def test_prodigy_rows_have_a_label_and_an_answer(tmp_path, rows, labels, answers):
    df = read(tmp_path, rows)
    assert df["label"].tolist() == labels and df["answer"].tolist() == answers and df["text"][0] == TEXT


@pytest.mark.parametrize("rows", [[prodigy(label="spam"), prodigy("ignore", label="spam")],
                                  [prodigy(label=["a"]), prodigy("reject", label=["a"])],
                                  [prodigy(label=3), prodigy("reject", label=3)]])
def test_other_labels_stay_as_they_are(tmp_path, rows):
    df = read(tmp_path, rows)
    assert df["label"].tolist() == [row["label"] for row in rows]
    assert df["answer"].tolist() == [row["answer"] for row in rows]


@pytest.mark.parametrize("rows", [
    [prodigy(spans=SPANS), prodigy("reject", spans=[])],
    [{"id": 1, "text": TEXT, "label": [[0, 7, "PER"], [16, 20, "LOC"]]}, {"id": 2, "text": TEXT, "label": []}],
    [{"text": TEXT, "labels": [[16, 20, "LOC"], [0, 7, "PER"]]}, {"text": TEXT, "labels": []}],
    [{"id": 1, "text": TEXT, "entities": [{"id": 0, "label": "PER", "start_offset": 0, "end_offset": 7},
                                          {"id": 1, "label": "LOC", "start_offset": 16, "end_offset": 20}],
      "relations": []}, {"id": 2, "text": TEXT, "entities": [], "relations": []}],
    [task(([marked("Ann Lee", "PER"), marked("Rome", "LOC")], {})), task(([], {}))],
    [{"id": 1, "text": TEXT, "ner": [marked("Ann Lee", "PER")[2], marked("Rome", "LOC")[2]], "annotator": 1,
      "annotation_id": 5}, {"id": 2, "text": TEXT, "annotator": 1, "annotation_id": 6}]],
    ids=["prodigy", "doccano", "doccano labels", "doccano entities", "label studio", "json-min"])
def test_spans_are_tags_of_words(tmp_path, rows):
    df = read(tmp_path, rows)
    assert df["words"].tolist() == [TEXT.split()] * 2 and df["tags"].tolist() == [TAGS, ["O"] * 5]


@pytest.mark.parametrize(("rows", "labels", "answers"), [
    ([{"id": 1, "text": "x", "label": ["a"]}, {"id": 2, "text": "y", "label": ["b"]}], ["a", "b"], None),
    ([{"id": 1, "text": "x", "label": ["a"]}, {"id": 2, "text": "y", "label": []}], ["a", None],
     ["accept", "ignore"]),
    ([{"id": 1, "text": "x", "label": ["a", "b"]}, {"id": 2, "text": "y", "label": []}], [["a", "b"], []], None),
    ([{"id": 1, "text": "x", "cats": ["a"], "entities": [[0, 1, "N"]]}], ["a"], None)])
def test_doccano_rows_have_a_class_or_several(tmp_path, rows, labels, answers):
    df = read(tmp_path, rows)
    assert df["label"].tolist() == labels
    assert ("answer" not in df) if answers is None else df["answer"].tolist() == answers


@pytest.mark.parametrize(("rows", "labels", "answers"), [
    ([task(chosen("a")), task(chosen("b"))], ["a", "b"], None),
    ([task(chosen("a", "b")), task(chosen("b"))], [["a", "b"], ["b"]], None),
    ([task(chosen("a")), task(chosen("b", was_cancelled=True)), task()], ["a", None, None],
     ["accept", "ignore", "ignore"]),
    ([task(([("stars", "rating", {"rating": 4})], {}))], [4], None),
    ([task(chosen("a"), label="mine")], ["mine"], None),
    ([{"id": 1, "text": "x", "annotator": 1, "annotation_id": 5, "mood": {"choices": ["a", "b"]}}], [["a", "b"]],
     None)])
def test_label_studio_tasks_have_the_labels_of_their_controls(tmp_path, rows, labels, answers):
    df = read(tmp_path, rows, "x.json")
    assert df["label"].tolist() == labels
    assert ("answer" not in df) if answers is None else df["answer"].tolist() == answers


def test_of_several_annotations_the_ground_truth_counts(tmp_path):
    with pytest.warns(UserWarning, match="2 tasks with annotations that differ"):
        df = read(tmp_path, [task(chosen("a"), chosen("b", ground_truth=True)), task(chosen("a"), chosen("b")),
                             task(chosen("b"), chosen("b"))])
    assert df["mood"].tolist() == ["b", "a", "b"] and df["label"].tolist() == ["b", "a", "b"]


def test_label_studio_counts_an_emoji_as_two(tmp_path):
    value = {"start": 3, "end": 6, "text": "Ann", "labels": ["PER"]}
    df = read(tmp_path, [task(([("ner", "labels", value)], {}), text="\U0001f600 Ann .")], "x.json")
    assert df["tags"].tolist() == [["O", "B-PER", "O"]]


def test_squad_is_a_table_of_questions(tmp_path):
    asked = {"id": "1", "question": "who", "answers": [{"text": "Ann", "answer_start": 0}]}
    df = read(tmp_path, {"version": "1.1", "data": [{"title": "T", "paragraphs": [{"context": TEXT, "qas": [asked]}]}]},
              "x.json")
    assert df[["question", "context"]].values.tolist() == [["who", TEXT]] and df["answers"][0] == asked["answers"]


@pytest.mark.parametrize(("text", "spans", "tags", "lost"), [
    ("", [], [], 0), (" ", [(0, 1, "A")], [], 1), ("ab cd", [(1, 4, "A")], ["B-A", "I-A"], 0),
    ("ab cd", [(0, 2, "A"), (0, 5, "B")], ["B-B", "I-B"], 1), ("a b", [(2, 3, "B"), (0, 1, "A")], ["B-A", "B-B"], 0),
    ("a/b c", [(0, 1, "A"), (2, 3, "B")], ["B-A", "O"], 1), ("a b", [(0, 2, "A")], ["B-A", "O"], 0)])
def test_a_word_that_is_partly_in_a_span_is_in_it(text, spans, tags, lost):
    assert tags_of(text, [Span(*each) for each in spans]) == (text.split(), tags, lost)


@pytest.mark.parametrize("more", [{"_view_id": "ner"}, {"_is_binary": True}], ids=["of ner", "binary"])
def test_rows_that_judge_one_span_of_prodigy_teach_no_tags(tmp_path, more):
    with pytest.warns(UserWarning, match="1 row of Prodigy left out"):
        df = read(tmp_path, [prodigy(spans=SPANS), prodigy(spans=SPANS[:1], **more),
                             prodigy("reject", spans=SPANS[:1], **more)])
    assert df["answer"].tolist() == ["accept", "ignore", "reject"]


def test_spans_that_no_word_can_show_are_counted(tmp_path):
    with pytest.warns(UserWarning, match="1 span left out"):
        read(tmp_path, [prodigy(spans=[*SPANS, {"start": 17, "end": 20, "label": "X"}])])


@pytest.mark.parametrize(("rows", "name"), [
    ([prodigy(spans=[{"start": 0, "end": 99, "label": "PER"}])], "Prodigy"),
    ([prodigy(spans=[{"start": 0}])], "Prodigy"), ([choice(), prodigy(config=3, options=[])], "Prodigy"),
    ([{"id": 1, "text": TEXT, "label": [[7, 0, "PER"]]}], "doccano"),
    ([task(([("ner", "labels", {"start": "/div", "end": 3, "labels": ["A"]})], {}))], "Label Studio"),
    ([{"data": {"a": "x", "b": "y"}, "annotations": [{"result": [
        {"type": "labels", "value": {"start": 0, "end": 1, "labels": ["A"]}}]}]}], "Label Studio"),
    ([{"data": [{"paragraphs": [{}]}]}], "SQuAD")])
def test_what_differs_from_its_format_is_e407(tmp_path, rows, name):
    with pytest.raises(FileError, match=rf"\[E407\].*format of {name}"):
        read(tmp_path, rows)


@pytest.mark.parametrize("rows", [[{"text": "a", "label": "b"}], [{"text": "a", "label": ["b"]}],
                                  [{"id": 1, "text": "a", "label": 3}], [{"text": "a", "answer": "yes"}],
                                  [{"data": 1, "annotations": []}], [{"text": "a", "label": [1, 2]}]])
def test_other_json_is_what_it_was(tmp_path, rows):
    assert read(tmp_path, rows).to_dict("records") == rows


def test_a_format_of_your_own_needs_a_class_and_nothing_else(tmp_path):
    class Mine(Format):
        name, shape = "mine", "{}"

        @staticmethod
        def fits(rows):
            return "mine" in rows[0]

        @staticmethod
        def table(rows):
            return rows[0]["mine"]

    try:
        assert read(tmp_path, [{"mine": [1]}]) == [1]
    finally:
        del FORMATS["mine"]


def loaders(tmp_path, rows, **kwargs):
    read(tmp_path, rows)
    return TextDataLoaders.from_jsonl(tmp_path / "x.jsonl", min_freq=1, seed=0, tok_tfm=BaseTokenizer(), bs=4,
                                      cache_dir=False, **kwargs)


def test_loaders_obey_answers_and_take_words_with_tags(tmp_path):
    rows = [choice("ab"[i % 2], answer="reject" if i > 9 else "accept", text=f"{TEXT} {i}") for i in range(12)]
    with pytest.warns(UserWarning, match="2 of 12 rows were left out"):
        dls = loaders(tmp_path, rows, text_col="text", label_col="label")
    assert dls.classes == ["a", "b"] and dls.train.n_rows + dls.valid.n_rows == 10
    dls = loaders(tmp_path, [prodigy(spans=SPANS, text=f"{TEXT} {i}") for i in range(8)], text_col="words",
                  label_col="tags", y_block="tags")
    assert dls.classes == ["B-LOC", "B-PER", "I-PER", "O"]
