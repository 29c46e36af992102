"""The plan on the screen: every setting with its reason, the facts behind it, and how to set it otherwise."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rich.table import Table

from terraseg.cli.tables import console

if TYPE_CHECKING:
    from terraseg.core.fingerprint import Fingerprint
    from terraseg.core.plan import Hardware, Plan

RENAMED = {"time_budget_s": "train.time_budget", "tile": "predict.tile", "overlap": "predict.overlap"}
"""Settings of a plan that have another name in the project file, or another table."""


def print_plan(made: "Plan", *, overridable: bool) -> None:
    """A line a setting: its value and the reason; with `overridable` also the key that sets it."""
    table = Table(box=None, pad_edge=False)
    for column in ("setting", "value", *(["set by"] if overridable else []), "because"):
        table.add_column(column, overflow="fold")
    keys = setting_keys()
    for name, reason in made.reasons.items():
        key = [keys.get(name, "-")] if overridable else []
        table.add_row(name, value_text(getattr(made, name)), *key, reason)
    console().print(table)


def setting_keys() -> dict[str, str]:
    """The key of the project file that overrides a setting of a plan, for those that have one."""
    from terraseg.plan.options import OptimizeOptions, SampleOptions, TrainOptions

    tables = (("train", TrainOptions), ("sample", SampleOptions), ("optimize", OptimizeOptions))
    named = {f.name: f"{table}.{f.name}" for table, options in tables for f in fields(options)}
    return named | {"network_options": "train.encoder"} | RENAMED


def value_text(value: Any) -> str:
    """A setting's value as a reader would write it."""
    if isinstance(value, dict):
        return ", ".join(f"{key} = {value_text(part)}" for key, part in value.items()) or "-"
    if isinstance(value, tuple):
        return ", ".join(value_text(part) for part in value) or "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value)


def print_facts(facts: "Fingerprint", machine: "Hardware") -> None:
    """What the rules went by: data and machine."""
    screen = console()
    screen.print("the data", style="bold")
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in data_facts(facts):
        table.add_row(name, value)
    screen.print(table)
    screen.print("the machine", style="bold")
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in machine_facts(machine):
        table.add_row(name, value)
    screen.print(table)


def data_facts(facts: "Fingerprint") -> list[tuple[str, str]]:
    """Name and text of each fact of the data."""
    sizes = [(scene.width, scene.height) for scene in facts.scenes]
    shares = zip(facts.class_names, facts.class_shares, strict=True)
    return [
        ("scenes", f"{len(sizes)}, from {_size(min(sizes))} to {_size(max(sizes))}"),
        (
            "pixels",
            f"{facts.train_pixels / 1e6:.1f} Mpx to train on, {facts.validation_pixels / 1e6:.1f} Mpx to judge by",
        ),
        ("ground sample distance", "not known" if facts.gsd_m is None else f"{facts.gsd_m:.3g} m"),
        ("bands", f"{', '.join(band.name for band in facts.bands)}, {facts.dtype}"),
        ("classes", ", ".join(f"{name} {share:.1%}" for name, share in shares)),
    ]


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def machine_facts(machine: "Hardware") -> list[tuple[str, str]]:
    """Name and text of each fact of the machine."""
    facts = [
        ("device", f"{machine.device}: {machine.device_name}"),
        ("cores", str(machine.cores)),
        ("free memory", f"{machine.memory / 1e9:.1f} GB"),
        ("bfloat16", "yes" if machine.bf16 else "no"),
    ]
    if machine.device_memory:
        facts.append(("free memory of the device", f"{machine.device_memory / 1e9:.1f} GB"))
    for time in machine.timings:
        name = f"{time.network} {time.encoder}".strip()
        cost = f"{time.seconds * 1e3:.0f} ms and {time.memory / 1e6:.0f} MB a sample of {time.crop} px"
        facts.append((name, cost))
    return facts
