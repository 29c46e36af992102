"""Ctrl-C between two steps instead of in the middle of one."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_interrupt(ask: Callable[[], None]) -> Iterator[None]:
    """Inside, the first Ctrl-C calls `ask`, which should bring the work to an end; a second one interrupts at once.

    Half an optimizer step is a state that no checkpoint should hold. Outside the main thread nothing is changed, since
    signals do not arrive there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signature of handlers
        signal.signal(signal.SIGINT, signal.default_int_handler)
        ask()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
