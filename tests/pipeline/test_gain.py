"""What test-time augmentation brings on labelled scenes, and what the command says of it."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from terraseg.core.dataset import Dataset
from terraseg.core.modelspec import ModelSpec
from terraseg.core.watch import SILENT
from terraseg.engines.options import EngineOptions
from terraseg.errors import EmptyDataset, UnknownName
from terraseg.export.onnx import onnx_bytes
from terraseg.nets.build import build_network
from terraseg.pipeline.gain import measure_gain
from terraseg.pipeline.project import Project, project_from
from terraseg.prepare.dataset import read_dataset
from terraseg.store.bundle import write_bundle
from tests.makers import make_grid, make_labels, make_raster

OPTIONS = {"depth": 2, "width": 4}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A labelled test scene and a network of random weights, which maps the scene otherwise when it is turned."""
    grid = make_grid(64, 96)
    make_raster(tmp_path / "images/scene.tif", grid)
    make_labels(tmp_path / "labels/scene.tif", grid)
    named = ((0, "land", "#998877"), (1, "water", "#2244FF"))
    classes = [{"id": k, "name": name, "labels": [str(k)], "color": color} for k, name, color in named]
    data = {"images": ["images/*.tif"], "labels": ["labels/*.tif"], "test": ["scene"], "classes": classes}
    project = project_from({"data": data}, tmp_path)
    dataset = read_dataset(project.data, tmp_path)
    torch.manual_seed(0)
    network = build_network("unet", bands=3, classes=2, options=OPTIONS).eval()
    head = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    with torch.no_grad(), rasterio.open(tmp_path / "images/scene.tif") as source:
        logits = network((torch.from_numpy(source.read()).float()[None] - 60) / 30)
        assert head.bias is not None
        # Of random weights one class would win everywhere.
        head.bias[0] += (logits[:, 1] - logits[:, 0]).median()
    spec = ModelSpec("unet", dataset.legend, dataset.bands, "uint8", (60.0,) * 3, (30.0,) * 3, 0.5, 64, 16, 2, OPTIONS)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    write_bundle(project.run.model, spec, onnx=onnx_bytes(network, spec), weights=weights)
    return project


def scenes_of(project: Project) -> Dataset:
    return read_dataset(project.data, project.root)


def test_both_ways_are_scored_on_the_same_pixels(project: Project) -> None:
    dataset = scenes_of(project)
    options = EngineOptions("onnx", tta="d4")
    gain = measure_gain(project, dataset, dataset.scenes, options=options, watch=SILENT)
    assert gain.plain.total.pixels == gain.averaged.total.pixels == 64 * 96
    assert gain.plain.total != gain.averaged.total, "views change what a network of random weights maps"
    plain, averaged = gain.plain.total.mean_iou, gain.averaged.total.mean_iou
    assert plain is not None
    assert averaged is not None
    word = "gains" if averaged >= plain else "loses"
    assert f"{word} {abs(100 * (averaged - plain)):.1f} points" in gain.sentence
    assert f"d4 takes {gain.averaged_s / gain.plain_s:.1f} times as long" in gain.sentence
    assert np.isfinite(gain.averaged_s)
    assert sorted(path.name for path in project.run.root.iterdir()) == ["model"], "nothing is left behind"


def test_nothing_to_compare_is_said(project: Project) -> None:
    dataset = scenes_of(project)
    with pytest.raises(UnknownName, match="--tta none has nothing to compare"):
        measure_gain(project, dataset, dataset.scenes, options=EngineOptions("onnx"), watch=SILENT)
    with pytest.raises(EmptyDataset, match="labels"):
        measure_gain(project, dataset, [], options=EngineOptions("onnx", tta="flips"), watch=SILENT)
