"""What a text or a label says is shown and never obeyed: by a notebook, a model card, a spreadsheet, a file system."""

import csv
import io
import os
import re
import shlex
import sys
import tempfile
import types
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
import torch
from faults import tally

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    ClassificationInterpretation,
    TextDataLoaders,
    doctor,
    explain,
    load_learner,
    text_classifier_learner,
)
from ulmfit_easy.bundle.record import write_record
from ulmfit_easy.data.targets import CategoryTarget
from ulmfit_easy.learner.callbacks.progress import MetricsTable
from ulmfit_easy.learner.predictor import Prediction

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # the texts are few and alike

HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>', "</td></tr></table>",
    "<a href='javascript:alert(1)'>x</a>", "<iframe src=//x></iframe>", "<style>*{display:none}</style>", "<!--", "-->",
    "<![CDATA[x]]>", "' onmouseover='alert(1)", '" style="x', "&lt;b&gt;", "&#60;b&#62;", "$$\\href{javascript:x}{y}$$",
    r"\(\unicode{60}\)", r"\begin{equation}x\end{equation}", "<b\n>", "\x01<b>", "<\x1b[31mb>", "a\u202eb<b>",
    "<scr<script>ipt>", "<B/onclick=x>", "{{7*7}}",
]
MARK = "kanary"  # a word beside each hostile string, to see that the view shows the row at all


