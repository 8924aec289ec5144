"""Installed language models: found by what their configs say, in the library and in wheels."""

import base64
import hashlib
import importlib.metadata
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from ulmfit_easy.all import (
    AWD_LSTM,
    SentencePieceTokenizer,
    TextDataLoaders,
    Tokenizer,
    ULMFiT,
    language_model_learner,
    read_lm,
    shipped_lm,
    text_classifier_learner,
)
from ulmfit_easy.apps.cli import main
from ulmfit_easy.bundle import shipped
from ulmfit_easy.bundle.artefact import load_bundle
from ulmfit_easy.errors import FileError
from ulmfit_easy.files import read_json, write_json
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.recipes.presets import LAPTOP, Phase, get_preset
from ulmfit_easy.recipes.starts import begin

sys.path.append(str(Path(__file__).parents[2] / "packages"))
from wheel import build

GOOD, BAD = "정말 재미있는 영화 배우들의 연기가 훌륭하다", "너무 지루한 영화 시간이 아깝고 돈도 아깝다"


@pytest.fixture(scope="module")
def korean(tmp_path_factory):
    """A folder of weights with one tiny model of Korean pieces, under a name that says nothing."""
    folder = tmp_path_factory.mktemp("weights")
    df = pd.DataFrame({"text": [f"{text} {i}" for i in range(20) for text in (GOOD, BAD)]})
    dls = TextDataLoaders.from_df(df, text_col="text", is_lm=True, bs=4, seq_len=8, seed=0,
                                  tok_tfm=SentencePieceTokenizer(lang="ko", vocab_sz=80), cache_dir=False)
    learn = language_model_learner(dls, AWD_LSTM, config=dict(emb_sz=8, n_hid=12, n_layers=2), pretrained=False,
                                   path=folder, verbose=False)
    learn.export("m1")
    return folder


@pytest.fixture
def wheel(korean, tmp_path, monkeypatch):
    """A function that unpacks a wheel of that model, as pip does, where Python looks for modules."""
    def install(name, folder=korean / "m1", **files):
        site = tmp_path / "site"
        with zipfile.ZipFile(build(name, "0.1", [folder], tmp_path)) as packed:
            packed.extractall(site)
        package = name.replace("-", "_")
        for file, text in ({"__init__.py": "raise RuntimeError('imported')"} | files).items():
            (site / package / file).write_text(text)
        monkeypatch.setattr(sys, "path", [str(site), *(p for p in sys.path if p != str(site))])
        return site / package
    return install


def test_a_model_is_found_by_language_direction_and_architecture(korean, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS", korean)
    assert shipped_lm("ko").name == "the Korean model that comes with ulmfit_easy (m1)"
    assert shipped.shipped_folder("ko") == shipped.shipped_folder("m1") == korean / "m1"
    assert shipped_lm("ko", backwards=True) is shipped_lm("en") is None
    assert shipped.shipped_folder("ko", True) is None


def test_a_config_is_read_once_and_again_only_after_a_change(korean, monkeypatch):
    read, config = [], korean / "m1" / "config.json"
    monkeypatch.setattr(shipped, "WEIGHTS", korean)
    monkeypatch.setattr(shipped, "read_json", lambda file, most: read.append(file) or read_json(file, most))
    os.utime(config, ns=(1, 1))
    folder, why = shipped.fitting(get_arch(AWD_LSTM), {}, False, Tokenizer(lang="ko").config())
    assert folder is None
    assert why.startswith("tokenizer: SpacyTokenizer (the installed model has Sentence")
    assert shipped.shipped_name(korean / "m1").endswith("(m1)")
    assert read == [config]
    os.utime(config, ns=(2, 2))
    assert shipped.shipped_folder("ko") == config.parent
    assert read == [config] * 2


@pytest.mark.parametrize("name", ["ko", "toy-ko", "toy_ko", "toy-ko/m1"])
def test_a_model_of_a_wheel_is_found_and_nothing_of_it_imported(wheel, name):
    folder = wheel("toy-ko")
    found = read_lm(name)
    assert found.name == "the Korean model of toy-ko (m1)"
    assert found.vocab == load_bundle(folder / "m1").vocab
    assert "toy_ko" not in sys.modules


def test_a_wheel_has_a_record_of_each_file(wheel):
    site = wheel("toy-ko").parent
    [found] = [dist for dist in importlib.metadata.distributions(path=[str(site)]) if dist.name == "toy-ko"]
    assert [point.value for point in found.entry_points] == ["toy_ko"]
    for file in found.files:
        data = file.locate().read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        assert file.name == "RECORD" or (file.hash.value, file.size) == (digest, len(data))


def test_of_two_wheels_the_first_by_name_is_taken_unless_another_is_named(wheel, korean, monkeypatch):
    second, first = wheel("b-ko"), wheel("a-ko")
    assert shipped.shipped_folder("ko") == first / "m1"
    assert shipped.shipped_folder("b-ko") == second / "m1"
    monkeypatch.setattr(shipped, "WEIGHTS", korean)
    assert shipped.shipped_folder("ko") == korean / "m1"


def test_of_two_directions_in_a_wheel_the_one_that_is_asked_for_is_taken(wheel):
    folder = wheel("toy-ko")
    shutil.copytree(folder / "m1", folder / "m0")
    config = read_json(folder / "m0/config.json")
    write_json(folder / "m0/config.json", config | {"text": config["text"] | {"backwards": True}})
    for name in "ko", "toy-ko":
        assert [shipped.shipped_folder(name, way).name for way in (False, True)] == ["m1", "m0"]
    assert shipped.shipped_folder("toy-ko/m0").name == "m0"


def test_a_wheel_that_is_installed_in_place_is_found(wheel, tmp_path, monkeypatch):
    shutil.move(wheel("toy-ko"), tmp_path / "src" / "toy_ko")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "src"), *sys.path])
    assert shipped.shipped_folder("ko") == tmp_path / "src" / "toy_ko" / "m1"
    assert "toy_ko" not in sys.modules


