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
        ask: from a list of items to a list of answers.
        size: items per call at most.
        most: items that may wait. More are refused.
        told: gets the size of each batch.
    """

    def __init__(self, ask: Callable[[list], list], size: int, most: int, told: Callable[[int], object] | None = None):
        self.ask, self.size, self.most, self.told = ask, size, most, told
        self.waiting: deque[tuple[Any, asyncio.Future]] = deque()
        self.thread = ThreadPoolExecutor(1)
        self.running: asyncio.Task | None = None

    async def __call__(self, items: list, seconds: float) -> list:
        """Return the answers for some items.

        Raises: Full without waiting. TimeoutError after that time, and items that were not begun are forgotten.
        """
        if len(self.waiting) + len(items) > self.most:
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
            if len(self.waiting) < self.size:
                await asyncio.sleep(JOIN)
            batch = [self.waiting.popleft() for _ in range(min(self.size, len(self.waiting)))]
            if not batch:
                continue
            if self.told:
                self.told(len(batch))
            found = await asyncio.get_running_loop().run_in_executor(self.thread, self._answers, [x for x, _ in batch])
            for (_, future), answer in zip(batch, found, strict=True):
                if not future.done():
                    (future.set_exception if isinstance(answer, Exception) else future.set_result)(answer)

    def _answers(self, items: list) -> list:
        """Return an answer or an error for each item. One that fails does not harm the others."""
        try:
            return self.ask(items)
        except Exception as e:
            return [e] if len(items) == 1 else [self._answers([item])[0] for item in items]
