"""Stage 1 on files that may exceed the memory: from a corpus to a bundle, through any interruption."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from filelock import FileLock, Timeout

from ulmfit_easy.bundle.artefact import FILES
from ulmfit_easy.bundle.record import write_record
from ulmfit_easy.cluster import connected
from ulmfit_easy.data import ranks
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.errors import ArgumentError, FileError, some
from ulmfit_easy.files import atomic_folder, cache_dir, read_json, sha256_file, write_json
from ulmfit_easy.learner.callbacks.checkpoint import CheckpointCallback
from ulmfit_easy.learner.callbacks.finite import TerminateOnNaNCallback
from ulmfit_easy.learner.callbacks.recorder import format_time
from ulmfit_easy.learner.callbacks.training import GradientClip
from ulmfit_easy.learner.optim.optimizer import Adam
from ulmfit_easy.learner.pretrained import PretrainedLM
from ulmfit_easy.learner.record import record_of
from ulmfit_easy.learner.seeds import set_seed
from ulmfit_easy.learner.tasks import TASKS
from ulmfit_easy.learner.text import language_model_learner
from ulmfit_easy.learner.text_learner import LMLearner, TextLearner
from ulmfit_easy.models.precision import chosen
from ulmfit_easy.places import clear_left, free_place, members, writable
from ulmfit_easy.processes import is_main
from ulmfit_easy.recipes.corpus.data import CorpusData, corpus_data, names
from ulmfit_easy.recipes.corpus.monitor import RunProgress, step_seconds
from ulmfit_easy.recipes.corpus.plan import FILE, Plan
from ulmfit_easy.recipes.corpus.start import put_vectors, start_of
from ulmfit_easy.recipes.evaluate import LMScore, ValidScore, evaluate_lm, valid_score
from ulmfit_easy.terminal import say

if TYPE_CHECKING:
    from distributed import Client

WRITTEN = "written.json"  # in the folder of a run: the hashes of the bundle that it wrote
WD, CLIP = 0.01, 0.12  # as MultiFiT (Eisenschlos et al. 2019) pretrained
EPS = 1e-8  # Adam's usual 1e-5 hides the small gradients of recurrent layers that know nothing yet (docs/LOG.md, 8)
VALIDATIONS, SHARE, MOST = (10, 50), 0.05, 0.2  # enough to see a curve; about this share, and at most, of the time


def run_folder(out: str | Path) -> Path:
    """Return the folder next to `out` with the state of an unfinished run."""
    return Path(f"{Path(out).absolute()}.run")


def pretrain_corpus(corpus: Sequence[str | Path] = (), out: str | Path = "ulmfit-lm", *, resume: bool = False,
                    minutes: float = 5.0, scheduler: str | None = None, workers: int | None = None,
                    **settings: Any) -> LMScore | ValidScore:
    """Stage 1: train a language model on text files. Write it as a bundle with a model card, and return its scores.

    The corpus may be larger than memory. It is tokenized once, into the user's cache, and read from there. One cycle of
    rates spans the whole training. The folder `<out>.run` keeps the settings of the run and, every few minutes, all
    that training needs to resume bit-exactly. It is deleted when the bundle is complete.

    Args:
        corpus: files of documents, see `Corpus`.
        out: the folder of the bundle.
        resume: continue an interrupted run with its own settings. Only `out` is needed. Pass `corpus` too if it was
            stopped while it tokenized: it then starts again.
        minutes: the time between two checkpoints.
        scheduler: the address of a Dask cluster, or "local". It reads and tokenizes the corpus, one file in a task. The
            tokens are the same, byte for byte. By default this machine alone does it.
        workers: the number of processes of the scheduler "local". By default one for each processor.
        settings: the settings of the run, such as `hours=6` or `lang="ko"`. See `Plan`.

    Raises: FileError E404 if there is nothing to resume. E412 if `out` is an unfinished run or anything else. E408 if
        another process works on that run, or its files have changed. ArgumentError E603 if settings differ from those
        of the run. What `Corpus` and training raise.
    """
    CheckpointCallback(".", minutes)  # E602 before anything slow
    out, run = Path(out).absolute(), run_folder(out)
    given = {**settings, "corpus": corpus} if corpus else settings

    def begin() -> tuple[bool, Plan]:
        resumes = resume and _has_begun(run, out, corpus)
        if not resumes:
            _check_free(run, out)
        elif not _is_written(run, out):  # a kill at the very end leaves our bundle and our plan
            free_place(out)
        plan = Plan.load(run) if resumes else Plan(**given)
        plan.check_same(given, run)
        return resumes, plan

    with _locked(run) if is_main() else nullcontext():
        resume, plan = ranks.from_main(begin)
        shared: list[str | Path] = [plan.corpus[0], *([writable(cache_dir() / "tokens").parent] if scheduler else [])]
        score = _run(plan, out, run, resume, minutes, connected(scheduler, workers, paths=shared))
        if is_main():
            (run / FILE).unlink()  # first: without it nothing can be resumed
            for part in [run / WRITTEN, run / "checkpoint-1.safetensors"]:
                part.unlink(missing_ok=True)
    return score


@contextmanager
def _locked(run: Path) -> Iterator[None]:
    """Hold the folder of a run, for this process alone. It is deleted unless something was left in it to resume."""
    run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as e:
        raise FileError("E408", received=f"{run}, on which another process works", expected="one process at a time",
                        fix="wait for it, or stop it") from e
    clear_left(run, ".*")
    try:
        yield
    finally:
        lock.release()
        if os.listdir(run) == ["lock"]:
            (run / "lock").unlink()
            run.rmdir()


def _run(plan: Plan, out: Path, run: Path, resume: bool, minutes: float,
         cluster: AbstractContextManager["Client | None"]) -> LMScore | ValidScore:
    started = time.perf_counter()
    set_seed(plan.seed)
    start = start_of(plan)
    with cluster as client:
        data = corpus_data(plan, start, client)
    origin = (*data.names, start.sha256) if start else data.names
    if resume and origin != plan.data:
        raise FileError("E408", received=f"files that have changed since the run was planned in {run}",
                        expected="the same texts, and the same model to go on with",
                        fix=f"put them back, or delete {run} to start anew")
    plan = replace(plan, precision=chosen(plan.precision, data.dls.device))
    learn = _learner(plan, start, data.dls, run)
    cbs = [TerminateOnNaNCallback(), GradientClip(CLIP)]
    if not resume:
        if plan.vectors:
            n_known = put_vectors(learn, plan.vectors)
            say(f"{n_known:,} of {len(data.dls.vocab):,} words begin with the vectors of {Path(plan.vectors).name}")
        step, spent = ranks.gathered((step_seconds(learn, cbs), time.perf_counter() - started))[0]
        n_epoch, n_batches = schedule(plan, learn.dls, step, spent)
        plan = replace(plan, n_epoch=n_epoch, n_batches=n_batches, data=origin, tokenizer=data.dls.tokenizer.config())
        if is_main():
            plan.save(run)
        say(f"{_model_facts(learn, plan)['size']}. {n_epoch * n_batches:,} steps of {learn.dls.bs} x {plan.seq_len} "
            f"tokens, validated {n_epoch} times: about {format_time(n_epoch * n_batches * step)} "
            f"at {learn.dls.bs * plan.seq_len / step:,.0f} tokens/s")
    train: Any = learn.dls.train
    train.n_batches = plan.n_batches  # no epoch has begun yet: `step_seconds` put everything back
    progress = RunProgress()
    lr = plan.lr or learn.encoder.pretrain_lr
    learn.fit_one_cycle(plan.n_epoch, lr, cbs=[*cbs, CheckpointCallback(".", minutes, resume=resume), progress])
    seconds, score = progress.seconds, _score(learn, data)
    if not is_main() or _is_written(run, out):
        return score
    with atomic_folder(out) as tmp:
        learn.export(tmp)
        write_record(tmp, out.name, _record(learn, plan, data, score, seconds))
        columns = ["step", *learn.recorder.metric_names[1:-1]]
        rows = ([i, *values] for i, values in zip(learn.recorder.iters, learn.recorder.values, strict=True))
        pd.DataFrame(rows, columns=columns).to_csv(tmp / "history.csv", index=False)
        write_json(run / WRITTEN, _hashes(tmp))
    return score


def _score(learn: TextLearner, data: CorpusData) -> LMScore | ValidScore:
    """Return how well a model knows the texts that were held out."""
    return evaluate_lm(learn, data.held_out) if isinstance(learn, LMLearner) else valid_score(learn)


def _hashes(bundle: Path) -> dict[str, str]:
    return {name: sha256_file(bundle / name) for name in FILES}


def _is_written(run: Path, out: Path) -> bool:
    """Tell if this run has written its bundle, and that is what is in its place."""
    are_there = (run / WRITTEN).exists() and all((out / name).is_file() for name in FILES)
    return are_there and read_json(run / WRITTEN) == _hashes(out)


def _learner(plan: Plan, start: PretrainedLM | None, dls: DataLoaders, run: Path) -> LMLearner:
    arch, config = (start.arch, None) if start else (plan.encoder, plan.config)
    learn = language_model_learner(dls, arch, config=config, drop_mult=plan.drop_mult, pretrained=start or False,
                                   softmax=plan.softmax, precision=plan.precision, path=run, wd=WD,
                                   opt_func=partial(Adam, eps=EPS), metrics=TASKS[dls.task].metrics, verbose=False)
    return learn.unfreeze()


def _check_free(run: Path, out: Path) -> None:
    """E412 if a new run would replace something."""
    free_place(out)
    if left := [part.name for part in members(run) if part.name != "lock"]:
        raise FileError("E412", received=f"{run} with {some(left)}, of a run that is not finished or of none",
                        expected="no such folder",
                        fix="pass resume=True to continue that run; delete that folder to begin a new one")


def _has_begun(run: Path, out: Path, corpus: Sequence[str | Path]) -> bool:
    """Return True if there is a run to resume. If there is none, only a corpus can start one."""
    if (run / FILE).exists():
        return True
    if (out / "config.json").exists():
        raise FileError("E404", received=f"{out}, whose run is finished", expected="an interrupted run",
                        fix="use it: nothing is left to resume")
    if not corpus:
        raise FileError("E404", received=f"no interrupted run for {out}", expected=f"its plan in {run}",
                        fix="name text files to start one: corpus=")
    return False


def schedule(plan: Plan, dls: DataLoaders, step: float, spent: float = 0.0) -> tuple[int, int]:
    """Return the number of validations and of steps before each, for the budget of a plan.

    Args:
        step: seconds of a training step. A batch of validation is taken to cost a third of it, since it needs no
            backward pass.
        spent: seconds of the budget that are gone.
    """
    check = len(dls.valid) / 3  # steps that a validation is worth
    low, high = VALIDATIONS

    def n_valid(steps: float, low: int) -> int:
        return min(high, max(low, int(SHARE * steps / check)))

    if plan.hours is None:
        steps = (plan.epochs or 1) * len(dls.train)
    else:
        steps = (3600 * plan.hours - spent) / step
        low = max(1, min(low, int(MOST * steps / check)))
        steps -= check * n_valid(steps, low)
        if steps < 1:
            raise ArgumentError("E602", received=f"{plan.hours} hours, of which {spent / 3600:.3f} are gone",
                                expected="time for a step and its validation",
                                fix="give more hours; the tokens are cached now")
    steps = max(1, int(steps))
    n_epoch = min(n_valid(steps, low), steps)
    return n_epoch, steps // n_epoch


def _model_facts(learn: LMLearner, plan: Plan) -> dict:
    arch = type(learn.encoder).__name__
    n_params = sum(p.numel() for p in learn.model.parameters())
    tokens = "pieces of SentencePiece" if learn.dls.tokenizer.is_closed else "words"
    settings = learn.encoder.settings or {}
    sizes = [f"{name} {size}" for name, size in (settings | settings.get("body", {})).items()
             if type(size) is int and size > 0]
    return {"size": f"{', '.join([arch, *sizes])}, {n_params:,} parameters",
            "vocabulary": f"{len(learn.dls.vocab):,} {tokens}"}


LIMITS = {
    "meant for": "the start of a classifier, or of a language model, for texts of its language",
    "not checked": "what it writes is neither true nor checked; it repeats the biases of its corpus and may recite it",
    "compare": "bits per character; perplexities compare only if the vocabulary is the same",
    "licence": "to be filled in by whoever publishes the weights; the terms of the corpus may bind them too",
}


def _record(learn: LMLearner, plan: Plan, data: CorpusData, score: LMScore | ValidScore, seconds: float) -> dict:
    """Return the facts of a finished run, for its card and its `training.json`."""
    dls, steps, record = learn.dls, plan.n_epoch * plan.n_batches, record_of(learn)
    train: Any = dls.train
    scores = {"measured on": names(plan.valid) or f"{dls.valid.n_rows:,} documents of the corpus, kept aside",
              **score.figures()}
    model = {"started from": Path(plan.pretrained).name if plan.pretrained else "random weights"}
    training = {
        "schedule": f"one cycle, {steps:,} steps of {dls.bs} x {plan.seq_len} tokens = "
                    f"{steps / train.pass_len:.2f} passes, highest rate {plan.lr or learn.encoder.pretrain_lr:g}, "
                    f"weight decay {WD:g}, gradient norm {CLIP:g}",
        "dropout": f"{plan.drop_mult:g} times the architecture's",
        "softmax, precision, seed": f"{plan.softmax}, {plan.precision}, {plan.seed}",
        **({"word vectors": Path(plan.vectors).name} if plan.vectors else {}),
        "time": f"{seconds:,.0f} seconds, validations included",
    }
    files = [{"name": name, "documents": n_docs, "tokens": n_tokens} for name, n_docs, n_tokens in data.files]
    return {**record, "scores": scores, "model": {**record["model"], **_model_facts(learn, plan), **model},
            "data": {"file": files}, "training": {**training, **record["training"]}, "use and limits": LIMITS}