def test_the_one_that_splits_as_the_texts_are_split_is_taken(wheel, korean, tmp_path):
    other = wheel("a-ko", shutil.copytree(korean / "m1", tmp_path / "other")) / "other"
    config = read_json(other / "config.json")
    tokenizer = config["text"]["tokenizer"] | {"rules": []}
    write_json(other / "config.json", config | {"text": config["text"] | {"tokenizer": tokenizer}})
    wheel("b-ko")
    for taken, wanted in ("other", tokenizer), ("m1", read_json(korean / "m1/config.json")["text"]["tokenizer"]):
        folder, why = shipped.fitting(get_arch(AWD_LSTM), {}, False, wanted)
        assert (folder.name, why) == (taken, "")


BROKEN = {"[]": "format None", "{": "cannot be read as JSON", "{}": "format None", '{"format": 1}': "'arch'",
          '{"format": 3, "task": "lm"}': "format 3", '{"format": 2}': "'task'",
          '{"format": 2, "task": "lm", "text": {"tokenizer": {"tok": {}}, "backwards": false}, '
          '"encoder": {"name": "AWD_LSTM", "config": {}}}': "an object with tok, rules",
          '{"format": 2, "task": "lm", "text": {"tokenizer": {}, "backwards": 0}, '
          '"encoder": {"name": "AWD_LSTM", "config": []}}': r"config=\[\], backwards=0"}


@pytest.mark.parametrize("text", BROKEN)
def test_a_wheel_that_cannot_be_read_is_told_and_others_are_found(wheel, text):
    folder = wheel("a-ko", **{"config.json": text})
    wheel("b-ko")
    shutil.rmtree(folder / "m1")
    with pytest.warns(UserWarning, match=rf"E404.*of a-ko.*{BROKEN[text]}.*the other models are used"):
        assert shipped.shipped_folder("ko").parent.name == "b_ko"


@pytest.mark.parametrize(("name", "folders"), [("2ko", ["a"]), ("a ko", ["a"]), ("ko", ["a", "b/a"])])
def test_a_wheel_whose_folders_would_not_be_found_is_refused(name, folders, tmp_path):
    with pytest.raises(SystemExit, match="Fix: rename them"):
        build(name, "0.1", [tmp_path / folder for folder in folders], tmp_path)


def test_a_wheel_of_anything_but_language_models_is_refused(korean, tmp_path):
    df = pd.DataFrame({"text": [GOOD, BAD] * 4, "label": ["a", "b"] * 4, "valid": [False] * 4 + [True] * 4})
    dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", valid_col="valid", min_freq=1, bs=4,
                                  cache_dir=False)
    learn = text_classifier_learner(dls, AWD_LSTM, config=dict(emb_sz=4, n_hid=4, n_layers=1), pretrained=False)
    (tmp_path / "empty").mkdir()
    refused = {learn.export(tmp_path / "classifier"): "E402.*a classifier", tmp_path / "empty": "E404",
               tmp_path / "none": "E404"}
    for folder, said in refused.items():
        with pytest.raises(FileError, match=said):
            build("ko", "0.1", [korean / "m1", folder], tmp_path)
    assert not list(tmp_path.glob("*.whl"))


