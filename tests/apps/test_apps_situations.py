"""What people get wrong at the command line: each situation is answered by its cause and by what to type.

One row is one situation: the command, with names of the files below, and words that the answer must hold.
"""

import json
import re
import shlex

import pandas as pd
import pytest

from ulmfit_easy.apps.cli import main
from ulmfit_easy.data.toy import toy_reviews

SITUATIONS = {
    # the command
    "no such command": ("trian good.csv", "did you mean `ulmfit train`"),
    "a command of another tool": ("fit good.csv", "did you mean `ulmfit train`"),
    "a file in place of a command": ("good.csv", "`ulmfit train good.csv`"),
    "no file": ("train", "without FILE", "type it as in `ulmfit train "),
    "a misspelt option": ("train good.csv --lable label", "did you mean --label"),
    "an option of another library": ("train good.csv --batch-size 8", "did you mean --bs"),
    "a long name of another library": ("train good.csv --learning-rate 0.1", "did you mean --lr"),
    "a word for a number": ("train good.csv --seed one", "--seed", "int"),
    "a rate below 0": ("train good.csv --lr -1", "--lr -1", "above 0", "leave out --lr"),
    "no epochs": ("train good.csv --epochs 0", "--epochs 0", "1 or more"),
    "two options that exclude each other": ("train good.csv --from-scratch --pretrained lm", "not allowed with"),
    "both directions twice": ("train good.csv --bidir --backwards", "leave --backwards out"),
    "one model for two directions": ("train good.csv --bidir --pretrained model/forwards", "two language models"),
    "two models for one direction": ("train good.csv --pretrained model --pretrained model", "--pretrained twice",
                                     "--bidir"),
    "a seed below 0": ("train good.csv --seed -1", "--seed -1", "Fix: leave out --seed"),
    "a choice that is not there": ("train good.csv --class-weight equal", "balanced"),
    "an unknown preset": ("train good.csv --preset lapptop", "laptop"),
    "an unknown task": ("train good.csv --task classification", "--task", "category", "tags"),
    "an unknown language": ("train good.csv --lang korean --from-scratch", "ko"),
    "an unknown encoder": ("train good.csv --encoder minilmm", "minilm"),
    "a text without quotes": ("predict model The soup was cold.", "between quotes"),
    # the file
    "a file that is not there": ("train goood.csv", "goood.csv", "did you mean 'good.csv'"),
    "an address": ("train https://example.com/a.csv", "https://example.com/a.csv", "download"),
    "an empty file": ("train empty.csv", "empty"),
    "a header alone": ("train header.csv", "without rows|no texts|none of them|0 rows"),
    "a file in another encoding": ("train cp949.csv", "--encoding cp949"),
    "an encoding that does not exist": ("train good.csv --encoding utf9", "--encoding utf9"),
    "an encoding that is none of texts": ("train good.csv --encoding punycode", "leave out --encoding"),
    "another delimiter than the file's": ("train good.csv --delimiter ;", "--delimiter ,"),
    "a delimiter of two characters": ("train good.csv --delimiter ,,", "one character"),
    "a PDF": ("train paper.pdf", "PDF"),
    "plain text": ("train corpus.txt", "ulmfit pretrain --corpus corpus.txt"),
    "plain text for lm": ("lm corpus.txt", "tabs between.*ulmfit pretrain --corpus"),
    "plain text beside a table": ("train good.csv --unlabelled corpus.txt", "tabs between.*ulmfit pretrain --corpus"),
    "a folder without classes": ("train flat", "folder of its class"),
    "an empty folder": ("train nothing", ".txt"),
    "a folder for pairs": ("train flat --text a --text b", "make a table"),
    # columns and labels
    "a misspelt column": ("train good.csv --text txt", "--text text"),
    "other names of columns": ("train named.csv", "--text review --label stars"),
    "text and label swapped": ("train good.csv --text label --label text", "--label|swapped"),
    "one class": ("train one.csv", "1 class", "two or more"),
    "a missing label": ("train gap.csv", "missing label", "row 3"),
    "ids as labels": ("train good.csv --label id", "--label"),
    "numbers with fractions": ("train ratings.jsonl", "--task regression"),
    "no text at all": ("train blank.csv", "none of them with a text"),
    "tags that do not fit the words": ("train bad.jsonl", "more or fewer tags than words", "rows? 0"),
    "a line of CoNLL with no tag": ("train bad.conll", "line 2"),
    "too few rows": ("train two.csv", "give two rows or more"),
    # the model
    "a model that is there": ("train good.csv --out model", "add --overwrite", "--out"),
    "a folder of the user's": ("train good.csv --out flat", "1.txt"),
    "a file as the place of a model": ("train good.csv --out good.csv", "good.csv"),
    "a place that cannot be": ("train good.csv --out good.csv/m", "nothing can be written"),
    "nothing to resume": ("lm good.csv --resume", "leave out --resume"),
    "no such model": ("predict modell good.csv", "modell", "did you mean 'model'"),
    "a table as a model": ("predict good.csv good.csv", "good.csv"),
    "a folder that is no model": ("predict flat good.csv", "ulmfit train"),
    "a part of a model": ("predict model/forwards good.csv", "name that one, not a folder in it"),
    "a model and a file swapped": ("evaluate good.csv model", "good.csv"),
    "a column that the new table has not": ("predict model named.csv", "--text review"),
    "a table that has been predicted already": ("predict model done.csv", "'prediction'", "rename it"),
    "an output of another kind": ("predict model good.csv --out p.xlsx", ".csv"),
    "an output that pandas could compress": ("predict model good.csv --out p.csv.zip", "try --out .*csv"),
    "an output without an ending": ("predict model none.csv --out p", "try --out p.csv"),
    "a folder as the output": ("predict model good.csv --out flat", "a folder"),
    "no classes wanted": ("predict model good.csv --top-k 0", "--top-k 0", "1 or more"),
    "a word that is no file": ("predict model great", "echo great"),
    "two files": ("predict model good.csv named.csv", "without --out", "name a new one with --out"),
    "the column of another thing as labels": ("evaluate model good.csv --label topic", "not classes of this model",
                                              "--label"),
    "labels that are not there": ("evaluate model named.csv --text review", "--label stars"),
    "scores in a table": ("evaluate model good.csv --out scores.csv", "scores.json"),
    "a class that the model has not": ("explain model 'a b' --label positive", "did you mean 'pos'|neg, pos"),
    "a file to explain": ("explain model good.csv", "type the text between quotes"),
    "one text for a model of one": ("predict model good.csv --text a --text b", "--text"),
    "a classifier as a language model": ("evaluate-lm corpus.txt --model model", "a classifier", "ulmfit pretrain"),
    "a classifier to start from": ("lm good.csv --pretrained model", "model"),
    "pieces of words of a model that has its own": ("lm good.csv --pretrained lm --subword 100", "--subword"),
    "a column that doctor does not find": ("doctor good.csv --label lable", "--label label"),
    "an unknown strategy": ("query model good.csv --strategy margn", "--strategy", "margin"),
    "no rows to query": ("query model good.csv -k 0", "-k 0", "1 or more"),
    "a file that is no preset": ("train good.csv --preset model/training.json", "no preset", "ulmfit tune"),
    "drift of a column that is not there": ("drift model named.csv", "--text review"),
    "a toy over a file": ("toy --out good.csv", "choose another name"),
    "a toy over a folder": ("toy --out flat", "Fix: try --out reviews.csv"),
    "a demo without its texts": ("demo --data none.tar.gz", "make demo"),
}


