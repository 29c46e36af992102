"""A look at what training sees: the patches of a step after augmentation, with their labels."""

import numpy as np
from numpy.typing import NDArray
from torch import nn

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.store.cache import training_scenes
from terraseg.store.rundir import RunFolder
from terraseg.train.loop import make_batches
from terraseg.train.module import build_module, means


def augmented_batch(
    dataset: Dataset, fingerprint: Fingerprint, plan: Plan, run: RunFolder, *, step: int = 0, cache_gb: float = 4.0
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The patches of a training step, in raw pixel values again, (n, bands, crop, crop), and their labels (n, crop, crop).

    Raises `EmptyDataset` when there is nothing to train on.
    """
    module = build_module(dataset, fingerprint, plan, network=nn.Identity)
    module.step = step
    fill = means(fingerprint)
    with training_scenes(dataset, run.cache, cache_gb=cache_gb, fill=fill, reduction=plan.reduction_at) as scenes:
        images, labels = module.prepared(*make_batches(scenes, dataset, module).batch(step))
    how = module.recipe.augmentation
    raw = images.numpy() * how.std[:, None, None] + how.mean[:, None, None]
    return raw.astype(np.float32), labels.numpy()
