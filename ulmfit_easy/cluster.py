"""Work on many items in the processes of a Dask cluster. The extra `[dask]` brings it.

Dask starts a task of a worker that has died again on another one. So a task must give the same if it is done twice.
"""

import logging
import os
import pkgutil
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulmfit_easy.errors import ArgumentError, TrainingError, counted, some
from ulmfit_easy.extras import optional_package
from ulmfit_easy.schema import optional, takes, text, whole

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
# Settings of Dask for workers on this machine.
CONFIG = {
    # Dask makes workers return freed memory at once, which took half of their time (docs/LOG.md, 57).
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    # A worker that is killed while it starts is not started again. Without any worker, Dask waits forever.
    "distributed.scheduler.no-workers-timeout": "60s",
}
WAIT = 10.0  # seconds for a scheduler to answer, and for its first worker
SAME = ("ulmfit_easy:__version__", "torch:__version__")  # on all machines, or answers and tokens may differ


@contextmanager
@takes({"scheduler": optional(text), "workers": optional(whole())})
def connected(scheduler: str | None, workers: int | None = None, *, paths: Iterable[str | Path] = (),
              memory: int = 0) -> Iterator["Client | None"]:
    """Give a client of a Dask cluster whose workers can do the work. None without a scheduler.

    Args:
        scheduler: its address, such as tcp://10.0.0.1:8786. "local" starts worker processes of one thread on this
            machine for the time of the block.
        workers: processes of "local". By default one for each processor.
        paths: files and folders that every worker must see.
        memory: bytes that a worker needs.

    Raises: E507 without Dask. E514 if no scheduler or no worker answers, for workers with other versions or without
        the paths. E603 for workers with less memory, and for `workers` of a cluster that runs already.
    """
    check_workers(scheduler, workers)
    if scheduler is None:
        yield None
        return
    distributed = optional_package("distributed", "dask", "pyarrow")
    with ExitStack() as stack:
        if scheduler == LOCAL:
            from dask import config

            stack.enter_context(config.set(CONFIG))
            nanny = logging.getLogger("distributed.nanny")  # it tells each worker that takes long to end
            stack.callback(nanny.setLevel, nanny.level)
            nanny.setLevel(logging.CRITICAL)
            address: Any = stack.enter_context(_started(distributed.LocalCluster, workers))
        else:
            address = scheduler
        try:
            client = stack.enter_context(distributed.Client(address, timeout=WAIT, set_as_default=False))
        except (OSError, ValueError) as e:
            raise TrainingError("E514", received=f"scheduler={scheduler}, where no scheduler answers", expected="its "
                                "address, such as tcp://10.0.0.1:8786", fix="start one with `dask scheduler`, and "
                                "workers with `dask worker ADDRESS`; pass scheduler=local") from e
        _check(client, scheduler, paths, memory)
        yield client


def _started(cluster: Any, workers: int | None) -> Any:
    """Return a cluster on this machine. Try twice: Dask gives its thread 10 seconds, too few on a busy machine."""
    for _ in range(2):
        with suppress(AssertionError):
            return cluster(n_workers=workers, threads_per_worker=1, host="127.0.0.1",
                           dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL)  # errors are raised here
    raise TrainingError("E514", received="a Dask cluster that did not start in two tries of 10 seconds",
                        expected="one that starts", fix="wait until the machine is less busy; pass a lower workers=")


def check_workers(scheduler: str | None, workers: int | None) -> None:
    """Raise E603 for a number of workers that nobody would start."""
    if scheduler != LOCAL and workers is not None:
        other = "no scheduler=" if scheduler is None else f"scheduler={scheduler}"
        raise ArgumentError("E603", received=f"workers={workers} and {other}", expected="workers= for "
                            "scheduler=local alone", fix="leave out workers=; pass scheduler=local")


def _check(client: "Client", scheduler: str, paths: Iterable[str | Path], memory: int) -> None:
    """Raise E514 or E603 for workers that cannot do the work."""
    try:
        client.wait_for_workers(1, timeout=WAIT)
    except TimeoutError as e:
        raise TrainingError("E514", received=f"scheduler={scheduler}, which has no workers", expected="one or more",
                            fix=f"start some with `dask worker {scheduler}`") from e
    for name in SAME:
        here, package = pkgutil.resolve_name(name), name.partition(":")[0]
        there = client.run(pkgutil.resolve_name, name, on_error="return")
        if other := {f"{package} {found} on {worker}" if isinstance(found, str) else f"no {package} on {worker}"
                     for worker, found in there.items() if found != here}:
            raise TrainingError("E514", received=some(sorted(other)), expected=f"{package} {here} on every worker, as "
                                "here", fix="install that version there, and start the workers again")
    for path in map(os.path.abspath, paths):
        if blind := [worker for worker, there in client.run(os.path.exists, path).items() if not there]:
            raise TrainingError("E514", received=f"workers that do not see {path}: {some(blind)}",
                                expected="a folder that all machines share", fix="put model, input, output and "
                                "the cache (ULMFIT_EASY_CACHE) on a disk that each machine has under the same name")
    limits = {name: worker["memory_limit"] for name, worker in client.scheduler_info(-1)["workers"].items()}
    if small := {name: limit for name, limit in limits.items() if 0 < limit < memory}:
        raise ArgumentError("E603", received=f"a model that needs {memory / 1e9:.1f} GB, for workers with "
                            f"{min(small.values()) / 1e9:.1f} GB ({some(small)})", expected="workers with more memory",
                            fix=f"give each a memory limit of {memory / 1e9:.1f} GB or more; pass a lower workers=")


def in_any_order(function: Callable, items: list, *args: object,
                 client: "Client | None" = None) -> Generator[tuple[int, Any]]:
    """Yield the number of each item and `function(item, *args)`, as they come. Without a client in their order.

    The first error ends all others. Close it to end them too.

    Raises: what the function raises. E508 if workers die again and again, if none is left, or if the
        scheduler is gone.
    """
    if client is None:
        for i, item in enumerate(items):
            yield i, function(item, *args)
        return
    import distributed

    number = {client.submit(function, item, *args, pure=False): i for i, item in enumerate(items)}
    try:
        for future in distributed.as_completed(number, loop=client.loop):
            yield number[future], future.result()
    except distributed.KilledWorker as e:
        raise TrainingError("E508", received=f"several workers that have ended at the same part ({e.last_worker.name})",
                            expected="its result", fix="give workers more memory; pass a lower workers=; or split that "
                            "part into smaller files") from e
    except distributed.scheduler.NoWorkerError as e:
        left = counted(round(e.timeout), "second")
        raise TrainingError("E508", received=f"no worker left for {left}", expected="results from workers",
                            fix="give workers more memory; pass a lower workers=; then type the same command: what is "
                            "finished is kept") from e
    except (distributed.CancelledError, distributed.comm.CommClosedError) as e:
        raise TrainingError("E508", received="a scheduler that has ended", expected="results from its workers",
                            fix="start it again, then type the same command: what is finished is kept") from e
    finally:
        client.cancel([*number])