@pytest.mark.parametrize("value", ["gone", "../a_ko", "a_ko:m1", ""])
def test_an_entry_point_to_no_folder_is_told(wheel, value):
    folder = wheel("a-ko")
    wheel("b-ko")
    points = next(folder.parent.glob("a_ko*.dist-info")) / "entry_points.txt"
    points.write_text(f"[ulmfit_easy.weights]\nko = {value}\n")
    with pytest.warns(UserWarning, match="E404.*the wheel a-ko"):
        assert shipped.shipped_folder("ko").parent.name == "b_ko"


def test_a_language_without_a_model_is_told_with_those_that_have_one(wheel):
    wheel("toy-ko")
    with pytest.raises(FileError, match=r"E404.*'th'.*one of ko \(forwards\).*install a wheel"):
        read_lm("th")
    with pytest.raises(FileError, match="E404.*'ko'.*reads backwards"):
        read_lm("ko", backwards=True)


@pytest.mark.parametrize("way", [{"pretrained": "ko"}, {"lang": "ko"}], ids=str)
def test_data_and_learners_for_a_language_take_the_model_of_its_wheel(wheel, recwarn, way):
    wheel("toy-ko")
    df = pd.DataFrame({"text": [GOOD, BAD] * 12, "label": ["good", "bad"] * 12})
    common = {"text_col": "text", "bs": 4, "seed": 0, "cache_dir": False, **way}
    recwarn.clear()
    learn = language_model_learner(TextDataLoaders.from_df(df, is_lm=True, seq_len=8, **common), AWD_LSTM)
    clas = text_classifier_learner(TextDataLoaders.from_df(df, label_col="label", **common), AWD_LSTM)
    for each in (learn, clas):
        assert isinstance(each.dls.tokenizer.tok, SentencePieceTokenizer)
        assert each.dls.text_vocab == shipped_lm("ko").vocab
        assert each.started_from == "the Korean model of toy-ko (m1)"
    assert not [w for w in recwarn.list if "pretrained" in str(w.message)]


def test_a_direction_without_a_model_is_told_before_it_learns_from_nothing(wheel):
    wheel("toy-ko")
    with pytest.warns(UserWarning, match="no installed model reads Korean backwards: .* leave out bidir="):
        assert begin(None, True, True, bidir=True, lang="ko") is None
    assert begin(None, True, False, bidir=True, lang="ko").name == "the Korean model of toy-ko (m1)"


def test_an_estimator_for_a_language_starts_from_its_model_and_tokenizer(wheel, capsys):
    wheel("toy-ko")
    tiny = get_preset(LAPTOP, lm=(Phase(1, 1e-2),), clas=(Phase(1, 1e-2),), lm_bs=8, clas_bs=8)
    model = ULMFiT(lang="ko", preset=tiny, seed=0).fit(
        [f"{text} {i}" for i in range(20) for text in (GOOD, BAD)], ["좋음", "나쁨"] * 20)
    assert "Starts from the Korean model of toy-ko (m1)" in capsys.readouterr().out
    dls = model.learners_[0].dls
    assert isinstance(dls.tokenizer.tok, SentencePieceTokenizer) and dls.text_vocab == shipped_lm("ko").vocab
    assert set(model.predict([GOOD, BAD])) <= {"좋음", "나쁨"}


def test_a_korean_model_is_scored_beside_a_baseline_of_characters(wheel, tmp_path, capsys):
    """Words with their particles say little, so no baseline of words is kept in the model."""
    wheel("toy-ko")
    tiny = get_preset(LAPTOP, lm=(Phase(1, 1e-2),), clas=(Phase(1, 1e-2),), lm_bs=8, clas_bs=8)
    texts = [f"{text} {i}" for i in range(20) for text in (GOOD, BAD)]
    df = pd.DataFrame({"text": texts, "label": ["좋음", "나쁨"] * 20})
    model = ULMFiT(lang="ko", preset=tiny, seed=0).fit(df["text"], df["label"])
    assert "words" not in model.blend_.shares and "character_bigrams" in model.blend_.shares
    model.save(tmp_path / "model")
    df.to_csv(tmp_path / "test.csv", index=False)
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "model"), str(tmp_path / "test.csv")]) == 0
    assert "TF-IDF with logistic regression, which learned beside it: accuracy 1.000" in capsys.readouterr().out
