"""The rules that turn facts into a plan. Each gives a value and its reason in one line; none touches a file or a device."""

from dataclasses import dataclass
from typing import Any

from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Hardware, Plan
from terraseg.plan.options import TrainOptions, seconds

ENCODED = frozenset({"unet-light", "unet-resnet", "dynamic-unet"})
SETTLED = "set in the project file or on the command line"
REFLECTANCE = frozenset({"float32", "float64", "uint16", "int16", "uint32", "int32"})
DEFAULT_BUDGET_S = 600.0
VALIDATIONS = 12
SHOWN_M = 30.0
"""Ground that a patch should show, in metres: a house with its street and its neighbours."""


@dataclass(frozen=True)
class Choice:
    """A value with its reason."""

    value: Any
    reason: str


def make_plan(facts: Fingerprint, machine: Hardware, options: TrainOptions) -> Plan:
    """The plan for a data set on a machine; what `options` sets is taken as it is."""
    on_gpu = machine.device != "cpu"
    network = _network(options)
    crop = _crop(facts, options, on_gpu=on_gpu)
    precision = _precision(machine, options)
    batch = _batch(crop.value, on_gpu=on_gpu, options=options)
    steps, budget = _length(options)
    choices = {
        "network": network,
        "network_options": _network_options(network.value, machine, options),
        "crop": crop,
        "batch": batch,
        "steps": steps,
        "time_budget_s": budget,
        "learning_rate": _learning_rate(network.value, options),
        "weight_decay": Choice(0.01, "AdamW's usual decay; none on biases and normalisation"),
        "precision": precision,
        "device": Choice(machine.device, machine.device_name),
        "threads": Choice(machine.cores, f"the machine gives this process {machine.cores} cores"),
        "augment": _augment(facts, options),
        "validate_every": Choice(0, f"about {VALIDATIONS} validations over the run, as the clock allows"),
        "patience": _patience(facts, options),
        "tile": _tile(facts),
        "overlap": Choice(64, "two tiles share 64 px, where their probabilities are blended"),
        "seed": Choice(options.seed, SETTLED if options.seed else "the default"),
    }
    values = {name: choice.value for name, choice in choices.items()}
    return Plan(**values, reasons={name: choice.reason for name, choice in choices.items() if choice.reason})


def _network(options: TrainOptions) -> Choice:
    if options.network:
        return Choice(options.network, SETTLED)
    return Choice(
        "unet-light", "a residual encoder under a light decoder: of the U-Nets it learns most in a given time"
    )


def _network_options(network: str, machine: Hardware, options: TrainOptions) -> Choice:
    chosen: dict[str, Any] = {}
    reason = "the network has no options that the data would change"
    if network in ENCODED:
        on_gpu = machine.device != "cpu"
        chosen["encoder"] = options.encoder or ("resnet34" if on_gpu else "resnet18")
        where = (
            "a GPU trains it in time" if on_gpu else "the smallest ResNet: on a processor, more steps beat more layers"
        )
        reason = SETTLED if options.encoder else where
    if options.pretrained_path:
        chosen["pretrained_path"] = options.pretrained_path
        reason += "; weights from the given file"
    return Choice(chosen, reason)


def _crop(facts: Fingerprint, options: TrainOptions, *, on_gpu: bool) -> Choice:
    if options.crop is not None:
        return Choice(options.crop, SETTLED)
    wanted, reason = _wanted_crop(facts.gsd_m, on_gpu=on_gpu)
    smallest = min(min(scene.height, scene.width) for scene in facts.scenes)
    if smallest >= 2 * wanted:
        return Choice(wanted, reason)
    crop = max(32, min(wanted, smallest // 64 * 32))
    return Choice(crop, f"half of the smallest scene side, {smallest} px, so that a patch can lie in many places")


def _wanted_crop(gsd_m: float | None, *, on_gpu: bool) -> tuple[int, str]:
    """The crop that shows `SHOWN_M` of ground, between 128 and 256 px, or 512 px on a GPU."""
    most = 512 if on_gpu else 256
    if gsd_m is None:
        return 128, "the ground a pixel covers is not known; 128 px leave many patches a step"
    wanted = next((crop for crop in (128, 192, 256, 384) if crop * gsd_m >= SHOWN_M and crop <= most), most)
    return wanted, f"{wanted} px show {wanted * gsd_m:.0f} m of ground: objects with their surroundings"


def _precision(machine: Hardware, options: TrainOptions) -> Choice:
    if options.precision != "auto":
        return Choice(options.precision, SETTLED)
    if machine.bf16:
        return Choice("bf16", "the device computes in bfloat16, about twice as fast as in 32 bit at equal accuracy")
    return Choice("fp32", "the device has no bfloat16 arithmetic")


def _batch(crop: int, *, on_gpu: bool, options: TrainOptions) -> Choice:
    if options.batch is not None:
        return Choice(options.batch, SETTLED)
    pixels = (16 if on_gpu else 4) * 256 * 256
    batch = max(4, min(64, pixels // (crop * crop)))
    return Choice(
        batch, f"about {pixels / 1e6:.1f} megapixels a step: enough for steady gradients, few enough for many steps"
    )


def _length(options: TrainOptions) -> tuple[Choice, Choice]:
    if options.steps is not None:
        return Choice(options.steps, SETTLED), Choice(None, "")
    if options.time_budget:
        return Choice(None, ""), Choice(seconds(options.time_budget), SETTLED)
    return Choice(None, ""), Choice(DEFAULT_BUDGET_S, "ten minutes, the default; set time_budget or steps for more")


def _learning_rate(network: str, options: TrainOptions) -> Choice:
    if options.learning_rate is not None:
        return Choice(options.learning_rate, SETTLED)
    if options.pretrained_path:
        return Choice(5e-4, "half the usual peak, since the encoder starts from trained weights")
    if network == "simple-unet":
        return Choice(
            2e-2, "its last block squeezes everything through one channel a class, which learns only at a high rate"
        )
    return Choice(1e-3, "the usual peak of a one-cycle policy with AdamW on U-Nets from random weights")


def _augment(facts: Fingerprint, options: TrainOptions) -> Choice:
    if options.augment is not None:
        return Choice(options.augment, SETTLED)
    if facts.dtype in REFLECTANCE:
        why = f"overhead scenes have no up; {facts.dtype} values are measurements, so only small gains, haze and noise are added"
        return Choice(("d4", "radiometric"), why)
    return Choice(("d4", "photometric"), "overhead scenes have no up, and 8-bit pictures vary in light and colour")


def _patience(facts: Fingerprint, options: TrainOptions) -> Choice:
    if options.patience is not None:
        return Choice(options.patience, SETTLED)
    if facts.validation_pixels == 0:
        return Choice(0, "nothing judges the training, so it runs to its end")
    return Choice(6, "half of the validations without a gain mean that no more is to come")


def _tile(facts: Fingerprint) -> Choice:
    largest = max(max(scene.height, scene.width) for scene in facts.scenes)
    if largest <= 384:
        return Choice(256, "the scenes are small")
    return Choice(512, "large enough that edges cost little, small enough for any memory")
