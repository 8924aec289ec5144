"""The Hugging Face hub: a model that is sent comes back the same, pinned, and nothing is fetched that is not asked for.

The hub is a server of these tests.
"""

import json
from dataclasses import replace

import pytest
import torch

pytest.importorskip("huggingface_hub", reason="needs the package huggingface_hub: pip install -e '.[hub]'")

import httpx
from hub_server import Hub
from huggingface_hub.errors import HFValidationError

from ulmfit_easy.apps.cli import main
from ulmfit_easy.bundle import hub as ours
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.learner.text import load_learner, text_classifier_learner
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.recipes.presets import PRESETS
from ulmfit_easy.text.words import BaseTokenizer

TEXT = "The soup was superb."


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub, whose client keeps what it fetches in a folder of the test."""
    from huggingface_hub import constants

    found = Hub()
    for name, value in {"ENDPOINT": found.address, "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": False,
                        "HUGGINGFACE_CO_URL_TEMPLATE": found.address + "/{repo_id}/resolve/{revision}/{filename}",
                        "HF_TOKEN_PATH": str(tmp_path / "none"), "HF_HUB_DISABLE_TELEMETRY": True}.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("ULMFIT_EASY_OFFLINE", raising=False)
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture(scope="module")
def learn():
    dls = TextDataLoaders.from_df(toy_reviews(60, seed=0), tok_tfm=BaseTokenizer(), bs=16, seed=0)
    found = text_classifier_learner(dls, AWD_LSTM, pretrained=False, verbose=False,
                                    config={"emb_sz": 8, "n_hid": 12, "n_layers": 2})
    found.fit(1, 1e-2)
    return found


def test_a_learner_comes_back_from_its_commit_and_says_where_it_is_from(hub, learn, tmp_path):
    first = learn.push_to_hub("me/reviews")
    sent = hub.repos["me/reviews"][-1]
    assert sent.keys() == {".gitattributes", "model.safetensors", "vocab.json", "config.json", "README.md",
                           "training.json"}
    card = sent["README.md"].decode()
    assert "load_learner('me/reviews', revision='main')" in card and "valid_loss" in card
    hub.repos["me/reviews"].append({"model.safetensors": b"another one"})
    again = load_learner("me/reviews", revision=first)
    assert torch.equal(again.predict(TEXT).probs, learn.predict(TEXT).probs)
    assert again.started_from == f"me/reviews@{first}"
    assert f"started from: me/reviews@{first}" in (again.export(tmp_path / "again") / "README.md").read_text()
    n = len(hub.asked)
    load_learner("me/reviews", revision=first)
    assert len(hub.asked) == n  # nothing is fetched twice


def test_a_folder_is_read_and_nothing_is_fetched_without_a_revision(hub):
    with pytest.raises(FileError, match="E404"):
        load_learner("me/reviews")
    assert hub.asked == []


def test_commands_send_and_fetch_a_model_and_replace_all_of_an_older_one(hub, learn, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    learn.export(tmp_path / "m")
    (tmp_path / "m" / "secret.txt").write_text("not a part of a model")
    hub.repos["me/m"] = [{".gitattributes": b"", "estimator.json": b"{}", "forwards/vocab.json": b"[]", "own.txt": b""}]
    assert main(["push", "m", "me/m"]) == 0
    assert {*hub.files("me/m")} == {".gitattributes", "own.txt", "model.safetensors", "vocab.json", "config.json",
                                    "README.md", "training.json"}
    assert "Next: ulmfit pull me/m --revision " in capsys.readouterr().out
    assert main(["pull", "me/m", "--out", "copy"]) == 0
    said = capsys.readouterr().out
    source = json.loads((tmp_path / "copy" / "training.json").read_text())["hub"]["pulled from"]
    assert f"Saved {source} to copy" in said and len(source) == len("me/m@") + 40
    assert not (tmp_path / "copy" / "own.txt").exists()
    assert torch.equal(load_learner(tmp_path / "copy").predict(TEXT).probs, learn.predict(TEXT).probs)
    assert main(["pull", "me/m", "--out", "copy"]) == 2 and "--overwrite" in capsys.readouterr().err
    assert main(["pull", "me/m", "--out", "copy", "--overwrite"]) == 0


@pytest.mark.parametrize(("ask", "code", "told"), [
    (lambda: ours.pull_folder("me/none"), "E410", "hf auth login"),
    (lambda: ours.pull_folder("me/bert"), "E404", "a repository without a model of this library"),
    (lambda: ours.pull_folder("me/gpt"), "E404", "a repository without a model of this library"),
    (lambda: ours.pull_folder("me/bert", "0" * 40), "E410", "revision"),
    (lambda: ours.pull_folder("../bert"), "E602", "owner/name"),
    (lambda: ULMFiT.from_hub("me/bert", revision="no"), "E410", "revision"),
], ids=["no repository", "another model", "the same names", "no commit", "an address", "no branch"])
def test_what_the_hub_does_not_have_is_told_with_the_way_out(hub, ask, code, told):
    hub.repos["me/bert"] = [{"config.json": b"{}", "model.safetensors": b"", "pytorch_model.bin": b""}]
    hub.repos["me/gpt"] = [{"config.json": b"{}", "model.safetensors": b"", "vocab.json": b"{}"}]
    with pytest.raises((FileError, ArgumentError), match=told) as e:
        ask()
    assert e.value.code == code
    assert not any("resolve" in path and "safetensors" in path for path in hub.asked)


@pytest.mark.parametrize("error", [httpx.ConnectError("no route"), ConnectionResetError(), TimeoutError("late"),
                                   HFValidationError("name")], ids=lambda e: type(e).__name__)
def test_what_the_network_raises_is_e410(error):
    with pytest.raises(FileError, match=f"E410.*{type(error).__name__}"), ours.asking("me/m"):
        raise error


@pytest.mark.parametrize("error", [OSError(28, "full"), PermissionError(13, "no"), ZeroDivisionError()],
                         ids=lambda e: type(e).__name__)
def test_what_has_nothing_to_do_with_the_network_stays_what_it_is(error):
    with pytest.raises(type(error)) as raised, ours.asking("me/m"):
        raise error
    assert raised.value is error


def test_a_folder_without_a_model_is_not_sent_and_nothing_is_without_a_network(hub, tmp_path, monkeypatch, capsys):
    assert main(["push", str(tmp_path), "me/m"]) == 2 and "[E404]" in capsys.readouterr().err
    monkeypatch.setenv("ULMFIT_EASY_OFFLINE", "1")
    assert main(["pull", "me/m", "--out", str(tmp_path / "m")]) == 2 and "[E410]" in capsys.readouterr().err
    assert hub.asked == []


@pytest.mark.slow
def test_an_estimator_comes_back_with_its_mixture_and_its_scores(hub):
    tiny = replace(PRESETS["laptop"], config={"emb_sz": 8, "n_hid": 12, "n_layers": 2})
    df = toy_reviews(80, seed=0)
    model = ULMFiT(seed=0, pretrained=False, epochs=1, verbose=False, preset=tiny).fit(df["text"], df["label"])
    commit = model.push_to_hub("me/reviews")
    assert "ULMFiT.from_hub('me/reviews')" in hub.files("me/reviews")["README.md"].decode()
    again = ULMFiT.from_hub("me/reviews", revision=commit)
    assert (again.predict_proba([TEXT]) == model.predict_proba([TEXT])).all() and again.scores_ == model.scores_
    assert again.learners_[0].started_from == f"me/reviews@{commit}"
