"""Texts to ids in pieces, in this process or in several others: the same ids, in the same order.

A worker is a plain subprocess that speaks pickle with its parent through two pipes. It never runs the user's script,
so that scripts need no guard. It ends when its parent does, however that ends. joblib's workers do not. They still ran
70 seconds after their parent was killed, and held its output open. Those of `multiprocessing` run the script.
"""

import os
import pickle
import signal
import subprocess
import sys
from array import array
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import chain, count, islice
from typing import Any, Self

import numpy as np

from ulmfit_easy.errors import ArgumentError, TrainingError
from ulmfit_easy.processes import processors
from ulmfit_easy.schema import optional, takes, whole
from ulmfit_easy.text.alignment import places_of
from ulmfit_easy.text.given import in_batches
from ulmfit_easy.text.rules import fields_of
from ulmfit_easy.text.tokenizers import Tokenizer

PIECE = 1 << 18  # characters, about, that are tokenized at once
SERIAL = 64  # pieces (16 million characters, some seconds) that this process does before others are worth their start
MOST = 8  # workers that are started unasked; each takes up to half a gigabyte

# Distinct tokens in first-seen order; their numbers; tokens per text; the place of each token, see `places_of`.
Encoded = tuple[list[str], np.ndarray, list[int], np.ndarray]


def encoded(tokenizer: Tokenizer, texts: Iterable, where: str | None = None) -> Encoded:
    """Return the tokens of some texts as numbers of the distinct ones in first-seen order."""
    ids_of = defaultdict[str, int](count().__next__)  # a new token gets the next number
    ids, lengths, places = array("I"), [], array("i")
    for found in tokenizer.pipe(texts, where=where) if where else tokenizer.pipe(texts):
        ids.extend(map(ids_of.__getitem__, found.tokens))
        lengths.append(len(found.tokens))
        if where:
            places.frombytes(places_of(found, where).tobytes())
    return list(ids_of), np.asarray(ids, np.uint32), lengths, np.asarray(places, np.int32)


@takes({"n_workers": optional(whole(0))})
def encode(tokenizer: Tokenizer, texts: Iterable, n_workers: int | None = None,
           where: str | None = None) -> Generator[Encoded]:
    """Yield `encoded` of all texts, piece by piece in their order. Close it to end the workers.

    Args:
        n_workers: processes. 0 for this one. None: this one for the first 16 million characters. Then one for each
            processor, if all parts of the tokenizer are the library's own.
        where: find the place of each token too, as in `Tokenizer.pipe`.

    Raises: TextError E101 for a text that is not a string, with its row. TrainingError E508 for a worker that has
        died, ArgumentError E603 for a tokenizer that other processes cannot have. What a rule raises.
    """
    pieces = _pieces(texts)
    if n_workers is None:
        yield from (encoded(tokenizer, piece, where) for _, piece in islice(pieces, SERIAL))
        n_workers = min(MOST, processors()) if _is_ours(tokenizer) else 0
        first = next(pieces, None)
        if first is None:
            return
        pieces = chain([first], pieces)
    if n_workers == 0:
        yield from (encoded(tokenizer, piece, where) for _, piece in pieces)
        return
    try:
        pickled = pickle.dumps((tokenizer, where))
    except Exception as e:  # pickle raises whatever a part raises
        raise _not_shared(e) from e
    with ExitStack() as stack:
        workers = [stack.enter_context(_Worker(pickled)) for _ in range(n_workers)]
        n = 0
        for n, piece in enumerate(pieces, 1):
            worker = workers[n % n_workers]
            before = worker.receive() if n > n_workers else None
            worker.send(*piece)
            if before is not None:
                yield before
        for k in range(max(1, n - n_workers + 1), n + 1):
            yield workers[k % n_workers].receive()


def _pieces(texts: Iterable) -> Iterator[tuple[int, list]]:
    """Yield the number of the first row of each piece, and its rows."""
    def size(entry: tuple[int, Any]) -> int:
        i, row = entry
        return sum(map(len, fields_of(row, i)))

    for piece in in_batches(enumerate(texts), size, PIECE):
        yield piece[0][0], [row for _, row in piece]


def _is_ours(tokenizer: Tokenizer) -> bool:
    config = tokenizer.config()
    parts = [config["tok"], *config["rules"], *config["post_rules"]]
    return type(tokenizer) is Tokenizer and not any(isinstance(part, dict) and "custom" in part for part in parts)


def _not_shared(e: Exception) -> ArgumentError:
    return ArgumentError("E603", received=f"n_workers for a tokenizer that other processes cannot have ({e})",
                         expected="rules and tokenizers that can be imported",
                         fix="put them into a module of their own; pass n_workers=0")


class _Worker:
    """A process that tokenizes. It must be asked for the result of a piece before it gets the next one."""

    def __init__(self, tokenizer: bytes):
        path = os.pathsep.join(part or os.getcwd() for part in sys.path)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from {__name__} import serve; serve()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path},
            start_new_session=True, creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0))  # no Ctrl-C
        assert self.process.stdin and self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self._write(pickle.dumps(tokenizer))  # bytes: they are read whole also where they cannot be understood

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()  # it has nothing to save
        for pipe in (self.stdin, self.stdout):
            with suppress(OSError):
                pipe.close()
        self.process.wait()

    def send(self, first: int, texts: list) -> None:
        """Let it tokenize these texts, which are the rows from `first` on."""
        self.rows = f"rows {first:,} to {first + len(texts) - 1:,}"
        self._write(pickle.dumps(texts))

    def _write(self, data: bytes) -> None:
        with suppress(BrokenPipeError):  # `receive` tells why
            self.stdin.write(data)
            self.stdin.flush()

    def receive(self) -> Encoded:
        """Return the ids of the texts that were sent last."""
        try:
            result = pickle.load(self.stdout)
        except (EOFError, OSError, pickle.UnpicklingError) as e:
            raise self._died(_how(self.process.wait())) from e
        if isinstance(result, MemoryError):
            raise self._died("for want of memory") from result
        if isinstance(result, Exception):
            raise result
        return result

    def _died(self, how: str) -> TrainingError:
        return TrainingError("E508", received=f"a worker that has ended {how} while it tokenized {self.rows}",
                             expected="tokens from it", fix="free memory, if it was short: each worker takes up to "
                             "half a gigabyte; pass n_workers=0, or fewer")


def _how(code: int) -> str:
    """Tell how a process has ended."""
    return f"with signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"


def serve():
    """Run a worker: read a tokenizer, then texts, and write ids, until the parent is gone."""
    source, out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a rule prints shall not get between
    tokenizer: Tokenizer | None = None
    reply: Encoded | Exception | None = None
    try:
        tokenizer, where = pickle.loads(pickle.load(source))
    except Exception as e:
        reply = _not_shared(e)
    with suppress(EOFError, BrokenPipeError):
        while True:
            texts = pickle.load(source)
            if tokenizer is not None:
                try:
                    reply = encoded(tokenizer, texts, where)
                except Exception as e:
                    reply = _sendable(e)
            sys.stdout.flush()  # what a rule printed comes before the reply: after it this process may be ended
            pickle.dump(reply, out)
            out.flush()


def _sendable(e: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(e))
        return e
    except Exception:
        return RuntimeError(f"{type(e).__name__}: {e}")
