"""A fit of an estimator that was stopped: it goes on from its folder, or what it has learned is kept."""

import json
import pickle
import signal

import pytest
from recipes_tiny import LABELS, TEXTS, TINY

from ulmfit_easy.errors import FileError, TrainingError
from ulmfit_easy.learner.events import Callback
from ulmfit_easy.recipes import stages
from ulmfit_easy.recipes.estimator import ULMFiT

T, L = TEXTS[:24], LABELS[:24]


def tiny(**params):
    given = {"preset": TINY, "seed": 0, "pretrained": False, "verbose": False, "blend": None, "bs": 8, **params}
    return ULMFiT(**given)


class CtrlC(Callback):
    """Press Ctrl-C after some batches, as a user does."""

    run_valid = False

    def __init__(self, n):
        self.left = n

    def after_batch(self):
        self.left -= 1
        if not self.left:
            signal.raise_signal(signal.SIGINT)


def stop_in(monkeypatch, labelled, n):
    """Let a user stop the classifier, or the language model, of the next fit in a batch."""
    run, stop = stages.run_phases, CtrlC(n)

    def spy(learn, phases, cbs=None, **kwargs):
        cbs = [*(cbs or []), *([stop] if learn.dls.target.labelled == labelled else [])]
        return run(learn, phases, cbs=cbs, **kwargs)

    monkeypatch.setattr(stages, "run_phases", spy)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "labelled"), [(0, True), (None, True), (0, False)])
def test_a_fit_goes_on_from_its_folder_and_ends_as_if_nothing_had_happened(tmp_path, monkeypatch, seed, labelled):
    run = tmp_path / "run"
    stop_in(monkeypatch, labelled, 4)
    with pytest.raises(KeyboardInterrupt) as e:
        tiny(seed=seed).fit(T, L, resume=run)
    assert f"the same fit with resume={str(run)!r} goes on from here" in e.value.__notes__[0]
    monkeypatch.undo()
    model = tiny(seed=seed).fit(T, L, resume=str(run))
    kept = json.loads((run / "fit.json").read_text())["seed"]
    whole = tiny(seed=kept).fit(T, L)
    assert (model.predict_proba(T) == whole.predict_proba(T)).all()
    if not labelled:
        return
    assert (tiny(seed=seed).fit(T, L, resume=run).predict_proba(T) == whole.predict_proba(T)).all()
    with pytest.raises(FileError, match="E408.*rows and labels"):
        tiny(seed=seed).fit(T, L[::-1], resume=run)
    with pytest.raises(FileError, match=f"E408.*seed={kept}.*resume="):
        tiny(seed=kept + 1).fit(T, L, resume=run)


@pytest.mark.parametrize("bidir", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_a_stopped_fit_has_learned_can_be_kept(monkeypatch, bidir, tmp_path):
    model, n_of_first = tiny(bidir=bidir), 6
    stop_in(monkeypatch, True, n_of_first + 2 if bidir else 2)
    with pytest.raises(KeyboardInterrupt) as e:
        model.fit(T, L)
    assert "as it was before; keep_stopped() makes it answer" in e.value.__notes__[0]
    with pytest.raises(TrainingError, match="E506.*not fitted"):
        model.predict(T)
    pickle.loads(pickle.dumps(model))
    assert model.keep_stopped() is model and len(model.learners_) == 1 + bidir
    assert model.predict(T).shape == (24,) and 0 <= model.accuracy_ <= 1
    assert (ULMFiT.load(model.save(tmp_path / "m")).predict_proba(T) == model.predict_proba(T)).all()
    with pytest.raises(TrainingError, match="E506.*without a fit that was stopped"):
        model.keep_stopped()


def test_a_fit_that_is_stopped_before_its_classifier_begins_leaves_nothing(monkeypatch):
    model = tiny()
    stop_in(monkeypatch, False, 1)
    with pytest.raises(KeyboardInterrupt) as e:
        model.fit(T, L)
    assert e.value.__notes__ == ["Stopped. The estimator is as it was before; nothing of this fit is kept."]
    with pytest.raises(TrainingError, match="E506.*stopped in stage 3"):
        model.keep_stopped()


def test_a_whole_fit_forgets_the_stopped_one_before_it(monkeypatch):
    model = tiny()
    stop_in(monkeypatch, True, 2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(T, L)
    assert "stopped_" in vars(model)
    monkeypatch.undo()
    assert "stopped_" not in vars(model.fit(T, L))


@pytest.mark.parametrize("content", ['{"x": 1}', "[1]", '{"seed": "a"}'])
def test_a_folder_without_a_seed_is_refused(tmp_path, content):
    (tmp_path / "fit.json").write_text(content)
    with pytest.raises(FileError, match="E401.*fit.json without a seed.*resume="):
        tiny().fit(T, L, resume=tmp_path)
