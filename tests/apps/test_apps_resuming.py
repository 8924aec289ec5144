"""`ulmfit train` and `ulmfit lm`, stopped by Ctrl-C: the same command with --resume goes on to the same model."""

import json
import shlex
import signal

import pytest

from ulmfit_easy.apps.cli import main
from ulmfit_easy.bundle.artefact import load_bundle
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.learner.events import Callback
from ulmfit_easy.recipes import stages


class CtrlC(Callback):
    """What a user does after two batches."""

    run_valid = False

    def after_batch(self):
        if self.learn.train_iter == 2:
            signal.raise_signal(signal.SIGINT)


def run(*args):
    return main([str(a) for a in args])


def stopped(monkeypatch, labelled, *args):
    """Let a user stop a command in its language model, or its classifier."""
    phases = stages.run_phases

    def spy(learn, *args, cbs=None, **kwargs):
        return phases(learn, *args, cbs=[*([cbs] if isinstance(cbs, Callback) else cbs or []), *(
            [CtrlC()] if learn.dls.target.labelled == labelled else [])], **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(stages, "run_phases", spy)
        assert run(*args) == 130


@pytest.mark.parametrize(("command", "labelled", "weights"), [
    ("lm", False, ""), *[pytest.param("train", labelled, "forwards", marks=pytest.mark.slow)
                         for labelled in (False, True)]])
def test_a_command_that_was_stopped_goes_on_to_the_same_model(command, labelled, weights, tiny, tmp_path, monkeypatch,
                                                              capsys):
    toy_reviews(40).to_csv(tmp_path / "r.csv", index=False)
    line = [command, tmp_path / "r.csv", "--from-scratch", "--bs", 4, "--quiet"]
    out = tmp_path / "m"
    stopped(monkeypatch, labelled, *line, "--out", out)
    *_, said, last = capsys.readouterr().err.splitlines()
    typed = f"To go on: {shlex.join(map(str, ['ulmfit', *line, '--out', out]))} --resume"
    assert (said, last) == (typed, "ulmfit: stopped") and not out.exists()
    assert run(*line, "--out", out) == 2 and "E412" in (told := capsys.readouterr().err) and "--resume" in told
    seed = json.loads((tmp_path / "m.run" / "fit.json").read_text())["seed"]
    assert run(*line, "--out", out, "--resume", "--seed", seed + 1) == 2 and "E408" in capsys.readouterr().err
    assert run(*shlex.split(typed)[4:]) == 0 and not (tmp_path / "m.run").exists()
    assert run(*line, "--seed", seed, "--out", tmp_path / "whole") == 0
    resumed, whole = (load_bundle(folder / weights).weights for folder in (out, tmp_path / "whole"))
    assert all((resumed[name] == whole[name]).all() for name in whole)


def test_a_run_that_nobody_wants_is_begun_anew_and_a_mistake_leaves_none(tiny, tmp_path, monkeypatch, capsys):
    toy_reviews(40).to_csv(tmp_path / "r.csv", index=False)
    line = ["lm", tmp_path / "r.csv", "--from-scratch", "--bs", 4, "--quiet", "--out", tmp_path / "m"]
    assert run(*line, "--text", "txt") == 2 and [p.name for p in tmp_path.iterdir()] == ["r.csv"]
    stopped(monkeypatch, False, *line)
    assert run(*line, "--overwrite") == 0 and not (tmp_path / "m.run").exists()
    (tmp_path / "n.run").mkdir()
    (tmp_path / "n.run" / "mine.txt").touch()
    assert run(*line[:-1], tmp_path / "n", "--overwrite") == 2 and (tmp_path / "n.run" / "mine.txt").exists()
    assert "mine.txt" in capsys.readouterr().err
