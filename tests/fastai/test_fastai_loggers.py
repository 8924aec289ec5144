"""The loggers send the same numbers as the table, to packages that are played by small stand-ins."""

import sys
from types import SimpleNamespace

import pytest
import torch
from learner_toys import At, classifier, raises

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.fastai.loggers import MLflowCallback, TensorBoardCallback, WandbCallback
from ulmfit_easy.learner.metrics.common import accuracy


class Writer:
    """A `SummaryWriter` that keeps what it gets."""

    made = []

    def __init__(self, log_dir=None):
        self.log_dir, self.got, self.closed = log_dir or "runs/now", [], False
        Writer.made.append(self)

    def add_text(self, name, text):
        self.text = text

    def add_scalar(self, name, value, step):
        self.got.append((step, name, value))

    def close(self):
        self.closed = True


class Wandb(SimpleNamespace):
    """A `wandb` with a run or without; each new one has an id of its own."""

    def __init__(self):
        super().__init__(run=None, settings=None, ids=[])

    def init(self, **settings):
        self.settings, got = settings, []
        self.ids.append(settings.get("id", f"new-{len(self.ids)}"))
        self.run = SimpleNamespace(config=SimpleNamespace(update=lambda settings, **_: got.append(settings)), got=got,
                                   log=got.append, finish=lambda: setattr(self, "run", None), id=self.ids[-1])
        self.last = self.run
        return self.run


class MLflow(SimpleNamespace):
    """An `mlflow` with an active run or without."""

    def __init__(self):
        super().__init__(run=None, got=[], tags={}, started=[])

    def active_run(self):
        return self.run

    def start_run(self, **settings):
        self.run = settings
        self.started.append(settings)
        return SimpleNamespace(info=SimpleNamespace(run_id=settings.get("run_id", f"new-{len(self.started)}")))

    def set_tags(self, tags):
        self.tags.update(tags)

    def log_metrics(self, values, step):
        assert all(isinstance(v, int | float) for v in values.values())
        self.got.append((step, values))

    def end_run(self):
        self.run = None


@pytest.fixture
def fakes(monkeypatch):
    Writer.made, wandb, mlflow = [], Wandb(), MLflow()
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    return SimpleNamespace(wandb=wandb, mlflow=mlflow, writers=Writer.made)


def expected(learn) -> list[tuple[int, dict]]:
    """What a fit of two epochs should have sent, by step."""
    n, rec = len(learn.dls.train), learn.recorder
    sent = []
    for epoch, (_, valid_loss, acc) in enumerate(rec.values):
        for i in range(epoch * n, (epoch + 1) * n):
            rates = {f"lr_{g}": learn.opt.hypers[g]["lr"] for g in range(4)}
            sent.append((i + 1, {"train_loss": rec.losses[i], **rates}))
        sent.append(((epoch + 1) * n, {"epoch": epoch, "valid_loss": valid_loss, "accuracy": acc}))
    return sent


def test_mlflow_gets_each_batch_and_each_epoch(fakes):
    learn = classifier(metrics=accuracy, cbs=MLflowCallback(run_name="mine"))
    learn.fit(2, 1e-2)
    assert fakes.mlflow.got == expected(learn) and fakes.mlflow.started == [{"run_name": "mine"}]
    assert fakes.mlflow.run is None and fakes.mlflow.tags["learner"] == "TextLearner"
    learn.fit(1, 1e-2)
    assert fakes.mlflow.got[-1][0] == 3 * len(learn.dls.train)  # steps are counted on


def test_a_run_of_the_users_own_is_used_and_left_open(fakes):
    fakes.mlflow.start_run(run_name="theirs")
    fakes.wandb.init(project="theirs")
    classifier(cbs=[MLflowCallback(), WandbCallback()]).fit(1)
    assert fakes.mlflow.run == {"run_name": "theirs"} and fakes.wandb.run is fakes.wandb.last
    assert len(fakes.mlflow.started) == 1 and fakes.wandb.settings == {"project": "theirs"}


