"""Which of several training processes this one is, as the environment says it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from terraseg.errors import BadOption

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun puts into the environment of each process."""


@dataclass(frozen=True, eq=False)
class World:
    """The processes of a training: this one's `rank` among `size`, and among those of its machine.

    Rank 0 leads: it decides, writes and speaks. `control` is the group over which plain values go, on the processor.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    control: Any = None

    @property
    def leads(self) -> bool:
        """True for the process that decides, writes and speaks."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """The part of 0 to `count` that this process takes; the parts of all processes follow each other.

        >>> [list(World(rank, 3).share(5)) for rank in range(3)]
        [[0, 1], [2, 3], [4]]
        """
        least, more = divmod(count, self.size)
        start = self.rank * least + min(self.rank, more)
        return range(start, start + least + (self.rank < more))

    def parts(self, count: int, accumulate: int) -> int:
        """In how many parts each process computes its share of `count` samples when a whole batch has `accumulate`.

        It is the same number for all, and no part is empty.

        >>> World(0, 2).parts(16, 4), World(0, 1).parts(3, 8)
        (2, 3)
        """
        return max(1, min(-(-accumulate // self.size), count // self.size))


ALONE = World()
"""A process that trains by itself."""


def world_of(environ: Mapping[str, str]) -> World:
    """The world that torchrun, or whoever sets its variables, describes; `ALONE` without them.

    >>> world_of({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1", "LOCAL_RANK": "1"}).leads
    False
    """
    if any(name not in environ for name in NEEDED) or int(environ["WORLD_SIZE"]) == 1:
        return ALONE
    rank, size = int(environ["RANK"]), int(environ["WORLD_SIZE"])
    return World(rank, size, int(environ.get("LOCAL_RANK", rank)), int(environ.get("LOCAL_WORLD_SIZE", size)))


def check_share(world: World, batch: int) -> None:
    """Raises `BadOption` when a process would have no sample of a batch."""
    if batch < world.size:
        raise BadOption(
            f"a batch of {batch} patches for {world.size} processes leaves some without any: "
            f"set batch = {world.size} or more under [sample], or start fewer processes"
        )


@contextmanager
def leading(environ: Mapping[str, str]) -> Iterator[bool]:
    """True in the one process that is to carry out a command; others, of a torchrun, serve it first and then get False.

    Such a process takes part in every training that the leading one begins inside, until that one leaves.
    """
    world = world_of(environ)
    if world.size == 1:
        yield True
        return
    from terraseg.train.following import dismiss, follow
    from terraseg.train.processes import connected

    if not world.leads:
        follow()
        yield False
        return
    connected()
    try:
        yield True
    finally:
        dismiss()
