"""A saved model has a card and a record of the same facts; what a user wrote is never taken for one."""

import json

from ulmfit_easy.bundle.record import is_record, write_record

RECORD = {"kind": "classifier", "language": "en", "scores": {"accuracy": 0.81234, "p value": None},
          "data": {"texts": 1200, "texts of each class": {"neg": 4, "pos": 6}},
          "training": {"phase": [{"epochs": 1, "rate": 0.02}, {"epochs": 2, "rate": 0.01}]}}


def card_of(folder, record, name="m"):
    write_record(folder, name, record, "ulmfit predict m new.csv")
    return (folder / "README.md").read_text()


def test_card_and_record_have_the_same_facts(tmp_path):
    card = card_of(tmp_path, RECORD)
    for part in ("# m\n", 'language: "en"\n', "- text-classification", "* accuracy: 0.8123\n", "* texts: 1,200\n",
                 "* texts of each class: neg 4, pos 6\n", "* phase 2: epochs 2, rate 0.01\n",
                 "\nulmfit predict m new.csv\n"):
        assert part in card, part
    found = json.loads((tmp_path / "training.json").read_text())
    assert found.pop("written_by") == "ulmfit_easy" and found == RECORD


def test_a_file_that_a_user_wrote_or_changed_is_the_users(tmp_path):
    card_of(tmp_path, RECORD)
    card, record = tmp_path / "README.md", tmp_path / "training.json"
    assert is_record(card) and is_record(record) and not is_record(tmp_path) and not is_record(tmp_path / "none")
    written = card.read_text()
    for changed in (written + "x", written.replace("neg", "bad"), "# My thesis\n", "", written + written):
        card.write_text(changed)
        assert not is_record(card)
    for changed in ("", "[]", "3", "{}", '{"written_by": "me"}'):
        record.write_text(changed)
        assert not is_record(record)
    (tmp_path / "other.md").write_text(written)
    assert not is_record(tmp_path / "other.md")