class Tags(HTMLParser):
    """The tags of a page, with their attributes; text that a formula reader would take for one."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.found, self.formulas = [], 0

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, tuple(name for name, _ in attributes)))

    def handle_endtag(self, tag):
        self.found.append((f"/{tag}", ()))

    def handle_comment(self, data):
        self.found.append(("comment", ()))

    def unknown_decl(self, data):
        self.found.append(("declaration", ()))

    handle_decl = handle_pi = unknown_decl

    def handle_data(self, data):
        self.formulas += len(data) > 1 and any(c in data for c in "$\\")


OURS = {("table", ("class",)), ("tr", ()), ("th", ("style",)), ("td", ("style",)), ("span", ()), ("b", ()),
        ("span", ("title", "style")), ("div", ("class", "style")), ("p", ()), ("ul", ()), ("li", ())}
OURS |= {(f"/{tag}", ()) for tag, _ in OURS}


def raw(html: str) -> int:
    """Tags, comments and formulas in a page that are none of ours."""
    page = Tags()
    page.feed(html)
    page.close()
    return sum(tag not in OURS for tag in page.found) + page.formulas + sum(c in html for c in "\x01\x1b\u202e")


@pytest.fixture
def shown(monkeypatch):
    """What a notebook is given to show."""
    pages = []
    shell = type("ZMQInteractiveShell", (), {})()

    def display(thing, **_):
        pages.append(thing if isinstance(thing, str) else thing._repr_html_())
        return types.SimpleNamespace(update=display)

    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(HTML=str, display=display))
    return pages


def table(evil: str) -> pd.DataFrame:
    """Texts and labels that hold a hostile string; the tokenizer is told to leave both whole."""
    texts = [f"{MARK}\u00a0{evil}", f"good {evil} film {MARK}"] * 6
    return pd.DataFrame({"text": texts, "label": [f"{MARK} {evil}", "b"] * 6})


def classifier(evil: str):
    dls = TextDataLoaders.from_df(table(evil), text_col="text", label_col="label", min_freq=1, bs=4, seed=0, rules=[],
                                  tok_tfm=BaseTokenizer(split_char="\t"))
    torch.manual_seed(0)
    return text_classifier_learner(dls, AWD_LSTM, pretrained=False, verbose=False,
                                   config={"emb_sz": 4, "n_hid": 6, "n_layers": 1})


VIEWS = {
    "show_batch": lambda learn, evil: learn.dls.show_batch(),
    "show_results": lambda learn, evil: learn.show_results(),
    "top losses": lambda learn, evil: ClassificationInterpretation.from_learner(learn).plot_top_losses(4),
    "results of an interpretation": lambda learn, evil: ClassificationInterpretation(learn).show_results([0, 1]),
    "explain": lambda learn, evil: explain(learn, table(evil)["text"][0], f"{MARK} {evil}").show(),
    "doctor": lambda learn, evil: doctor(table(evil)).show(),
    "doctor of loaders": lambda learn, evil: learn.dls.doctor().show(),
    "metrics": lambda learn, evil: MetricsTable([f"{MARK} {evil}"]).add([f"{MARK} {evil}"]),
}


def seen_in(learn, view, evil, shown) -> int:
    shown.clear()
    VIEWS[view](learn, evil)
    assert shown, (view, evil)
    return sum(map(raw, shown))


def test_no_text_and_no_label_becomes_markup_in_a_notebook(shown):
    found, marked = {}, set()
    for evil in HOSTILE:
        learn = classifier(evil)
        for view in VIEWS:
            if count := seen_in(learn, view, evil, shown):
                found[view, evil] = count
            marked |= {view} if any(MARK in page for page in shown) else set()
    assert not found
    assert marked >= VIEWS.keys() - {"doctor", "doctor of loaders"}  # a checkup shows no text
    tally("S9", "hostile texts and labels in notebook views", len(HOSTILE) * len(VIEWS), sum(found.values()), "shown",
          "raw tags")


def test_the_check_above_sees_a_view_that_does_not_escape(shown, monkeypatch):
    learn = classifier(HOSTILE[0])
    monkeypatch.setattr("ulmfit_easy.viz.escape", str)
    assert all(seen_in(learn, view, HOSTILE[0], shown) for view in ("show_batch", "show_results", "explain"))
    assert sum(raw(evil) > 0 for evil in HOSTILE) >= 15  # the others are quotes and entities


def test_names_of_classes_are_drawn_as_they_are():
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    for evil in (HOSTILE[0], HOSTILE[14]):
        learn = classifier(evil)
        ax = ClassificationInterpretation(learn).plot_confusion_matrix()
        ax.figure.canvas.draw()  # a formula that matplotlib cannot parse would raise
        names = [name[:30] for name in learn.dls.classes]
        assert any(evil[:20] in name for name in names)
        assert [[label.get_text() for label in axis.get_ticklabels()] for axis in (ax.xaxis, ax.yaxis)] == [names] * 2
        plt.close("all")


# --- the model card ---------------------------------------------------------------------------------------------

OUTSIDE_OF_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)


def card_of(evil: str) -> str:
    record = {"kind": "language_model", "language": evil, "scores": {"measured on": evil, evil: 1.0},
              "model": {"reads": "forwards", "started from": evil}, "data": {"file": [{"name": evil}, {evil: 2}]}}
    with tempfile.TemporaryDirectory() as folder:
        write_record(Path(folder), f"{MARK}{evil}", record)
        return re.sub("<!-- ulmfit_easy [0-9a-f]{64} -->", "", (Path(folder) / "README.md").read_text())


EVIL_NAMES = [
    *HOSTILE, "[x](javascript:alert(1))", "![x](http://192.0.2.1/track.png)", "[x]: javascript:x", "`", "``` \n# b",
    "a | b |", "\n---\nlicense: mit\n---\n", "!!python/object/apply:os.system [x]", "en\ntags: [x]", "no", "{x: y}",
    "lm; rm -rf ~", "$(touch x)", "`touch x`", "'; touch x; '", "&lt;script&gt;",
]


def broken_card(evil: str, plain: str) -> list[str]:
    """What a name did to a card that it should not."""
    card = card_of(evil)
    head, text = card.split("\n---\n", 1)
    prose = OUTSIDE_OF_CODE.sub("", text)
    command = re.search(r"```\n(ulmfit train .*)\n```", text)
    checks = {
        "markup": "<" in prose or ">" in prose, "a link": bool(re.search(r"(?<!\\)\[", prose)),
        "an entity": bool(re.search(r"(?<!\\)&", prose)),
        "a formula": bool(re.search(r"(?<!\\)\$", prose)),
        "another line": len(card.splitlines()) != len(plain.splitlines()),
        "another head": head.splitlines()[0] != "---" or not re.fullmatch(r'language: "[\w-]*"', head.splitlines()[1]),
        "another command": len(shlex.split(command[1])) != 5 if command else True,
    }
    return [name for name, broke in checks.items() if broke]


def test_no_name_breaks_out_of_a_model_card():
    plain, found = card_of("lm"), {}
    for evil in EVIL_NAMES:
        if broken := broken_card(evil, plain):
            found[evil] = broken
    assert not found
    tally("S10", "hostile names in a model card", len(EVIL_NAMES), len(found), "tried", "broke out")


# --- tables and paths -------------------------------------------------------------------------------------------

FORMULAS = ["=cmd|'/c calc'!A1", "+cmd|'/c calc'!A1", "-2+3+cmd|'/c calc'!A1", "@SUM(1+1)*cmd|'/c calc'!A1",
            "\t=1+1", "\r=1+1", "\n=1+1", " =HYPERLINK(\"http://192.0.2.1\")", "\uff1d1+1", "=1+1", "-1+1",
            "+49 30 123456"]
PLAIN = ["-5", "+3.5", "-1e9", "a=b", "it - was", "", "'quoted'", "a\rb", "1,5"]


def test_no_cell_of_a_csv_is_a_formula(tmp_path, monkeypatch):
    from ulmfit_easy.apps import cli

    prepare = types.SimpleNamespace(target=CategoryTarget(["=1+1", "b"]), text_cols=("text",), label_delim=None)
    said = Prediction("=1+1", torch.tensor(0), torch.tensor([0.9, 0.1])).of(["=1+1", "b"])
    predictor = types.SimpleNamespace(classes=["=1+1", "b"], prepare=prepare, predict=lambda texts: [said] * len(texts))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "estimator.json").touch()
    monkeypatch.setattr("ulmfit_easy.apps.saved_model.load_saved", lambda path, load: ({"a": 1}, [predictor], None))
    rows = [*FORMULAS, *PLAIN]
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    with open(source, "w", newline="", encoding="utf-8") as f:
        csv.writer(f, quoting=csv.QUOTE_ALL).writerows([["text", "=1+1"], *[[row, row] for row in rows]])
    cli.main(["predict", str(tmp_path / "model"), str(source), "--text", "text", "--out", str(out), "--safe-cells"])
    read = list(csv.reader(io.StringIO(out.read_bytes().decode("utf-8"), newline="")))
    cells = [cell for row in read for cell in row]
    formulas = [cell for cell in cells if cell.lstrip()[:1] in set("=+-@\uff1d") - {""} and cell not in PLAIN]
    assert [row[0] for row in read[1 + len(FORMULAS):]] == PLAIN  # as they were
    assert [row[0].removeprefix("'") for row in read[1:1 + len(FORMULAS)]] == FORMULAS
    assert not formulas
    tally("S10", "cells of a table of predictions", len(cells), len(formulas), "written", "formulas")


def test_names_of_classes_are_never_paths(tmp_path):
    names = ["../../escaped", "/tmp/escaped", "a/b", "..", "C:\\escaped", "a\nb", "con"]
    df = pd.DataFrame({"text": ["a good film", "a bad film"] * 14, "label": [n for n in names for _ in range(4)]})
    dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", min_freq=1, bs=4, seed=0,
                                  path=tmp_path / "in/here", tok_tfm=BaseTokenizer())
    learn = text_classifier_learner(dls, AWD_LSTM, pretrained=False, verbose=False,
                                    config={"emb_sz": 4, "n_hid": 6, "n_layers": 1})
    learn.save("saved")
    loaded = load_learner(learn.export("out"))
    loaded.predict("a good film")
    ClassificationInterpretation(learn).print_classification_report()
    assert loaded.dls.classes == sorted(names)
    written = {str(p.relative_to(tmp_path / "in/here")) for p in tmp_path.rglob("*") if p.is_file()}
    bundle = ("config.json", "vocab.json", "model.safetensors", "README.md", "training.json")
    expected = {"models/saved.safetensors", *(f"out/{name}" for name in bundle)}
    assert written >= expected and not os.path.exists("/tmp/escaped")
    tally("S10", "names of classes that look like paths", len(names), len(written - expected), "tried", "written to")
