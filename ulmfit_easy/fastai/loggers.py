"""Callbacks that log a fit: to a CSV file, or to TensorBoard, Weights & Biases and MLflow, which need packages."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulmfit_easy.decoding import read_text
from ulmfit_easy.errors import FileError
from ulmfit_easy.extras import optional_package
from ulmfit_easy.files import regular_file, write_bytes
from ulmfit_easy.learner.events import REPORT, Callback
from ulmfit_easy.places import file_place

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CSVLogger", "MLflowCallback", "TensorBoardCallback", "WandbCallback"]


class CSVLogger(Callback):
    """Write each epoch's row of the table to the CSV file `learn.path/fname`.

    A fit that does not start changes no file.

    The file is replaced as a whole after each epoch, so a crash or a full disk leaves no half of it.

    Raises: E411 if `fname` is a folder, and E412 if it is a file that is not such a log. Both come before training.
    """

    order, in_lr_find, main_only, STATE = REPORT, False, True, ("text",)

    text: str | Any  # None before the first epoch
    target: Path | Any

    def __init__(self, fname: str | Path = "history.csv", append: bool = False):
        self.fname, self.append, self.text, self.target = fname, append, None, None

    def before_fit(self):
        self.target, self.text = file_place(Path(self.path) / self.fname), None
        if self.target.is_file() and not self._is_log():
            raise FileError("E412", received=f"{self.target}, which is no log of a training",
                            expected="a new file, or an older log", fix="choose another name, or move it away")

    def _is_log(self) -> bool:
        with regular_file(self.target) as f:
            return f.read(6) in (b"", b"epoch,")

    def before_epoch(self):
        if self.text is None:
            self.text = read_text(self.target) if self.append and self.target.is_file() else ""
            if not self.text:
                self._add(self.recorder.metric_names)

    def _add(self, row: Iterable) -> None:
        line = io.StringIO()
        csv.writer(line).writerow(row)
        self.text += line.getvalue()
        write_bytes(self.target, self.text.encode())

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict()`. After the end of a fit there is nothing more to write."""
        if self.text is not None:
            self.text = state["text"]
            write_bytes(self.target, self.text.encode())

    def after_epoch(self):
        self._add(self.recorder.log)

    def read_log(self) -> "pd.DataFrame":
        """Return the log as a DataFrame."""
        import pandas as pd

        with regular_file(self.target or Path(self.path) / self.fname) as f:
            return pd.read_csv(f)


class RunLogger(Callback):
    """Base of callbacks for other people's dashboards.

    It sends losses and rates after each training batch, and the table's row after each epoch. Steps are training
    batches, counted on from fit to fit. A subclass has three methods. `open` begins a run with the settings of a fit,
    `log` writes numbers by name at a step, and `close` ends the run.
    """

    order, run_valid, in_lr_find, main_only, STATE = REPORT, False, False, True, ("step",)

    def open(self, settings: dict) -> None:
        raise NotImplementedError

    def log(self, values: dict[str, float], step: int) -> None:
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

    def cleanup_fit(self):
        if self.is_open:
            self.is_open = False
            self.close()


class TensorBoardCallback(RunLogger):
    """Write losses, metrics and rates to event files for TensorBoard. Needs the extra `tensorboard`.

    Args:
        log_dir: the folder for these files. By default a new one under `runs`, as TensorBoard names it.
    """

    def __init__(self, log_dir: str | Path | None = None):
        self.log_dir, self.package = log_dir, optional_package("torch.utils.tensorboard")

    def open(self, settings: dict) -> None:
        self.writer = self.package.SummaryWriter(log_dir=self.log_dir)
        self.log_dir = self.writer.log_dir  # the next fit goes on there
        self.writer.add_text("settings", ", ".join(f"{name}: {value}" for name, value in settings.items()))

    def log(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self):
        self.writer.close()


class WandbCallback(RunLogger):
    """Log losses, metrics and rates to Weights & Biases. Needs the extra `wandb`.

    It uses the active run. If none is active it starts one, which continues from fit to fit under one id.

    Args:
        mode: of a run that it starts. "offline", the default, keeps everything on this machine. `wandb sync` can send
            it later. "online" sends it while training.
        init: more arguments of `wandb.init`, such as `project` and `name`.
    """

    own: Any  # a run of our own, if there is one

    def __init__(self, mode: str = "offline", **init: Any):
        self.init, self.wandb, self.own = {"mode": mode, **init}, optional_package("wandb"), None

    def open(self, settings: dict) -> None:
        if self.wandb.run is None:
            self.own = self.wandb.init(**self.init)
            self.init |= {"id": self.own.id, "resume": "allow"}  # for the next fit
        self.wandb.run.config.update(settings, allow_val_change=True)

    def log(self, values: dict[str, float], step: int) -> None:
        self.wandb.run.log({**values, "step": step})

    def close(self):
        if self.own is not None:
            self.own.finish()
            self.own = None


class MLflowCallback(RunLogger):
    """Log losses, metrics and rates to MLflow. Needs the extra `mlflow`.

    It uses the active run. If none is active it starts one, which continues from fit to fit. Without
    `mlflow.set_tracking_uri`, MLflow writes to this machine.

    Args:
        start_run: arguments of `mlflow.start_run`, such as `run_name`.
    """

    def __init__(self, **start_run: Any):
        self.start_run, self.mlflow, self.own = start_run, optional_package("mlflow"), False

    def open(self, settings: dict) -> None:
        self.own = self.mlflow.active_run() is None
        if self.own:
            self.start_run["run_id"] = self.mlflow.start_run(**self.start_run).info.run_id  # for the next fit
        self.mlflow.set_tags({name: str(value) for name, value in settings.items()})

    def log(self, values: dict[str, float], step: int) -> None:
        self.mlflow.log_metrics(values, step=step)

    def close(self):
        if self.own:
            self.mlflow.end_run()
