"""Writes into docs/rasters.md what happens to each awkward raster of tests/test_tricky.py: mapped as GDAL sees it, or refused.

    python docs/tricky_table.py

Needs the shared rasters beside the project; takes a minute or two.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pyogrio
import rasterio

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from terraseg.store.classmap import read_class_map  # noqa: E402  # keeps to the order of the tests
from terraseg.store.header import RasterFacts  # noqa: E402  # keeps to the order of the tests
from terraseg.store.opening import open_source  # noqa: E402  # keeps to the order of the tests
from tests.test_tricky import RASTERS, TRICKY, Outcome, Reading, examine, gdal_reading  # noqa: E402  # found by the line above

PAGE = ROOT / "docs" / "rasters.md"
START, END = "<!-- table -->", "<!-- end of table -->"


def main() -> None:
    """Replaces the table between the two marks in the page."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [row_of(name, Path(folder) / name.replace("/", "_")) for name in RASTERS]
    head = [
        "| raster | what it is | lies in | valid, as GDAL counts | what came out |",
        "| --- | --- | --- | --- | --- |",
    ]
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(START)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{START}\n" + "\n".join([*head, *rows]) + f"\n{END}{after}", encoding="utf-8")


def row_of(name: str, folder: Path) -> str:
    """One line of the table."""
    outcome = examine(TRICKY / name, folder)
    if outcome.facts is None:
        return f"| `{name}` | | | | refused: {outcome.refusal.replace(str(TRICKY / name), Path(name).name)} |"
    facts = outcome.facts
    what, where = ", ".join(traits(TRICKY / name, facts)), place(facts)
    if outcome.refusal:
        refusal = outcome.refusal.removeprefix("terraseg: ").replace(str(TRICKY / name), Path(name).name)
        return f"| `{name}` | {what} | {where} | | refused: {refusal} |"
    reading = gdal_reading(TRICKY / name, outcome.window)
    return f"| `{name}` | {what} | {where} | {reading.valid.mean():.1%} | {made(outcome, reading)} |"


def traits(path: Path, facts: RasterFacts) -> list[str]:
    """What is particular about a raster."""
    a, b, _, d, e, _ = facts.grid.transform
    found = [f"{len(facts.bands)} x {facts.dtype}"]
    found += ["alpha"] if facts.has_alpha else []
    found += (
        ["NaN as nodata" if np.isnan(facts.nodata) else f"nodata {facts.nodata:g}"] if facts.nodata is not None else []
    )
    with open_source(path) as dataset:
        flags = {flag.name for flag in dataset.mask_flag_enums[0]}
    found += ["mask"] if "per_dataset" in flags and not facts.has_alpha else []
    found += ["turned"] if b or d else []
    found += ["rows upwards"] if facts.grid.crs is not None and a * e - b * d > 0 else []
    for words, trait in (
        ("control points", "control points"),
        ("RPCs", "RPCs"),
        ("colour table", "colour table"),
        ("scale", "scaled"),
    ):
        found += [trait] if any(words in note for note in facts.notes) else []
    return found


def place(facts: RasterFacts) -> str:
    """CRS and pixel size in a few words."""
    crs = facts.grid.crs
    if crs is None:
        return "no CRS"
    name = (
        crs if crs.startswith("EPSG:") else rasterio.CRS.from_user_input(crs).to_dict().get("proj", "a CRS of its own")
    )
    return f"{name}, {facts.grid.gsd_m:,.3g} m" if facts.grid.gsd_m else str(name)


def made(outcome: Outcome, reading: Reading) -> str:
    """What came out of the commands."""
    part = "" if outcome.window is None or outcome.window == reading.grid.window else "a window: "
    if outcome.class_map is None or outcome.polygons is None:
        return f"{part}read as GDAL reads it"
    with read_class_map(outcome.class_map) as raster:
        mapped = raster.read(reading.window) != 255
    off = int((mapped != reading.valid).sum())
    count = pyogrio.read_info(outcome.polygons, layer=outcome.polygons.stem)["features"]
    same = "valid to the pixel" if off == 0 else f"{off:,} pixels differ from GDAL's reading"
    return f"{part}map on GDAL's grid, {same}; {count:,} polygon{'' if count == 1 else 's'}, of the same area in sum"


if __name__ == "__main__":
    main()
