"""Join the texts of requests that wait at the same time, so that the model reads them together."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

JOIN = 0.005  # seconds that the first text of a batch waits for others


class Full(Exception):
    """Too many texts wait already."""


class Batcher:
    """A queue in front of a function that answers several items at once, in a thread of its own.

    Args:
        answer: from a list of items to a list of answers.
        max_batch: items per call.
        max_waiting: items that may wait. More are refused.
        on_batch: gets the size of each batch.
    """

    def __init__(self, answer: Callable[[list], list], max_batch: int, max_waiting: int,
                 on_batch: Callable[[int], object] | None = None):
        self.answer, self.max_batch, self.max_waiting, self.on_batch = answer, max_batch, max_waiting, on_batch
        self.waiting: deque[tuple[Any, asyncio.Future]] = deque()
        self.thread = ThreadPoolExecutor(1)
        self.running: asyncio.Task | None = None

    async def __call__(self, items: list, seconds: float) -> list:
        """Return the answers for some items.

        Raises: Full without waiting. TimeoutError after that time, and items that were not begun are forgotten.
        """
        if len(self.waiting) + len(items) > self.max_waiting:
            raise Full
        futures = [asyncio.get_running_loop().create_future() for _ in items]
        self.waiting.extend(zip(items, futures, strict=True))
        if self.running is None or self.running.done():
            self.running = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.gather(*futures)
        except BaseException:
            for future in futures:
                future.cancel()
            self.waiting = deque(each for each in self.waiting if not each[1].done())
            raise

    async def _run(self) -> None:
        while self.waiting:
            if len(self.waiting) < self.max_batch:
                await asyncio.sleep(JOIN)
            batch = [self.waiting.popleft() for _ in range(min(self.max_batch, len(self.waiting)))]
            if not batch:
                continue
            if self.on_batch:
                self.on_batch(len(batch))
            items, loop = [item for item, _ in batch], asyncio.get_running_loop()
            found = await loop.run_in_executor(self.thread, self._answer_each, items)
            for (_, future), answer in zip(batch, found, strict=True):
                if not future.done():
                    (future.set_exception if isinstance(answer, Exception) else future.set_result)(answer)

    def _answer_each(self, items: list) -> list:
        """Return an answer or an error for each item. One that fails does not harm the others."""
        try:
            return self.answer(items)
        except Exception as e:
            return [e] if len(items) == 1 else [self._answer_each([item])[0] for item in items]
