"""Work ahead in another thread: order, bounds, errors and early ends."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from terraseg.predict.ahead import ahead


def test_results_come_in_order_from_one_other_thread() -> None:
    threads = set()

    def work(n: int) -> int:
        threads.add(threading.get_ident())
        return n * n

    assert list(ahead(work, range(50), depth=4)) == [n * n for n in range(50)]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_no_more_than_the_depth_is_drawn_before_it_is_needed() -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for n in range(100):
            drawn += 1
            yield n

    with closing(ahead(abs, items(), depth=3)) as results:
        for taken in range(1, 10):
            next(results)
            assert drawn <= taken + 3


def test_an_error_in_the_work_comes_where_its_result_would_have() -> None:
    def work(n: int) -> int:
        if n == 3:
            raise ValueError("three")
        return n

    seen: list[int] = []
    with pytest.raises(ValueError, match="three"):
        seen.extend(ahead(work, range(10), depth=5))
    with closing(ahead(work, range(10), depth=5)) as results:
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="three"):
            next(results)


def test_closing_ends_the_work_and_waits_for_the_item_in_hand() -> None:
    done = []

    def work(n: int) -> int:
        time.sleep(0.02)
        done.append(n)
        return n

    results = ahead(work, range(1000), depth=20)
    next(results)
    results.close()
    after = len(done)
    time.sleep(0.1)
    assert len(done) == after < 20
