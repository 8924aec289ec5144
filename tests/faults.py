"""What the tests of reliability share: figures for docs/RELIABILITY.md, disks that fail, processes that are killed.

It imports no torch: a process that is only there to be killed should cost milliseconds.
"""

import builtins
import contextlib
import dis
import errno
import io
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import cache
from itertools import count, pairwise
from pathlib import Path
from unittest import mock

import numpy as np

from ulmfit_easy import files

ERRORS = {
    "ENOSPC": lambda: OSError(errno.ENOSPC, "No space left on device"),
    "EIO": lambda: OSError(errno.EIO, "Input/output error"),
    "KeyboardInterrupt": KeyboardInterrupt,
    "MemoryError": MemoryError,
}


def tally(line: str, operation: str, tried: int, lost: int, unit: str = "injected", bad: str = "lost"):
    """Print `R3 save: 300 injected, 0 lost`, gather it for the page, and fail if anything was lost.

    Args:
        line: the promise, such as "R3".
        operation: what was under test, in a few words; one row of the page.
        tried: how many distinct cases were really run.
        lost: how many of them broke the promise.
    """
    print(f"{line} {operation}: {tried} {unit}, {lost} {bad}")
    if page := os.environ.get("ULMFIT_EASY_TALLIES"):  # `make faults` collects them here
        with open(page, "a", encoding="utf-8") as f:
            f.write(json.dumps({"line": line, "operation": operation, "tried": tried, "lost": lost,
                                "unit": unit, "bad": bad}) + "\n")
    assert tried > 0, f"{line} {operation}: no case was run"
    assert lost == 0, f"{line} {operation}: {lost} of {tried} {bad}"


