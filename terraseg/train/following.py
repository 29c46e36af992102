"""A process that serves another one's trainings: it computes its share and neither decides, writes nor speaks."""

import os
import signal
import sys
from contextlib import suppress

from terraseg.errors import TerrasegError
from terraseg.train.clock import Clock
from terraseg.train.loop import train_together
from terraseg.train.processes import connected, disconnect, told
from terraseg.train.trained import Task


def follow() -> None:
    """Takes part in every training that the leading process begins, until that one dismisses it.

    Ctrl-C is left to the leading process. An error ends this one, with the message on the standard error.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        world = connected()
        while True:
            task: Task | None = told(world, None)
            if task is None:
                break
            # An interrupt is not this process's own: the leading one tells what comes next.
            with suppress(KeyboardInterrupt):
                train_together(task, world, Clock())
    except TerrasegError as error:
        sys.exit(f"training process {os.environ.get('RANK')}: {error}")
    finally:
        disconnect()


def dismiss() -> None:
    """Lets the processes go that follow this one."""
    told(connected(), None)
    disconnect()
