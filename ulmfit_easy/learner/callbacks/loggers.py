"""Loggers of other people's dashboards: TensorBoard, Weights & Biases, MLflow. Each needs its package."""

from ulmfit_easy.extras import optional_package
from ulmfit_easy.learner.events import Callback


class RunLogger(Callback):
    """Base of these: sends losses and rates after each training batch, the table's row after each epoch.

    Steps are training batches, counted on from fit to fit. A subclass says how to `open` a run with the settings of a
    fit, to `log` numbers by name at a step, and to `close` the run.
    """

    order, run_valid, in_lr_find = 70, False, False  # after the recorder

    def open(self, settings: dict):
        raise NotImplementedError

    def log(self, values: dict[str, float], step: int):
        raise NotImplementedError

    def close(self):
        raise NotImplementedError

    step = 0
    is_open = False

    def before_fit(self):
        self.open({"learner": type(self.learn).__name__, "n_epoch": self.n_epoch, "bs": self.dls.bs,
                   "seq_len": getattr(self.dls, "seq_len", None), "optimizer": type(self.opt.opt).__name__,
                   "frozen_groups": self.opt.frozen_idx})
        self.is_open = True

    def after_batch(self):
        self.step += 1
        if self.loss is None:  # the batch was cancelled
            return
        rates = {f"lr_{i}": h["lr"] for i, h in enumerate(self.opt.hypers)}
        self.log({"train_loss": self.recorder.losses[-1], **rates}, self.step)

    def after_epoch(self):
        row = zip(self.recorder.measures[1:], self.recorder.values[-1][1:], strict=True)  # train_loss came by batch
        self.log({"epoch": self.epoch, **{name: value for name, value in row if value is not None}}, self.step)

    def state_dict(self) -> dict:
        """The batches that were logged."""
        return {"step": self.step}

    def load_state_dict(self, state: dict):
        """Go on from `state_dict()`."""
        self.step = state["step"]

    def cleanup_fit(self):
        if self.is_open:
            self.is_open = False
            self.close()


class TensorBoardCallback(RunLogger):
    """Writes event files for TensorBoard; needs the extra `tensorboard`.

    Args:
        log_dir: their folder; by default a new one under `runs`, as TensorBoard names it.
    """

    def __init__(self, log_dir=None):
        self.log_dir, self.package = log_dir, optional_package("torch.utils.tensorboard")

    def open(self, settings):
        self.writer = self.package.SummaryWriter(log_dir=self.log_dir)
        self.log_dir = self.writer.log_dir  # the next fit goes on there
        self.writer.add_text("settings", ", ".join(f"{name}: {value}" for name, value in settings.items()))

    def log(self, values, step):
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self):
        self.writer.close()


class WandbCallback(RunLogger):
    """Logs to the Weights & Biases run that is there, or to one of its own; needs the extra `wandb`.

    Its own run goes on from fit to fit, under one id.

    Args:
        mode: of a run of its own. "offline", the default, keeps everything on this machine, from where
            `wandb sync` can send it; "online" sends it while training.
        init: more arguments of `wandb.init`, such as `project` and `name`.
    """

    def __init__(self, mode: str = "offline", **init):
        self.init, self.wandb, self.own = {"mode": mode, **init}, optional_package("wandb"), None

    def open(self, settings):
        if self.wandb.run is None:
            self.own = self.wandb.init(**self.init)
            self.init |= {"id": self.own.id, "resume": "allow"}  # for the next fit
        self.wandb.run.config.update(settings, allow_val_change=True)

    def log(self, values, step):
        self.wandb.run.log({**values, "step": step})

    def close(self):
        if self.own is not None:
            self.own.finish()
            self.own = None


class MLflowCallback(RunLogger):
    """Logs to the MLflow run that is active, or to one of its own; needs the extra `mlflow`.

    Its own run goes on from fit to fit. Without `mlflow.set_tracking_uri`, MLflow writes to this machine.

    Args:
        start_run: arguments of `mlflow.start_run`, such as `run_name`.
    """

    def __init__(self, **start_run):
        self.start_run, self.mlflow, self.own = start_run, optional_package("mlflow"), False

    def open(self, settings):
        self.own = self.mlflow.active_run() is None
        if self.own:
            self.start_run["run_id"] = self.mlflow.start_run(**self.start_run).info.run_id  # for the next fit
        self.mlflow.set_tags({name: str(value) for name, value in settings.items()})

    def log(self, values, step):
        self.mlflow.log_metrics(values, step=step)

    def close(self):
        if self.own:
            self.mlflow.end_run()
