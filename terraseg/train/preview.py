"""A look at what training sees: the patches of a step after augmentation, with their labels."""

import numpy as np
from numpy.typing import NDArray
from torch import nn

from terraseg.store.cache import training_scenes
from terraseg.train.loop import make_batches
from terraseg.train.module import build_module, means
from terraseg.train.trained import Task


def augmented_batch(task: Task, *, step: int = 0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The patches of a training step, in raw pixel values again, (n, bands, crop, crop), and their labels (n, crop, crop).

    Raises `EmptyDataset` when there is nothing to train on.
    """
    module = build_module(task.dataset, task.fingerprint, task.plan, network=nn.Identity)
    module.step = step
    fill, working = means(task.fingerprint), task.plan.working
    opened = training_scenes(task.dataset, task.run.cache, cache_gb=task.cache_gb, fill=fill, working=working)
    with opened as scenes:
        images, labels = module.prepared(*make_batches(scenes, task.dataset, module).batch(step))
    how = module.recipe.augmentation
    raw = images.numpy() * how.std[:, None, None] + how.mean[:, None, None]
    return raw.astype(np.float32), labels.numpy()
