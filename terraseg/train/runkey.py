"""What a training depends on, as one hash: data, settings and the state of files, wherever they lie."""

import hashlib
import json
from pathlib import Path
from typing import Any

from terraseg.core.dataset import Dataset, Scene
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan

FREE = ("reasons", "threads", "device", "tile", "overlap", "accumulate")
"""Fields of a plan that a run may change before it goes on: they do not say what is learnt."""
WEIGHTS = "weights.safetensors"


def run_key(dataset: Dataset, fingerprint: Fingerprint, plan: Plan) -> str:
    """A hash of all that decides what is learnt.

    Files count by name, size and time of change, not by folder: a project that is moved as a whole goes on.
    """
    settings = {name: value for name, value in plan.to_json().items() if name not in FREE}
    settings["network_options"] = _portable_options(plan.network_options)
    told = [settings, _portable(dataset), fingerprint.to_json()]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def identity(name: str) -> list[Any]:
    """Name, size and time of change of a file; of one that cannot be asked, as on a server, its whole address."""
    try:
        status = Path(name).stat()
    except OSError:
        return [name]
    return [Path(name).name, status.st_size, status.st_mtime_ns]


def _portable(dataset: Dataset) -> dict[str, Any]:
    plain = dataset.to_json()
    return {**plain, "scenes": [_portable_scene(s, j) for s, j in zip(dataset.scenes, plain["scenes"], strict=True)]}


def _portable_scene(scene: Scene, plain: dict[str, Any]) -> dict[str, Any]:
    """A scene's plain form with identities for its paths; masks and tables beside the files count, too, where they are."""
    paths = list(scene.imagery.paths)
    labels = [] if scene.labels is None else [scene.labels, str(Path(scene.labels).with_suffix(".dbf"))]
    beside = [file for file in (*(f"{p}.msk" for p in paths), *labels[1:]) if Path(file).exists()]
    imagery = {**plain["imagery"], "paths": [identity(path) for path in paths]}
    return {
        **plain,
        "imagery": imagery,
        "labels": [identity(path) for path in labels[:1]],
        "beside": [identity(path) for path in beside],
    }


def _portable_options(options: dict[str, Any]) -> dict[str, Any]:
    """A network's options with the identity of the file that its weights come from."""
    path = options.get("pretrained_path")
    if not path:
        return options
    return {**options, "pretrained_path": identity(str(Path(path, WEIGHTS) if Path(path).is_dir() else path))}
