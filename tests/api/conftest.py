"""A small made town with its project file, prepared, and a network trained on it for a moment."""

from pathlib import Path

import pytest

import terraseg as ts
from terraseg.pipeline.demo import write_town
from terraseg.prepare.check import check_sources
from terraseg.prepare.projectfile import project_text
from terraseg.town import make_town

SETTINGS = (
    '[train]\nsteps = 4\n[sample]\ncrop = 32\nbatch = 2\n[predict]\ntile = 128\noverlap = 32\n[map]\nrun = "runs/a"\n'
)


def write_project(root: Path) -> Path:
    """Imagery, labels and `terraseg.toml` of a town of 256 x 256 pixels; gives the project file."""
    write_town(make_town(3, 256, gsd=0.6), root / "imagery/town.tif", root / "labels/town.gpkg")
    text = project_text(check_sources([root], [], root)).split("[train]")[0]
    project = root / "terraseg.toml"
    project.write_text(text + SETTINGS)
    return project


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("api")
    write_project(root)
    return root


@pytest.fixture(scope="session")
def data(folder: Path) -> ts.Data:
    return ts.prepare_data(folder / "terraseg.toml")


@pytest.fixture(scope="session")
def unet(data: ts.Data) -> ts.UNet:
    return ts.UNet(data, network="simple-unet").fit(steps=12)
