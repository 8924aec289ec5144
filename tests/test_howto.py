"""The how-to guides run as they stand, on small data and small models, and their index has each of them."""

import json
import re
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest
from hf_toys import save_bert
from test_readme import blocks, commands

from ulmfit_easy.all import (
    AWD_LSTM,
    PRESETS,
    TextDataLoaders,
    language_model_learner,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.apps.cli import parser
from ulmfit_easy.bundle import shipped

HOWTO = Path(__file__).parent.parent / "docs" / "howto"
GUIDES = [pytest.param(path, id=path.stem) for path in sorted(HOWTO.glob("*.md")) if path.stem != "index"]
SIZES = {"emb_sz": 8, "n_hid": 12, "n_layers": 2}


def answered(n: int) -> list[dict]:
    """Return a page of questions in the form of SQuAD."""
    asked = [{"id": str(i), "question": "Who?", "answers": [{"text": "Anna", "answer_start": 0}]} for i in range(n)]
    return [{"title": "A page", "paragraphs": [{"context": "Anna buys bread.", "qas": asked}]}]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with the files that the guides name, and models of the paper's kind that are small."""
    matplotlib.use("Agg")
    folder = tmp_path_factory.mktemp("howto")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(shipped, "WEIGHTS", folder / "weights")
        for config in ("lm_config", "clas_config"):
            patch.setattr(AWD_LSTM, config, {**getattr(AWD_LSTM, config), **SIZES})
        patch.setitem(PRESETS, "laptop", replace(PRESETS["laptop"], config=SIZES))
        df = toy_reviews(80)
        for name in ("reviews.csv", "new.csv"):
            df.to_csv(name, index=False)
        df.assign(answer=["accept"] * 75 + ["reject"] * 5).to_json("prodigy.jsonl", orient="records", lines=True)
        df.rename(columns={"text": "sentence1"}).assign(sentence2=df["text"]).to_csv("pairs.csv", index=False)
        for i, (text, label) in enumerate(zip(df["text"], df["label"], strict=True)):
            (folder / "texts" / label).mkdir(parents=True, exist_ok=True)
            (folder / "texts" / label / f"{i}.txt").write_text(text)
        Path("train.conll").write_text("Anna B-PER\nlives O\nin O\nOslo B-LOC\n\n" * 20)
        Path("squad.json").write_text(json.dumps({"version": "1.1", "data": answered(20)}))
        Path("vectors.txt").write_text("\n".join(f"{word} " + "0.1 " * 50 for word in ("the", "soup", "film")))
        save_bert(folder / "my-bert")
        dls = TextDataLoaders.from_df(df, text_col="text", is_lm=True, bs=8, seq_len=10, seed=0)
        lm = language_model_learner(dls, AWD_LSTM, pretrained=False, verbose=False)
        lm.export("weights/awd_lstm-fwd")
        lm.export("english")
        dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", bs=8, seed=0)
        text_classifier_learner(dls, AWD_LSTM, verbose=False).export("my-classifier")
        yield folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", GUIDES)
def test_a_guide_runs(path, files):
    if path.stem == "onnx":
        pytest.importorskip("onnxruntime", reason="needs onnx and onnxruntime: pip install -e '.[onnx]'")
    for code in blocks(path, "python"):
        exec(compile(code, path.name, "exec"), {})


@pytest.mark.parametrize("path", GUIDES)
def test_a_guide_asks_a_question_and_shows_what_to_type(path):
    text = path.read_text(encoding="utf-8")
    assert re.match(r"# I have .+ \S+ .+\?\n", text)
    assert blocks(path, "python") or commands(path)
    for code in blocks(path, "python"):
        compile(code, path.name, "exec")
    for command in [*commands(path), *re.findall(r"`(ulmfit \w+ [^`]+)`", text)]:
        parser().parse_args(command.split()[1:])
    assert f"[{text.splitlines()[0][2:]}]({path.name})" in (HOWTO / "index.md").read_text(encoding="utf-8")