class FailAt:
    """A block in which the k-th moment at which a disk is changed fails; `fired` tells whether there were so many.

    Each system call that changes or secures a disk has two moments: before it did anything, and after it did all.
    A write of tensors, which safetensors does out of Python's sight, has a third: half of the file is there.
    """

    def __init__(self, k: int, error: Callable[[], BaseException]):
        self.k, self.error, self.moments, self.fired, self.stack = k, error, 0, False, contextlib.ExitStack()

    def moment(self):
        self.moments += 1
        if self.moments == self.k:
            self.fired = True
            raise self.error()

    def __enter__(self):
        for owner, names in ((os, ("replace", "rename", "mkdir", "fsync")), (np.memmap, ("flush",)),
                             (files, ("_swapped",))):
            for name in names:
                self.patch(owner, name, self.failing(getattr(owner, name)))
        for owner in (builtins, io):
            self.patch(owner, "open", self.opening(owner.open))
        for module in filter(None, map(sys.modules.get, ("safetensors.numpy", "safetensors.torch"))):
            self.patch(module, "serialize_file", self.serializing(module.serialize_file))
        return self

    def __exit__(self, *error):
        self.stack.close()

    def patch(self, owner, name, new):
        self.stack.enter_context(mock.patch.object(owner, name, new))

    def failing(self, real):
        def call(*args, **kwargs):
            self.moment()
            result = real(*args, **kwargs)
            self.moment()
            return result
        return call

    def opening(self, real):
        def call(file, mode="r", *args, **kwargs):
            if not set(mode) & set("wax+"):
                return real(file, mode, *args, **kwargs)
            self.moment()
            opened = real(file, mode, *args, **kwargs)
            try:
                self.moment()
            except BaseException:
                opened.close()
                raise
            return _File(opened, self)
        return call

    def serializing(self, real):
        def call(tensors, path, *args, **kwargs):
            self.moment()
            real(tensors, path, *args, **kwargs)
            whole = os.path.getsize(path)
            try:
                self.moment()
            except BaseException:
                os.truncate(path, whole // 2)
                raise
            self.moment()
        return call


class _File:
    """An open file whose writes can fail."""

    def __init__(self, file, fault: FailAt):
        self.file, self.write = file, fault.failing(file.write)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


@contextlib.contextmanager
def files_up_to(n_bytes: int):
    """No file can grow beyond so many bytes: a real failure of a real write (EFBIG), of safetensors' own too."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class Operation:
    """Something that writes to a folder, under every fault: it must leave what it leaves without any, before or after.

    Args:
        folder: where it writes; what is not there without a fault, before or after, is litter.
        write: makes the version "old" from any state, or "new" from the old one.
        read: what is there now, through the library's own loader, as a value that can be compared.
    """

    def __init__(self, folder: Path, write: Callable[[str], None], read: Callable[[], object]):
        self.folder, self.write, self.read = Path(folder), write, read
        self.outcomes, names = [], []
        for version in ("old", "new"):
            write(version)
            self.outcomes.append(read())
            names.append(self.names())
        self.must, self.may = names[0] & names[1], names[0] | names[1]

    def names(self) -> set:
        return {p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*")}

    def survives(self, fault, error: type[BaseException]) -> str | None:
        """Write the new version over the old one under a fault; None if nothing was lost, else what went wrong."""
        self.write("old")
        try:
            with fault:
                self.write("new")
        except error:
            pass
        except BaseException as e:  # an error that hides the one that came
            return f"{type(e).__name__} instead: {e}"
        try:
            litter, gone = sorted(self.names() - self.may), sorted(self.must - self.names())
            for name in litter:  # so that the next fault is not blamed for it
                shutil.rmtree(self.folder / name, ignore_errors=True)
            if litter or gone:
                return f"litter {litter}, gone {gone}"
            if self.read() not in self.outcomes:
                return "neither the old nor the new one"
            self.write("new")
            return None if self.read() == self.outcomes[1] else "cannot be written again"
        except Exception as e:
            return f"afterwards {type(e).__name__}: {e}"

    def under_faults(self, step: int = 1) -> tuple[int, list[str]]:
        """Each fault at each moment, or at every `step`-th from the second on: how many there were, what was lost."""
        tried, lost = 0, []
        for name, error in ERRORS.items():
            for k in count(min(step, 2), step):
                fault = FailAt(k, error)
                bad = self.survives(fault, type(error()))
                if not fault.fired:
                    break
                tried += 1
                lost += [f"{name} at moment {k}: {bad}"] if bad else []
        return tried, lost

    def out_of_room(self, n: int) -> tuple[int, list[str]]:
        """Files that may not grow beyond n sizes, from nothing to nearly all: how many there were, what was lost."""
        sizes = [p.stat().st_size for p in self.folder.rglob("*") if p.is_file()]
        limits = sorted({max(sizes) * i // n for i in range(n)})
        bad = {limit: self.survives(files_up_to(limit), Exception) for limit in limits}
        return len(limits), [f"{limit} bytes: {why}" for limit, why in bad.items() if why]


def killed(work: Callable[[], None], rng: random.Random, seconds: float) -> bool:
    """Do some work in a fork of this process, killed after up to so many seconds; whether the kill came in time."""
    ready, go = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(go, b"!")
            work()
        finally:
            os._exit(0)
    os.read(ready, 1)
    os.close(ready), os.close(go)
    time.sleep(rng.uniform(0, seconds))
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1] == signal.SIGKILL


class AtLine:
    """A block in which Ctrl-C comes at the k-th moment, from 0; without `k` it comes never.

    A moment is a line that the library runs, and each instruction at which Python lets a signal in: the start of a
    function, the end of a call, a step of a loop. Those of the `with` blocks of Python and torch count too.
    `places` has the moments that came, as `file:number:instruction`; `fired` tells whether there were so many.
    """

    def __init__(self, k: int | None = None):
        self.k, self.places, self.fired, self.root = k, [], False, str(Path(files.__file__).parent)

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.enters)
        return self

    def __exit__(self, *error):
        sys.settrace(self.before)

    def enters(self, frame, event, arg):
        name, caller = frame.f_code.co_filename, frame.f_back
        if not name.startswith(self.root) and not (name.endswith(BLOCKS) and caller.f_trace is not None):
            return None
        frame.f_trace_opcodes = True
        self.moment(frame)
        return self.moves

    def moves(self, frame, event, arg):
        if event == "line" or (event == "opcode" and frame.f_lasti in lets_signals_in(frame.f_code)):
            self.moment(frame)
        return self.moves

    def moment(self, frame):
        place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}:{frame.f_lasti}"
        while not frame.f_code.co_filename.startswith(self.root):
            frame = frame.f_back
        self.places.append(f"{place} in {frame.f_code.co_name}:{frame.f_lineno}:{frame.f_lasti}")
        if len(self.places) - 1 == self.k:
            self.fired = True
            raise KeyboardInterrupt

    def first_and_last(self) -> list[int]:
        """For each moment that came, the `k` of its first and its last time, in order."""
        first = {place: k for k, place in reversed([*enumerate(self.places)])}
        return sorted({*first.values(), *{place: k for k, place in enumerate(self.places)}.values()})


BLOCKS = ("contextlib.py", "grad_mode.py", "autocast_mode.py")


@cache
def lets_signals_in(code) -> set[int]:
    """The instructions of a function before which Python looks for signals: after each call, and where loops go on."""
    steps = list(dis.get_instructions(code))
    ends = {b.offset for a, b in pairwise(steps) if a.opname.startswith("CALL")}
    return ends | {step.argval for step in steps if step.opname.startswith("JUMP_BACKWARD")}