@pytest.fixture(scope="module")
def place(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("situations")
    (folder / "model").symlink_to(trained)
    good = toy_reviews(30, seed=3).assign(id=range(30))
    tables = {
        "good": good, "named": good.rename(columns={"text": "review", "label": "stars"}).drop(columns=["id", "topic"]),
        "one": good.assign(label="pos"), "gap": good.assign(label=[*good["label"][:3], None, *good["label"][4:]]),
        "blank": good.assign(text=" "), "two": good[:2], "done": good.assign(prediction="pos"), "header": good[:0]}
    for name, df in tables.items():
        df.to_csv(folder / f"{name}.csv", index=False)
    ratings = [{"text": text, "label": i + 0.5} for i, text in enumerate(good["text"])]
    words = [{"words": ["Anna", "sleeps"], "tags": ["B-PER", "O"][:1 + i % 2]} for i in range(20)]
    for name, rows in (("ratings", ratings), ("bad", words)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "bad.conll").write_text("Anna B-PER\n\n \nOslo\n".replace("\n\n \n", "\n") + "\n")
    (folder / "empty.csv").touch()
    korean = pd.DataFrame({"text": ["화면이 정말 밝고 좋아요", "배송이 늦어요"] * 10, "label": ["pos", "neg"] * 10})
    (folder / "cp949.csv").write_bytes(korean.to_csv(index=False).encode("cp949"))
    (folder / "paper.pdf").write_bytes(b"%PDF-1.7 ...")
    (folder / "corpus.txt").write_text("a nice text is here .\n\nand another one , too .\n")
    (folder / "nothing").mkdir()
    (folder / "flat").mkdir()
    (folder / "flat" / "1.txt").write_text("good")
    return folder


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_answer_holds_the_cause_and_what_to_type(situation, place, tiny, capsys, monkeypatch):
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    line, *words = SITUATIONS[situation]
    assert main(shlex.split(line)) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.match(r"ulmfit: \[E\d\d\d\] Received .* Expected .* Fix: ", said), said
    assert [word for word in words if not re.search(word, said)] == [], said
    assert not re.search(r"(?<![\w-])(text_col|label_col|y_block|X_val|encoding|delimiter)=", said), said
    assert sorted(place.rglob("*")) == before  # nothing half-written is left
