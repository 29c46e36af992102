"""How much ground the network sees, and how sharply: working resolution, patches, batches, tiles."""

import math

import numpy as np

from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Hardware
from terraseg.plan.choice import Choice, settled
from terraseg.plan.options import SampleOptions

SHOWN_M = 30.0
"""Ground that a patch should show, in metres: a house with its street and its neighbours."""
OBJECT_PX = 10.0
"""Width in working pixels that the narrowest class's median object keeps: finer pixels cost time and narrow the view."""
MOST_REDUCED = 4
MANY_ROUNDS = 150.0
"""How often training may see each pixel before it learns them by heart: from two drone sites of 11 megapixels a ResNet-18
came to a building IoU of 42 on a third site after 600 rounds, and with the patches varied more and the weights held back to
62 after 370; on 22 megapixels of satellite imagery, seen 80 times, it lost by that.
"""
LARGEST_TILE = 1024
COMMON_SHARE = 0.01
"""Classes with less of the labelled pixels have no say in the resolution."""
REFLECTANCE = frozenset({"float32", "float64", "uint16", "int16", "uint32", "int32"})


def reduction_of(facts: Fingerprint, options: SampleOptions) -> Choice:
    """Pixels of the imagery, along either axis, that make one of the network's."""
    if options.reduction is not None:
        return settled(options.reduction)
    widths = object_widths_px(facts)
    if not widths:
        return Choice(1, "the sizes of the objects are not known, so every pixel is kept")
    name = min(widths, key=lambda key: widths[key])
    factor = int(min(max(widths[name] // OBJECT_PX, 1), MOST_REDUCED))
    seen = f"the narrowest class, {name}, is {widths[name]:.0f} px wide"
    if factor == 1:
        return Choice(1, f"{seen}: every pixel is needed")
    return Choice(factor, f"{seen}: {widths[name] / factor:.0f} px do, and a patch shows {factor} times the ground")


def object_widths_px(facts: Fingerprint) -> dict[str, float]:
    """Median width of the objects of each class that is not rare, in pixels of the imagery."""
    pixel = 1.0 if facts.object_unit == "px" else facts.gsd_m or 1.0
    shares = dict(zip(facts.class_names, facts.class_shares, strict=True))
    return {o.name: o.width[1] / pixel for o in facts.objects if o.count and shares.get(o.name, 0) >= COMMON_SHARE}


def crop_of(facts: Fingerprint, options: SampleOptions, reduction: int, *, on_gpu: bool) -> Choice:
    """Side of a training patch in working pixels."""
    if options.crop is not None:
        return settled(options.crop)
    wanted, reason = _wanted_crop(None if facts.gsd_m is None else facts.gsd_m * reduction, on_gpu=on_gpu)
    typical = int(np.median([min(sides) for sides in facts.scene_sides])) // reduction
    if typical >= 2 * wanted:
        return Choice(wanted, reason)
    crop = max(32, min(wanted, typical // 64 * 32))
    return Choice(crop, f"half of a typical scene's side, {typical} px, so that a patch can lie in many places")


def _wanted_crop(gsd_m: float | None, *, on_gpu: bool) -> tuple[int, str]:
    """The crop that shows `SHOWN_M` of ground, between 128 and 256 px, or 512 px on a GPU."""
    most = 512 if on_gpu else 256
    if gsd_m is None:
        return 128, "the ground a pixel covers is not known; 128 px leave many patches a step"
    wanted = next((crop for crop in (128, 192, 256, 384) if crop * gsd_m >= SHOWN_M and crop <= most), most)
    return wanted, f"{wanted} px show {wanted * gsd_m:.0f} m of ground: objects with their surroundings"


def batch_of(crop: int, options: SampleOptions, *, on_gpu: bool) -> Choice:
    """Patches a step."""
    if options.batch is not None:
        return settled(options.batch)
    pixels = (16 if on_gpu else 2) * 256 * 256
    batch = max(4, min(64, pixels // (crop * crop)))
    return Choice(
        batch, f"about {pixels / 1e6:.1f} megapixels a step: enough for steady gradients, few enough for many steps"
    )


def accumulate_of(batch: int, crop: int, machine: Hardware, options: SampleOptions) -> Choice:
    """Parts in which a batch is computed so that its step stays within the memory at hand."""
    if options.accumulate is not None:
        return settled(options.accumulate)
    per_sample = max((t.memory * crop**2 // t.crop**2 for t in machine.timings), default=0)
    available = machine.device_memory or machine.memory
    parts = min(batch, max(1, math.ceil(batch * per_sample / max(1, available // 2))))
    if parts == 1:
        return Choice(1, "a whole batch fits into memory")
    return Choice(parts, f"{batch * per_sample / 1e9:.1f} GB a step would be more than half of the memory at hand")


def augment_of(facts: Fingerprint, options: SampleOptions, *, rounds: float) -> Choice:
    """The augmentations: tricks of colour only where a pixel is a picture and no measurement.

    `rounds` is how often training sees each pixel: after many, patches change in scale and exchange parts, too, before
    they are known by heart. With few rounds a network loses by that, from given weights as from random ones.
    """
    if options.augment is not None:
        return settled(options.augment)
    dtype = facts.sensed_dtype or facts.dtype
    if dtype in REFLECTANCE:
        why = f"overhead scenes have no up; {dtype} values are measurements, so only small gains, haze and noise are added"
        names: tuple[str, ...] = ("d4", "radiometric")
    else:
        names, why = ("d4", "photometric"), "overhead scenes have no up, and 8-bit pictures vary in light and colour"
    if rounds > MANY_ROUNDS:
        why = f"{why}; each pixel is seen {rounds:.0f} times, so that patches must differ more"
        return Choice((*names, "scale", "cutmix"), why)
    return Choice(names, why)


def tile_of(facts: Fingerprint, reduction: int) -> Choice:
    """Side of a prediction tile in pixels of the imagery."""
    largest = max(max(sides) for sides in facts.scene_sides)
    if largest <= 384 * reduction:
        return Choice(256 * reduction, "the scenes are small")
    side = max(256 * reduction, min(512 * reduction, LARGEST_TILE // reduction * reduction))
    return Choice(side, "large enough that edges cost little, small enough for any memory")
