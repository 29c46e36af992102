"""What a user of fastai would train in the time: its U-Net, augmentation, optimizer and one-cycle, without fastai itself.

    python benchmarks/fastai_policy.py terraseg.toml --test 'PATTERN' ... --out scores.json [--budget 480]
        [--precision bf16|fp32] [--seed 0] [--weights FILE]

Trains a DynamicUnet (Howard and Gugger, "fastai: a layered API for deep learning", 2020) on all labelled scenes of a
project but the test scenes, at half resolution, and scores the test scenes at their own. Everything is as `unet_learner`,
`aug_transforms(flip_vert=True)` and `fit_one_cycle` have it: ResNet-18 from random weights, 256 px crops, batches of 8,
decoupled weight decay 0.01 but on biases and normalisation, peak 1e-3. With weights it is a MobileNetV2, and training goes
as in `fine_tune`: an epoch with the encoder frozen, then all of it at half the rate, the encoder at a hundredth.
Kinder to it than fastai: crops come from memory, all scenes train, none validates, data statistics normalise from random
weights too, and the clock starts after reading. It runs on the processor. `accuracy.py` calls this script.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from terraseg.core.classes import VOID
from terraseg.core.dataset import Dataset, Scene
from terraseg.evaluate.scores import Scores, score
from terraseg.nets.build import build_network
from terraseg.pipeline.project import read_project
from terraseg.pixels.confusion import confusion
from terraseg.pixels.reduce import reduced_labels, reduced_pixels
from terraseg.prepare.dataset import read_dataset
from terraseg.store.labels import open_labels
from terraseg.store.raster import open_raster
from terraseg.store.rundir import write_json

REDUCTION = 2
CROP, BATCH = 256, 8
BLOCK, MARGIN = 1280, 128
"""Whole scenes are predicted at once up to this side; larger ones in blocks that see a margin around them."""
STRIDE = 32
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FROZEN_MOST = 1 / 3
"""Share of the time that the frozen epoch may take; in fastai the user would see that it is too long."""

Autocast = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, eq=False)
class Picture:
    """A training scene in memory: pixels (bands, h, w) of uint8 and class indices (h, w), 255 for void."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Phase:
    """A one-cycle: its peak, its rise as a share, its start as a fraction of the peak; the encoder's share of the rate."""

    peak: float
    warm_up: float
    division: float
    encoder_rate: float = 1.0


FROM_RANDOM = Phase(1e-3, 0.25, 25)
FROZEN, UNFROZEN = Phase(2e-3, 0.99, 25, encoder_rate=0.0), Phase(1e-3, 0.3, 5, encoder_rate=0.01)


def main() -> None:
    """Trains, scores, and writes the scores with the number of steps as JSON."""
    options = _arguments()
    if options.config is None:
        print("no project was named, so there is nothing to train: accuracy.py calls this script with one")
        return
    torch.manual_seed(options.seed)
    project = read_project(options.config, [f"data.test={json.dumps(options.test)}"])
    dataset = read_dataset(project.data, project.root)
    pictures = [read_picture(s, dataset) for s in dataset.scenes if s.labels is not None and not s.is_test]
    learner = make_learner(pictures, len(dataset.legend), options.precision, options.weights)
    torch.set_num_threads(fastest_threads(learner))
    steps = train(learner, pictures, budget_s=options.budget, seed=options.seed)
    scores = evaluate(learner, dataset)
    detail = {"steps": steps, "images": steps * BATCH, "threads": torch.get_num_threads()}
    write_json(options.out, {"detail": detail, "total": scores.to_json()})
    print(f"{steps} steps on {torch.get_num_threads()} threads, mean IoU {100 * (scores.mean_iou or 0):.1f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="fastai's policy on a project's scenes, scored on its test scenes.")
    parser.add_argument("config", type=Path, nargs="?", help="the project file")
    parser.add_argument("--test", nargs="+", default=[], help="patterns of the test scenes")
    parser.add_argument("--out", type=Path, default=Path("scores.json"), help="where the scores are written")
    parser.add_argument("--budget", type=float, default=480, help="seconds of training")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, help="ImageNet weights of a MobileNetV2 in timm's key names")
    return parser.parse_args()


