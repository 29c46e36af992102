"""Settings by their plain names: the keys of the project file's training tables, whichever table each is in."""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, SupportsFloat

from terraseg.core.modelspec import ModelSpec
from terraseg.core.options import read_options
from terraseg.engines.choose import require_training
from terraseg.errors import BadOption, UnreadableFile, nearest
from terraseg.pipeline.project import LENGTHS, Project
from terraseg.plan.options import TrainingOptions
from terraseg.store.bundle import SPEC, read_spec

BODY_SHARE = 0.1
"""The encoder's part of a rate that is given as slice(rate): what fast.ai gives the layers before the last group."""

ALIASES = {"backbone": "encoder", "lr": "learning_rate"}
"""Names that fast.ai and arcgis.learn use for settings of the project file."""

UNNAMED = {"network": "", "encoder": ""}
"""What leaves the choice of a network to the weights that it starts from."""


def training_keys() -> dict[str, str]:
    """Every training setting with the table of the project file that it stands in; names are unique over the tables."""
    tables = {f.name: type(getattr(TrainingOptions(), f.name)) for f in fields(TrainingOptions)}
    return {field.name: table for table, kind in tables.items() for field in fields(kind)}


def with_settings(project: Project, settings: Mapping[str, Any]) -> Project:
    """The project with training settings replaced, checked as the project file's are.

    A length (`epochs`, `steps` or `time_budget`) replaces the one that was set before. Raises `BadOption` for an unknown
    name, with the nearest known one, and for a value that cannot be used.
    """
    known = training_keys()
    for name in settings:
        if name not in known and name not in ALIASES:
            raise BadOption(f"there is no training setting {name!r}: {nearest(name, [*known, *ALIASES])}")
    named = {ALIASES.get(name, name): value for name, value in settings.items()}
    changed = {}
    for table in sorted({known[name] for name in named}):
        given = {name: value for name, value in named.items() if known[name] == table}
        kept = asdict(getattr(project, table))
        if table == "train" and any(given.get(name) for name in LENGTHS):
            kept = {name: value for name, value in kept.items() if name not in LENGTHS}
        kind = type(getattr(project, table))
        changed[table] = read_options(kind, kept | given, f"the settings of [{table}]")
    return replace(project, **changed)


def rate_settings(lr: SupportsFloat | slice | None) -> dict[str, float]:
    """The settings that a learning rate means, none for None.

    As with fast.ai and arcgis.learn, slice(low, high) trains the encoder at most at `low` and the rest at most at `high`,
    slice(high) the encoder at a tenth.

    >>> rate_settings(slice(1e-5, 1e-3))
    {'learning_rate': 0.001, 'encoder_rate': 0.01}
    """
    if lr is None:
        return {}
    if not isinstance(lr, slice):
        return {"learning_rate": float(lr)}
    if lr.stop is None or lr.step is not None or float(lr.stop) <= 0:
        raise BadOption(f"the learning rate {lr} cannot be read: pass a number, or slice(encoder's rate, rate)")
    share = BODY_SHARE if lr.start is None else float(lr.start) / float(lr.stop)
    return {"learning_rate": float(lr.stop), "encoder_rate": round(share, 12)}


def completed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a network as the plan wants them: of an earlier model's folder it takes network and backbone itself.

    Raises `UnknownName` for a network that there is not, `BadOption` for a backbone of one that takes none, `UnreadableFile`
    for a `pretrained_path` where nothing lies.
    """
    chosen = dict(settings)
    if chosen.get("pretrained_path"):
        folder = Path(chosen["pretrained_path"]).resolve()
        if not folder.exists():
            raise UnreadableFile(
                f"{folder} does not exist: pass pretrained_path a .safetensors file or a model's folder"
            )
        if (folder / SPEC).is_file() and _names_no_other(chosen, read_spec(folder)):
            chosen |= UNNAMED
        chosen["pretrained_path"] = str(folder)
    if chosen.get("network"):
        _check_network(chosen["network"], chosen.get("encoder"))
    return chosen


def start_settings(folder: Path) -> dict[str, str]:
    """The settings of a training that starts from a model: its weights, its network, its backbone."""
    return {"pretrained_path": str(folder.resolve()), **UNNAMED}


def without_clock(project: Project) -> Project:
    """The project with its training measured in steps where it says nothing: then a plan needs no timing of networks."""
    return project if any(getattr(project.train, name) for name in LENGTHS) else with_settings(project, {"steps": 100})


def _names_no_other(settings: Mapping[str, Any], earlier: ModelSpec) -> bool:
    own = {"network": earlier.network, "encoder": earlier.network_options.get("encoder", "")}
    return all(settings.get(name, value) == value for name, value in own.items())


def _check_network(network: str, encoder: str | None) -> None:
    require_training()
    from terraseg.nets.build import default_encoder

    if default_encoder(network) is None and encoder:
        raise BadOption(f"network {network} has no backbone: leave backbone={encoder!r} out, or choose another network")
