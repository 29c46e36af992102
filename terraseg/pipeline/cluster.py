"""A job of rasters on many machines at once: its shards as tasks of dask.distributed."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from terraseg.core.machine import cores_available
from terraseg.core.watch import SILENT, Watch
from terraseg.errors import BadOption, missing_extra
from terraseg.pipeline.rasters import Course, Predicted, drop_maps, predict_files, ready_models
from terraseg.store.opening import is_remote

LOCAL = "local"
SHARDS_EACH = 4
"""Shards for each worker: with more than one, a fast worker does more of them, and little is lost with one that dies."""
RETRIES = 3
"""How often a shard that failed is tried again, on whatever worker is free."""
WAIT = "15s"


@dataclass(frozen=True)
class Cluster:
    """A scheduler's address, "tcp://host:8786", or "local" for a process on each core of this machine.

    `fresh` drops the maps and what earlier runs had finished of them, before any shard begins.
    """

    address: str
    fresh: bool = False


@dataclass(frozen=True)
class Task:
    """What a worker needs to do a shard: the arguments of `predict_files`, with absolute paths, in plain values.

    `cores` are those that the workers of this machine share out, None on machines of their own.
    """

    rasters: tuple[str, ...]
    models: tuple[str, ...]
    out: str
    settings: dict[str, Any]
    shard: str
    cores: tuple[int, ...] | None = None


def predict_on_cluster(
    rasters: Sequence[str],
    models: Sequence[Path],
    out: Path | None,
    settings: dict[str, Any],
    *,
    cluster: Cluster,
    watch: Watch = SILENT,
) -> Predicted:
    """The class maps of rasters, made by the workers of a dask cluster; to the byte those of `predict_files` on one machine.

    The workers need terraseg, and must see the rasters, the models and `out` under the same paths. A shard that fails, or
    whose worker dies, is tried again and goes on where it was. Raises `MissingExtra` without dask.distributed, `BadOption`
    when no scheduler answers or it has no worker, and what `predict_files` raises.
    """
    if not find_spec("distributed"):
        raise missing_extra("predicting on a cluster", "cluster")
    watch.step("predict")
    listing = ready_models(rasters, models, settings, watch=watch)
    with _client(cluster.address) as (client, workers):
        if cluster.fresh:
            # Once, and here: a shard that is tried again must find what it had finished.
            drop_maps(listing, out)
        count = SHARDS_EACH * workers
        watch.say(f"predicting in {count} shards on {workers} worker{'s' if workers > 1 else ''} of {cluster.address}")
        cores = _own_cores() if cluster.address == LOCAL else None
        tasks = [_task(rasters, models, out, settings, f"{n}/{count}", cores) for n in range(1, count + 1)]
        return _gathered(client, tasks, watch)


def _task(
    rasters: Sequence[str],
    models: Sequence[Path],
    out: Path | None,
    settings: dict[str, Any],
    shard: str,
    cores: tuple[int, ...] | None,
) -> Task:
    paths = tuple(name if is_remote(name) else os.path.abspath(name) for name in rasters)  # noqa: PTH100  # may be a pattern
    chosen = {**settings, "aoi": str(Path(settings["aoi"]).resolve())} if settings.get("aoi") else settings
    folders = tuple(str(model.resolve()) for model in models)
    return Task(paths, folders, str((out or Path()).absolute()), chosen, shard, cores)


def _gathered(client: Any, tasks: Sequence[Task], watch: Watch) -> Predicted:
    """Runs the tasks and puts together what they say, in the order of the shards."""
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    futures = [
        client.submit(predict_shard, task, key=f"terraseg-{os.urandom(6).hex()}", retries=RETRIES) for task in tasks
    ]
    done: dict[Any, Predicted] = {}
    try:
        for future in as_completed(futures):
            done[future.key] = future.result()
            watch.progress(len(done), len(futures), "shards")
    except KilledWorker as error:
        raise BadOption(
            f"a shard was given up after its worker had died {error.allowed_failures + 1} times: look at the workers' logs, "
            "they may lack memory (--max-ram); the same command goes on from here"
        ) from error
    finally:
        client.cancel([future for future in futures if future.key not in done])
    found = [done[future.key] for future in futures]
    made = dict.fromkeys(path for each in found for path in each.files if path.suffix != ".blocks")
    failures = {failure.name: failure for each in found for failure in each.failures}
    return Predicted(tuple(made), tuple(failures.values()), max(each.count for each in found))


def predict_shard(task: Task) -> Predicted:
    """One shard, on the worker that calls it."""
    from distributed import get_worker

    if task.cores and hasattr(os, "sched_setaffinity"):
        # As many workers as cores: the engine's threads are as many as the cores that the worker may use.
        place = str(get_worker().name)
        os.sched_setaffinity(0, {task.cores[(int(place) if place.isdigit() else 0) % len(task.cores)]})
    models = [Path(model) for model in task.models]
    done = predict_files(task.rasters, models, Path(task.out), task.settings, course=Course(shard=task.shard))
    if done.failures and len(done.failures) == done.count:
        raise BadOption("; ".join(f"{failure.name}: {failure.reason}" for failure in done.failures))
    return done


@contextmanager
def _client(address: str) -> Iterator[tuple[Any, int]]:
    """A client of a cluster, and the number of its workers."""
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        where: Any = address
        if address == LOCAL:
            # What a worker may take is planned by --max-ram, not by the cluster.
            options = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": None}
            where = stack.enter_context(LocalCluster(n_workers=cores_available(), **options))
        try:
            client = stack.enter_context(Client(where, timeout=WAIT))
        except (OSError, ValueError) as error:
            raise BadOption(
                f"no dask scheduler answers at {address} ({error}): start one (dask scheduler) and its workers (dask worker "
                f"{address} --nthreads 1), or pass --cluster local"
            ) from error
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            raise BadOption(
                f"the scheduler at {address} has no worker: start one with dask worker {address} --nthreads 1"
            )
        yield client, workers


def _own_cores() -> tuple[int, ...]:
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()
