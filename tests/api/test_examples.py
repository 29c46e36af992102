"""The examples that users copy run from top to bottom: the README's and the notebook's."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import terraseg as ts
from terraseg.pipeline.demo import write_town
from terraseg.prepare.check import check_sources
from terraseg.prepare.projectfile import project_text
from terraseg.store.vector import read_polygon_table
from terraseg.town import make_town

ROOT = Path(__file__).parents[2]
SETTINGS = "[train]\nepochs = 1\n[sample]\ncrop = 32\nbatch = 12\n[predict]\ntile = 128\noverlap = 32\n"


def write_example(folder: Path, name: str) -> None:
    write_town(make_town(3, 128, gsd=0.6), folder / f"imagery/{name}.tif", folder / f"labels/{name}.gpkg")
    text = project_text(check_sources([folder], [], folder)).split("[train]")[0]
    (folder / "terraseg.toml").write_text(text + SETTINGS)


def notebook_cells() -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads((ROOT / "docs/notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    return cells


def test_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Python\n")[1]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    write_example(tmp_path, "town")
    shutil.copy(tmp_path / "imagery/town.tif", tmp_path / "scene.tif")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(found[1], "README.md", "exec"), names)
    assert isinstance(names["unet"], ts.UNet)
    assert len(read_polygon_table(tmp_path / "map.gpkg")) > 0


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_example(tmp_path / "demo", "town_1")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in notebook_cells():
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert (tmp_path / "models/town/model.onnx").exists()
    assert len(read_polygon_table(tmp_path / "town_1.gpkg")) > 0


def test_the_notebook_is_stored_without_results() -> None:
    cells = notebook_cells()
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells if "outputs" in cell)