def test_all_fits_of_a_learner_are_one_run(fakes):
    learn = classifier(cbs=[MLflowCallback(run_name="mine"), WandbCallback(resume="never")])
    for _ in range(3):
        learn.fit(1)
        assert fakes.mlflow.run is None and fakes.wandb.run is None
    assert fakes.wandb.ids == ["new-0"] * 3 and fakes.wandb.settings["resume"] == "allow"
    assert fakes.mlflow.started == [{"run_name": "mine"}, *[{"run_name": "mine", "run_id": "new-1"}] * 2]


@pytest.mark.parametrize(("changes", "names"), [
    ({"add_time": False}, ["valid_loss", "accuracy"]),
    ({"train_metrics": True}, ["train_accuracy", "valid_loss", "valid_accuracy"])])
def test_every_measure_of_the_table_is_logged_whatever_columns_it_has(fakes, changes, names):
    learn = classifier(metrics=accuracy, cbs=MLflowCallback())
    vars(learn.recorder).update(changes)
    learn.fit(1, 1e-2)
    assert fakes.mlflow.got[-1][1] == {"epoch": 0, **dict(zip(names, learn.recorder.values[0][1:], strict=True))}


def test_wandb_stays_offline_unless_told_otherwise(fakes):
    learn = classifier(metrics=accuracy, cbs=WandbCallback(project="mine"))
    learn.fit(2, 1e-2)
    assert fakes.wandb.settings == {"mode": "offline", "project": "mine"} and fakes.wandb.run is None
    settings, *got = fakes.wandb.last.got
    assert settings["n_epoch"] == 2 and [(row.pop("step"), row) for row in got] == expected(learn)
    classifier(cbs=WandbCallback(mode="online")).fit(1)
    assert fakes.wandb.settings == {"mode": "online"}


def test_tensorboard_gets_scalars_and_goes_on_in_the_same_folder(fakes):
    learn = classifier(metrics=accuracy, cbs=TensorBoardCallback())
    learn.fit(2, 1e-2)
    (writer,) = fakes.writers
    assert writer.closed and "n_epoch: 2" in writer.text
    assert writer.got == [(step, name, value) for step, row in expected(learn) for name, value in row.items()]
    learn.fit(1, 1e-2)
    assert fakes.writers[1].log_dir == "runs/now"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_fit_that_fails_closes_its_run(fakes, error):
    learn = classifier(cbs=[TensorBoardCallback(), WandbCallback(), MLflowCallback()])
    with pytest.raises(error):
        learn.fit(1, cbs=At("after_pred", raises(error()), at=1))
    assert fakes.writers[0].closed and fakes.wandb.run is None and fakes.mlflow.run is None


def test_lr_find_and_questions_send_nothing(fakes):
    learn = classifier(cbs=[TensorBoardCallback(), WandbCallback(), MLflowCallback()])
    learn.lr_find(num_it=12, show_plot=False)
    learn.validate(), learn.get_preds()
    assert fakes.writers == [] and fakes.wandb.settings is None and fakes.mlflow.got == []


@pytest.mark.parametrize(("make", "package", "extra"), [
    (TensorBoardCallback, "torch.utils.tensorboard", "tensorboard"), (WandbCallback, "wandb", "wandb"),
    (MLflowCallback, "mlflow", "mlflow")])
def test_a_missing_package_says_how_to_get_it(make, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TrainingError, match=rf"E507.*pip install {extra}"):
        make()


def test_a_resumed_fit_counts_its_steps_on(fakes, tmp_path):
    from ulmfit_easy.learner.callbacks.checkpoint import CheckpointCallback

    dls = classifier().dls
    for resume in (False, True):
        torch.manual_seed(0)
        learn = classifier(dls, path=tmp_path)
        cbs = [MLflowCallback(), CheckpointCallback("run", every=1, resume=resume)]
        if resume:
            learn.fit(1, cbs=cbs)
        else:
            with pytest.raises(ValueError):
                learn.fit(1, cbs=[*cbs, At("before_step", raises(ValueError()), at=2)])
    assert [step for step, row in fakes.mlflow.got if "train_loss" in row] == list(range(1, len(dls.train) + 1))
