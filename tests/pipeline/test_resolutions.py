"""Scenes of several ground sample distances in one job: what is said of them, what training sees, and the maps."""

import pytest

from terraseg.cli.main import run
from terraseg.core.dataset import Dataset
from terraseg.core.plan import Plan
from terraseg.pipeline.demo import write_town
from terraseg.pipeline.map import map_project
from terraseg.pipeline.project import Project, read_project
from terraseg.prepare.check import check_sources
from terraseg.prepare.projectfile import project_text
from terraseg.store.bundle import read_spec
from terraseg.store.cache import training_scenes
from terraseg.store.classmap import read_class_map
from terraseg.store.rundir import read_json
from terraseg.town import make_town
from tests.makers import TINY_RUN

GSDS = {"fine": (1, 400, 0.5), "middle": (2, 280, 0.7), "coarse": (3, 160, 1.3)}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("towns")
    for name, (seed, size, gsd) in GSDS.items():
        write_town(make_town(seed, size, gsd=gsd), folder / f"imagery/{name}.tif", folder / f"labels/{name}.gpkg")
    path = folder / "terraseg.toml"
    path.write_text(project_text(check_sources([folder], [], folder)).split("[train]")[0] + TINY_RUN)
    return read_project(path)


def test_check_and_plan_tell_what_becomes_of_each_scene(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert run(["check", "--config", str(project.root / "terraseg.toml")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "fine averaged 0.5 -> 0.7 m" in said
    assert "coarse enlarged 1.9 times (1.3 -> 0.7 m)" in said
    assert run(["plan", "--config", str(project.root / "terraseg.toml")]) == 0
    assert "coarse enlarged 1.9 times (1.3 -> 0.7 m)" in " ".join(capsys.readouterr().out.split())


def test_one_job_trains_on_all_of_them_and_maps_each_on_its_own_grid(project: Project) -> None:
    pytest.importorskip("torch")
    result = map_project(project, engine="onnx")
    spec = read_spec(project.run.model)
    assert spec.gsd_m == pytest.approx(0.7, rel=0.01)
    plan = Plan.from_json(read_json(project.run.plan))
    dataset = Dataset.from_json(read_json(project.run.dataset))
    with training_scenes(dataset, project.run.cache, cache_gb=1, fill=spec.mean, working=plan.working) as scenes:
        assert len(scenes) == 3
        for opened in scenes:
            assert opened.scene.grid.gsd_m == pytest.approx(0.7 * spec.reduction, rel=0.03)
    for path in result.maps:
        with read_class_map(path) as found:
            assert found.grid.gsd_m == pytest.approx(GSDS[path.stem][2], rel=0.01)