@dataclass(frozen=True, eq=False)
class Learner:
    """A network in training with the statistics of its input (of pixels from 0 to 1) and its precision."""

    network: nn.Module
    mean: Tensor
    std: Tensor
    autocast: Autocast
    is_pretrained: bool

    def normalised(self, images: Tensor) -> Tensor:
        """Images from 0 to 1 as the network takes them."""
        return (images - self.mean) / self.std


def make_learner(pictures: Sequence[Picture], classes: int, precision: str, weights: Path | None) -> Learner:
    """The DynamicUnet for the pictures' bands and that many classes."""
    chosen = {"encoder": "resnet18"} if weights is None else {"encoder": "mobilenetv2_100"}
    if weights is not None:
        chosen["pretrained_path"] = str(weights)
    network = build_network("dynamic-unet", bands=len(pictures[0].pixels), classes=classes, options=chosen)
    if weights is None:
        # timm starts the last normalisation of a residual block at zero; torchvision, which fastai takes, at one.
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
    mean, std = IMAGENET if weights is not None else statistics_of(pictures)
    shaped = [torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1) for values in (mean, std)]
    enabled = precision == "bf16"
    return Learner(
        network,
        shaped[0],
        shaped[1],
        lambda: torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled),
        weights is not None,
    )


def statistics_of(pictures: Sequence[Picture]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each band, of pixels from 0 to 1."""
    flat = np.concatenate([p.pixels[:, ::4, ::4].reshape(len(p.pixels), -1) for p in pictures], axis=1) / 255.0
    return tuple(flat.mean(axis=1).tolist()), tuple(flat.std(axis=1).tolist())


def read_scene(scene: Scene, dataset: Dataset) -> Picture:
    """A scene at its own resolution; labels are void where the pixels are not valid."""
    with open_raster(scene.imagery) as raster, open_labels(scene, dataset) as reader:
        patch, labels = raster.read(scene.grid.window), np.array(reader.read(scene.grid.window))
    labels[~patch.valid] = VOID
    return Picture(patch.pixels, labels)


def read_picture(scene: Scene, dataset: Dataset) -> Picture:
    """A scene at the working resolution, mirrored where it is smaller than a crop."""
    whole = read_scene(scene, dataset)
    pixels = reduced_pixels(whole.pixels, REDUCTION)
    labels = reduced_labels(whole.labels, REDUCTION, len(dataset.legend))
    more = [(0, max(0, CROP - side)) for side in labels.shape]
    return Picture(np.pad(pixels, [(0, 0), *more], mode="symmetric"), np.pad(labels, more, mode="symmetric"))


def fastest_threads(learner: Learner) -> int:
    """One thread or all of the process's: whichever takes a small crop through the network and back sooner."""
    most = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    image = torch.zeros(2, learner.mean.shape[1], 128, 128)
    best = dict.fromkeys((1, most), float("inf"))
    for count in (most, 1, most, 1, most):
        torch.set_num_threads(count)
        began = time.perf_counter()
        with learner.autocast():
            loss = learner.network(image).float().square().mean()
        loss.backward()
        best[count] = min(best[count], time.perf_counter() - began)
    learner.network.zero_grad()
    return min(best, key=lambda count: best[count])


def train(learner: Learner, pictures: Sequence[Picture], *, budget_s: float, seed: int) -> int:
    """Trains for the time, by one cycle or as `fine_tune` does; gives the number of steps."""
    started = time.monotonic()
    if not learner.is_pretrained:
        return _cycle(learner, pictures, FROM_RANDOM, until=started + budget_s, seed=seed)
    epoch = -(-sum(p.labels.size for p in pictures) // (CROP * CROP * BATCH))
    first = _cycle(learner, pictures, FROZEN, until=started + FROZEN_MOST * budget_s, seed=seed, most_steps=epoch)
    return first + _cycle(learner, pictures, UNFROZEN, until=started + budget_s, seed=seed + 1000)


def _cycle(
    learner: Learner, pictures: Sequence[Picture], phase: Phase, *, until: float, seed: int, most_steps: int = 2**31
) -> int:
    rng, draws = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    network, optimizer = learner.network.train(), make_optimizer(learner.network, phase)
    started, step, step_s = time.monotonic(), 0, 0.0
    while step < most_steps and time.monotonic() + step_s / 2 < until:
        began = time.monotonic()
        set_rates(optimizer, phase, max((began - started) / (until - started), step / most_steps))
        images, labels = augmented(*cut_crops(pictures, rng), draws)
        with learner.autocast():
            logits = network(learner.normalised(images))
        loss = F.cross_entropy(logits.float(), labels, ignore_index=VOID)
        if torch.isfinite(loss):  # a batch that is void throughout has none
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
        step, step_s = step + 1, time.monotonic() - began
    return step


def make_optimizer(network: nn.Module, phase: Phase) -> torch.optim.Optimizer:
    """The Adam of fastai; a frozen encoder still trains its normalisation."""
    norms = {id(p) for m in network.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters(recurse=False)}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        plain = id(parameter) in norms or name.endswith("bias")
        rate = phase.encoder_rate if name.startswith("encoder.") else 1.0
        parameter.requires_grad_(rate > 0 or id(parameter) in norms)
        if parameter.requires_grad:
            groups.setdefault((rate or 1.0, 0.0 if plain else 0.01), []).append(parameter)
    tables = [{"params": members, "rate": rate, "weight_decay": decay} for (rate, decay), members in groups.items()]
    return torch.optim.AdamW(tables, lr=phase.peak, betas=(0.95, 0.99), eps=1e-5)


def set_rates(optimizer: torch.optim.Optimizer, phase: Phase, fraction: float) -> None:
    """Learning rate and momentum at a progress from 0 to 1: both along cosines, momentum against the rate."""
    place = min(1.0, fraction)
    rises = place < phase.warm_up
    rise = place / phase.warm_up if rises else (1 - place) / (1 - phase.warm_up)
    low = phase.peak / (phase.division if rises else 1e5)
    height = (1 - math.cos(math.pi * rise)) / 2
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * (low + (phase.peak - low) * height)
        group["betas"] = (0.95 - 0.10 * height, 0.99)


def cut_crops(pictures: Sequence[Picture], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A batch of crops that fall uniformly over the pictures: images (n, bands, h, w) from 0 to 1, labels (n, h, w)."""
    areas = np.array([p.labels.size for p in pictures], dtype=np.float64)
    images, labels = [], []
    for number in rng.choice(len(pictures), BATCH, p=areas / areas.sum()):
        picture = pictures[number]
        row, col = (int(rng.integers(side - CROP + 1)) for side in picture.labels.shape)
        images.append(picture.pixels[:, row : row + CROP, col : col + CROP])
        labels.append(picture.labels[row : row + CROP, col : col + CROP])
    return torch.from_numpy(np.stack(images)).float() / 255, torch.from_numpy(np.stack(labels))


def augmented(images: Tensor, labels: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """A batch as `aug_transforms(flip_vert=True, max_lighting=0.2, p_lighting=0.75)` changes it; labels become int64."""
    grid = warped_grid(len(images), images.shape[-1], draws)
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=True)
    truth = F.grid_sample(labels[:, None].float(), grid, mode="nearest", padding_mode="reflection", align_corners=True)
    return lit(moved, draws), truth[:, 0].round().long()


def warped_grid(count: int, side: int, draws: torch.Generator) -> Tensor:
    """Sampling places (n, side, side, 2): a symmetry of the square, rotation by 10 degrees, zoom to 1.1, warp by 0.2."""
    angle = torch.deg2rad(_signed(count, draws) * 10 * _chosen(count, 0.75, draws))
    zoom = 1 / (1 + 0.1 * torch.rand(count, generator=draws) * _chosen(count, 0.75, draws))
    centre = (torch.rand(count, 2, generator=draws) - 0.5) * 2 * (1 - zoom)[:, None]
    turned = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(-1, 2, 2)
    squares = torch.randint(8, (count,), generator=draws) * _chosen(count, 0.5, draws).long()
    theta = torch.cat([zoom[:, None, None] * (turned @ _symmetries()[squares]), centre[:, :, None]], dim=2)
    flat = F.affine_grid(theta, [count, 1, side, side], align_corners=True)
    across, down = (0.2 * _signed(count, draws) * _chosen(count, 0.75, draws) for _ in range(2))
    return _perspective(flat, across, down)


def _symmetries() -> Tensor:
    """The eight symmetries of a square as matrices (8, 2, 2)."""
    signs = [torch.diag(torch.tensor([x, y])) for x in (1.0, -1.0) for y in (1.0, -1.0)]
    swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    return torch.stack([*signs, *(swap @ sign for sign in signs)])


def _perspective(grid: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """The grid seen from aside: fastai's `Warp`, where the corners of the square move against each other."""
    x, y, one = across, down, torch.ones_like(across)
    corners = [((-1, -1), (-one - y, -one - x)), ((-1, 1), (-one + y, one + x)), ((1, -1), (one + y, -one + x))]
    corners.append(((1, 1), (one - y, one - x)))
    rows, right = [], []
    for (u, v), (to_u, to_v) in corners:
        zero = torch.zeros_like(one)
        rows.append(torch.stack([u * one, v * one, one, zero, zero, zero, -u * to_u, -v * to_u], dim=1))
        rows.append(torch.stack([zero, zero, zero, u * one, v * one, one, -u * to_v, -v * to_v], dim=1))
        right += [to_u, to_v]
    solved = torch.linalg.solve(torch.stack(rows, dim=1), torch.stack(right, dim=1))
    matrix = torch.cat([solved, one[:, None]], dim=1).view(-1, 3, 3)
    places = torch.cat([grid, torch.ones_like(grid[..., :1])], dim=-1)
    seen = torch.einsum("nij,nhwj->nhwi", matrix, places)
    return seen[..., :2] / seen[..., 2:]


def lit(images: Tensor, draws: torch.Generator) -> Tensor:
    """Brightness and contrast in logits, each in three of four samples, as fastai changes them."""
    count = len(images)
    level = torch.logit(0.5 + 0.1 * _signed(count, draws) * _chosen(count, 0.75, draws))
    factor = torch.exp(math.log(0.8) * _signed(count, draws) * _chosen(count, 0.75, draws))
    logits = torch.logit(images.clamp(1e-6, 1 - 1e-6))
    return torch.sigmoid(logits * factor.view(-1, 1, 1, 1) + level.view(-1, 1, 1, 1))


def _signed(count: int, draws: torch.Generator) -> Tensor:
    return 2 * torch.rand(count, generator=draws) - 1


def _chosen(count: int, share: float, draws: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=draws) < share).float()


def evaluate(learner: Learner, dataset: Dataset) -> Scores:
    """The scores over all labelled pixels of the test scenes, at their own resolution, in one confusion matrix."""
    matrix = np.zeros((len(dataset.legend), len(dataset.legend)), dtype=np.int64)
    learner.network.eval()
    for scene in dataset.scenes:
        if scene.is_test and scene.labels is not None:
            whole = read_scene(scene, dataset)
            matrix += confusion(whole.labels, class_map(learner, whole.pixels), len(dataset.legend))
    return score(matrix, dataset.legend)


@torch.inference_mode()
def class_map(learner: Learner, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Class indices (height, width) of a scene's pixels (bands, height, width)."""
    height, width = pixels.shape[1:]
    even = np.pad(pixels, [(0, 0), (0, height % REDUCTION), (0, width % REDUCTION)], mode="edge")
    small = torch.from_numpy(even).float()[None] / 255
    images = learner.normalised(F.avg_pool2d(small, REDUCTION))
    mapped = np.empty(even.shape[1:], dtype=np.uint8)
    rows, cols = images.shape[-2:]
    for top in range(0, rows, BLOCK):
        for left in range(0, cols, BLOCK):
            above, before = min(top, MARGIN), min(left, MARGIN)
            seen = images[..., top - above : top + BLOCK + MARGIN, left - before : left + BLOCK + MARGIN]
            spread = F.interpolate(_logits(learner, seen), scale_factor=REDUCTION, mode="bilinear")
            classes = spread[0].argmax(dim=0).to(torch.uint8).numpy()[above * REDUCTION :, before * REDUCTION :]
            part = mapped[top * REDUCTION :, left * REDUCTION :][: BLOCK * REDUCTION, : BLOCK * REDUCTION]
            part[:] = classes[: part.shape[0], : part.shape[1]]
    return mapped[:height, :width]


def _logits(learner: Learner, images: Tensor) -> Tensor:
    """Logits of images of any size, padded by their edge to what the network divides by."""
    below, right = (-side % STRIDE for side in images.shape[-2:])
    padded = F.pad(images, (0, right, 0, below), mode="replicate")
    with learner.autocast():
        logits: Tensor = learner.network(padded).float()
    return logits[..., : images.shape[-2], : images.shape[-1]]


if __name__ == "__main__":
    main()
