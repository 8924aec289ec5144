"""Files in the format of SQuAD."""

import gzip
import json

import pytest

from ulmfit_easy.data.squad import read_squad
from ulmfit_easy.errors import FileError

ANSWER = {"text": "Oslo", "answer_start": 0}
V1 = {"version": "1.1", "data": [{"title": "Norway", "paragraphs": [
    {"context": "Oslo is a city.", "qas": [{"id": "1", "question": "What?", "answers": [ANSWER]}]},
    {"context": "서울은 도시다.", "qas": [{"id": "2", "question": "무엇?",
                                             "answers": [{"text": "서울", "answer_start": 0}]}]}]}]}
V2 = {"data": [{"paragraphs": [{"context": "Oslo is a city.", "qas": [
    {"id": "3", "question": "Who?", "is_impossible": True, "answers": [], "plausible_answers": [ANSWER]},
    {"id": "4", "question": "What?", "is_impossible": False, "answers": [ANSWER]}]}]}]}


@pytest.mark.parametrize("name", ["train-v1.1.json", "KorQuAD_v1.0_dev.json.gz"])
def test_a_question_is_a_row(tmp_path, name):
    data = json.dumps(V1, ensure_ascii=False).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert read_squad(tmp_path / name).to_dict("records") == [
        {"id": "1", "title": "Norway", "question": "What?", "context": "Oslo is a city.", "answers": [ANSWER]},
        {"id": "2", "title": "Norway", "question": "무엇?", "context": "서울은 도시다.",
         "answers": [{"text": "서울", "answer_start": 0}]}]


def test_an_impossible_question_has_no_answers(tmp_path):
    (tmp_path / "v2.json").write_text(json.dumps(V2))
    assert read_squad(str(tmp_path / "v2.json"))["answers"].tolist() == [[], [ANSWER]]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"data": [1]}', '{"data": [{"paragraphs": [{}]}]}', "[" * 9999])
def test_a_file_of_another_format_is_e407(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(FileError, match=r"E407.*x\.json.*read_table"):
        read_squad(tmp_path / "x.json")
