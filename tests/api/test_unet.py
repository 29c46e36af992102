"""The notebook face on a small made town: training in sittings, scores, pictures, files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import terraseg as ts
from terraseg.errors import BadOption, BrokenBundle, EmptyDataset, TrainingFailed
from terraseg.store.bundle import bundle_hash, read_weights
from terraseg.store.classmap import read_class_map

Weights = dict[str, np.ndarray[Any, Any]]


class StopButton:
    """A watcher that presses the stop button when training has come so far."""

    def __init__(self, at: float) -> None:
        self.at, self.steps = at, list[str]()

    def step(self, title: str) -> None:
        self.steps.append(title)

    def say(self, text: str) -> None:
        pass

    def progress(self, done: float, total: float, text: str = "") -> None:  # noqa: ARG002  # a watcher's signature
        if self.steps[-1] == "train" and done / total >= self.at:
            raise KeyboardInterrupt


def weights_of(unet: ts.UNet, folder: Path) -> Weights:
    return read_weights(unet.save(folder))


def changed(before: Weights, after: Weights) -> set[str]:
    """The kernels that are not the same any more."""
    return {name for name in before if before[name].ndim > 1 and not np.array_equal(before[name], after[name])}


@pytest.fixture(scope="module")
def encoded(data: ts.Data) -> ts.UNet:
    """A network with a backbone, hardly trained."""
    return ts.UNet(data, network="unet-light", backbone="test_resnet").fit(steps=1)


def test_before_training_there_is_nothing_to_use(data: ts.Data, tmp_path: Path) -> None:
    unet = ts.UNet(data, network="simple-unet")
    calls = (lambda: unet.save(tmp_path / "model"), unet.accuracy, unet.show_results, unet.plot_losses)
    for call in calls:
        with pytest.raises(TrainingFailed, match="call fit first"):
            call()
    with pytest.raises(TrainingFailed, match="call lr_find first"):
        unet.plot_lr()
    assert "not trained yet" in repr(unet)


def test_settings_reach_the_plan_by_name(data: ts.Data) -> None:
    unet = ts.UNet(data, network="unet-light", backbone="resnet10t", loss={"ce": 1, "dice": 1}, reduction=2)
    plan = unet.plan(crop=64, batch=3)
    assert (plan.network, plan.network_options["encoder"]) == ("unet-light", "resnet10t")
    assert (plan.loss, plan.reduction, plan.crop, plan.batch) == ({"ce": 1.0, "dice": 1.0}, 2, 64, 3)
    assert unet.plan().crop == 32, "a setting of one plan holds for this plan alone"
    with pytest.raises(BadOption, match="did you mean 'backbone'"):
        ts.UNet(data, bakbone="resnet18")


def test_a_second_fit_goes_on_with_the_weights_of_the_first(data: ts.Data, tmp_path: Path) -> None:
    unet = ts.UNet(data, network="simple-unet", crop=64).fit(epochs=1)
    steps = unet.spec.provenance["steps"]
    assert (steps - 1) * 64 * 64 * 2 < data.fingerprint.train_pixels <= steps * 64 * 64 * 2, "an epoch is one cover"
    first = weights_of(unet, tmp_path / "first")
    assert Path(unet.plan(steps=1).network_options["pretrained_path"]) == data.project.run.model.resolve()
    second = weights_of(unet.fit(steps=1, lr=1e-9), tmp_path / "second")
    assert all(np.allclose(first[name], second[name], atol=1e-6) for name in first if first[name].ndim > 1)
    assert not all(np.allclose(first[name], second[name]) for name in first), "the running means have moved"


def test_networks_of_one_data_set_keep_their_own_weights(unet: ts.UNet, data: ts.Data, tmp_path: Path) -> None:
    before = weights_of(unet, tmp_path / "before")
    other = weights_of(ts.UNet(data, network="simple-unet", seed=2).fit(steps=1), tmp_path / "other")
    assert changed(before, other)
    assert not changed(before, weights_of(unet, tmp_path / "after"))
    hashes = {bundle_hash(folder) for folder in (tmp_path / "before", tmp_path / "after", data.project.run.model)}
    assert len(hashes) == 1


def test_the_rate_that_was_found_is_that_of_the_next_fit(data: ts.Data) -> None:
    unet = ts.UNet(data, network="simple-unet")
    usual = unet.plan().learning_rate
    found = unet.lr_find()
    assert 1e-7 < found < 10
    assert unet.plan().learning_rate == found != usual
    assert unet.plan(learning_rate=0.5).learning_rate == 0.5
    assert f"valley: {found:.2g}" in [t.get_text() for t in unet.plot_lr().figure.axes[0].get_legend().get_texts()]
    unet.fit()
    assert unet.spec.provenance["learning_rate"] == found
    assert unet.plan().learning_rate != found


def test_the_stop_button_keeps_what_was_trained(data: ts.Data, tmp_path: Path) -> None:
    unet = ts.UNet(data, network="simple-unet", watch=StopButton(0.5))
    with pytest.raises(KeyboardInterrupt):
        unet.fit(steps=8)
    assert unet.spec.provenance["steps"] == 4
    assert unet.accuracy() is not None
    assert bundle_hash(unet.save(tmp_path / "model")) == bundle_hash(data.project.run.model)


def test_frozen_only_the_decoder_learns(encoded: ts.UNet, tmp_path: Path) -> None:
    before = weights_of(encoded, tmp_path / "before")
    encoded.freeze().fit(steps=2)
    frozen = weights_of(encoded, tmp_path / "frozen")
    learnt = changed(before, frozen)
    assert learnt
    assert not [name for name in learnt if name.startswith("encoder.")]
    encoded.unfreeze().fit(steps=2)
    whole = changed(frozen, weights_of(encoded, tmp_path / "whole"))
    assert [name for name in whole if name.startswith("encoder.")]


def test_without_a_backbone_there_is_nothing_to_freeze(unet: ts.UNet) -> None:
    with pytest.raises(BadOption, match="simple-unet has no backbone to freeze"):
        unet.freeze()


def test_scores_are_those_of_one_matrix(unet: ts.UNet, data: ts.Data) -> None:
    scores = unet.evaluate()
    table = unet.per_class_metrics().to_dict()
    assert list(table) == list(data.classes)
    assert sum(int(row["pixels"] or 0) for row in table.values()) == data.fingerprint.validation_pixels
    assert unet.accuracy() == sum(scores.confusion[k][k] for k in range(len(scores.confusion))) / scores.pixels
    defined = [row["iou"] for row in table.values() if row["iou"] is not None]
    assert unet.mean_iou() == pytest.approx(np.mean(np.array(defined, dtype=float)))
    assert unet.evaluate("train").pixels == data.fingerprint.train_pixels


def test_results_are_shown_beside_the_truth(unet: ts.UNet, data: ts.Data) -> None:
    figure = unet.show_results(rows=2).figure
    assert [axis.get_title() for axis in figure.axes] == ["town: image", "town: truth", "town: prediction"] * 2
    colors = {c.rgb for c in data.dataset.legend.classes}
    shown = np.asarray(figure.axes[2].images[0].get_array())
    assert {tuple(int(v) for v in color) for color in np.unique(shown.reshape(-1, 3), axis=0)} <= colors


def test_curves_show_the_validations_of_the_last_fit(unet: ts.UNet) -> None:
    losses, metrics = unet.plot_losses().figure.axes[0], unet.plot_metrics().figure.axes[0]
    assert [line.get_label() for line in losses.get_lines()] == ["training loss", "validation loss"]
    assert [line.get_label() for line in metrics.get_lines()] == ["mean IoU", "accuracy"]
    assert np.asarray(losses.get_lines()[0].get_xdata())[-1] == unet.spec.provenance["steps"]
    steps, scores = (np.asarray(values) for values in metrics.get_lines()[0].get_data())
    kept = unet.spec.provenance
    assert scores[steps == kept["best_step"]] == pytest.approx(kept["validation"]["mean_iou"])


def test_a_saved_model_is_loaded_with_and_without_data(unet: ts.UNet, data: ts.Data, tmp_path: Path) -> None:
    model = unet.save(tmp_path / "model")
    again = ts.UNet.load(model, data)
    assert again.spec == unet.spec
    assert again.evaluate() == unet.evaluate()
    assert again.plan().network == "simple-unet"
    assert again.plan().network_options == {"pretrained_path": str(model.resolve())}
    alone = ts.UNet.load(model)
    assert bundle_hash(alone.save(tmp_path / "copy")) == bundle_hash(model)
    with pytest.raises(EmptyDataset, match=r"UNet\.load\(folder, data\)"):
        alone.fit(steps=1)
    with pytest.raises(BrokenBundle, match="no model folder"):
        ts.UNet.load(tmp_path / "nothing")


def test_a_loaded_model_that_was_replaced_says_so(unet: ts.UNet, encoded: ts.UNet, tmp_path: Path) -> None:
    loaded = ts.UNet.load(unet.save(tmp_path / "model"))
    encoded.save(tmp_path / "model")
    with pytest.raises(BrokenBundle, match="load it again"):
        loaded.save(tmp_path / "copy")


def test_from_model_to_map_to_polygons_to_numbers(unet: ts.UNet, folder: Path, tmp_path: Path) -> None:
    model = unet.save(tmp_path / "model")
    scene, out = folder / "imagery/town.tif", tmp_path / "map.tif"
    assert unet.predict(scene, out, engine="onnx") == [out, out.with_suffix(".qml")]
    assert ts.predict(scene, tmp_path / "again.tif", model=model, engine="onnx", tile=128, overlap=32)
    with read_class_map(out) as class_map, read_class_map(tmp_path / "again.tif") as again:
        assert class_map.legend == unet.spec.legend
        assert np.array_equal(class_map.read(class_map.grid.window), again.read(again.grid.window))
    ts.vectorize(out, tmp_path / "map.gpkg", min_area_m2=10.0)
    rows = ts.measure(tmp_path / "map.gpkg")
    assert sum(row["area_m2"] for row in rows) == pytest.approx(256 * 256 * 0.36, rel=2e-3)


def test_there_are_networks_and_backbones_to_choose_from(data: ts.Data) -> None:
    networks = ts.networks().to_dict()
    assert networks["simple-unet"]["backbone"] is None
    assert networks["dynamic-unet"]["backbone"] in ts.available_backbones()
    assert "resnet10t" in ts.available_backbones("resnet*")
    assert set(ts.available_backbones()) <= set(ts.available_backbones("*"))


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(AttributeError, match="it has Data, Picture"):
        _ = ts.fit
