"""Work done in a thread of its own, a bounded number of steps ahead of who needs it."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(work: Callable[[T], R], items: Iterable[T], depth: int) -> Generator[R, None, None]:
    """The results of `work` on each item, in order; the work runs in one other thread, at most `depth` items ahead.

    `items` are drawn in the caller's thread. An error in the work is raised where its result would have come. Close the
    generator (`contextlib.closing`) to stop early, after an error or Ctrl-C too: work not begun is dropped, and the one
    item in hand is finished before the close returns.

    >>> list(ahead(abs, [-1, 2], depth=3)), list(ahead(abs, [], depth=1))
    ([1, 2], [])
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(max_workers=1) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
