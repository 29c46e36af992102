"""The rules that turn facts into a plan. Each gives a value and its reason in one line; none touches a file or a device."""

import math
from fractions import Fraction

from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Hardware, Plan
from terraseg.core.scale import PixelSize, Scale, scale_text, simple
from terraseg.errors import BadOption
from terraseg.nets.loss_options import balanced_weights
from terraseg.plan.architecture import Candidate, architecture, rounds_of
from terraseg.plan.choice import Choice, settled
from terraseg.plan.options import OptimizeOptions, TrainingOptions, TrainOptions, seconds
from terraseg.plan.view import MANY_ROUNDS, accumulate_of, augment_of, batch_of, crop_of, reduction_of, tile_of

QUALITY_S = {"fast": 180.0, "balanced": 600.0, "best": 3600.0}
VALIDATIONS = 12
SHOWN = 3
"""Scenes of another pixel size that are named."""


def make_plan(
    facts: Fingerprint, machine: Hardware, options: TrainingOptions, *, start: Candidate | None = None
) -> Plan:
    """The plan for a data set on a machine; what `options` sets is taken as it is.

    `start` is the network of the weights under `pretrained_path`, None when there are none or it is not known.
    """
    choices = _seeing(facts, machine, options)
    reduction = choices["reduction"].value
    step_pixels = (choices["crop"].value * reduction) ** 2 * choices["batch"].value
    choices["steps"], choices["time_budget_s"] = _length(facts, options.train, step_pixels)
    seconds, pixels = choices["time_budget_s"].value, facts.model_pixels / reduction**2
    network = architecture(machine, options.train, start, pixels=pixels, seconds=seconds)
    choices |= _network(network, options.train) | _learning(facts, machine, options)
    choices |= _varying(facts, options, _rounds(choices, facts, machine))
    values = {name: choice.value for name, choice in choices.items()}
    return Plan(**values, reasons={name: choice.reason for name, choice in choices.items() if choice.reason})


def _rounds(choices: dict[str, Choice], facts: Fingerprint, machine: Hardware) -> float:
    """How often training sees each of its pixels, on the fastest candidate; 0 where nothing says what a step takes."""
    reduction, steps, budget = (choices[name].value for name in ("reduction", "steps", "time_budget_s"))
    if steps is not None:
        step_pixels = (choices["crop"].value * reduction) ** 2 * choices["batch"].value
        return float(steps * step_pixels / max(1, facts.model_pixels))
    if not machine.timings:
        return 0.0
    return rounds_of(machine.timings[0], facts.model_pixels / reduction**2, budget)


def _varying(facts: Fingerprint, options: TrainingOptions, rounds: float) -> dict[str, Choice]:
    """How patches are varied and weights held back, so that the training ground is not learnt by heart."""
    decay = options.optimize.weight_decay
    return {
        "augment": augment_of(facts, options.sample, rounds=rounds),
        "weight_decay": _weight_decay(rounds) if decay is None else settled(decay),
    }


def _seeing(facts: Fingerprint, machine: Hardware, options: TrainingOptions) -> dict[str, Choice]:
    sample, on_gpu = options.sample, machine.device != "cpu"
    reduction = reduction_of(facts, sample)
    crop = crop_of(facts, sample, reduction.value, on_gpu=on_gpu)
    batch = batch_of(crop.value, sample, on_gpu=on_gpu)
    worked = None if facts.gsd_m is None else facts.gsd_m * reduction.value
    centred = Choice(0.1, "a tenth of the patches look for each class alike, so that rare ones are seen")
    return {
        "reduction": reduction,
        "gsd_m": Choice(worked, _brought(facts) if worked else ""),
        "aspect": Choice(facts.aspect, "the width of the imagery's pixels on the ground over their height"),
        "crop": crop,
        "batch": batch,
        "accumulate": accumulate_of(batch.value, crop.value, machine, sample),
        "centred_share": centred if sample.centred_share is None else settled(sample.centred_share),
        "tile": tile_of(facts, reduction.value),
        "overlap": Choice(
            64 * reduction.value, "neighbouring tiles share it, and their probabilities are blended there"
        ),
    }


def _brought(facts: Fingerprint) -> str:
    """Where the working ground sample distance comes from, and what becomes of scenes that have another."""
    why = "the imagery's ground sample distance times the reduction"
    size = PixelSize(facts.gsd_m or 1.0, facts.aspect)
    changed = [
        f"{scene.name} {text}"
        for scene in facts.scenes
        if scene.gsd_m is not None and (text := scale_text(_alike(simple(size.gsd_m / scene.gsd_m)), scene.gsd_m, size))
    ]
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    return f"{why}; brought to it: {', '.join(changed[:SHOWN])}{more}" if changed else why


def _alike(factor: Fraction) -> Scale:
    return Scale(factor, factor)


def _learning(facts: Fingerprint, machine: Hardware, options: TrainingOptions) -> dict[str, Choice]:
    train, optimize = options.train, options.optimize
    return {
        "loss": _loss(facts, train),
        "class_weights": _class_weights(facts, optimize),
        "label_smoothing": Choice(optimize.label_smoothing, _why(optimize.label_smoothing, "the labels are trusted")),
        "learning_rate": _learning_rate(train),
        "schedule": Choice(optimize.schedule, "one rise and one fall use the whole time, however short"),
        "warm_up": _or(optimize.warm_up, Choice(0.3, "the usual share of a one-cycle policy")),
        "encoder_rate": _or(optimize.encoder_rate, _encoder_rate(train)),
        "freeze": _or(optimize.freeze, Choice(0.0, "the whole network learns from the first step")),
        "average": _average(optimize),
        "gradient_clip": _or(optimize.gradient_clip, Choice(0.0, "normalised networks need no bound on the gradient")),
        "precision": precision_of(machine, train),
        "device": Choice(machine.device, machine.device_name),
        "threads": Choice(machine.cores, f"the machine gives this process {machine.cores} cores"),
        "validate_every": Choice(0, f"about {VALIDATIONS} validations over the run, as the clock allows"),
        "patience": _or(train.patience, Choice(0, "the rate falls to zero at the end, and the last part gains much")),
        "seed": settled(train.seed) if train.seed else Choice(0, "the default"),
    }


def _or(value: float | None, otherwise: Choice) -> Choice:
    return otherwise if value is None else settled(value)


def _why(value: float, otherwise: str) -> str:
    return settled(value).reason if value else otherwise


def _network(chosen: Choice, options: TrainOptions) -> dict[str, Choice]:
    candidate: Candidate = chosen.value
    settings = dict(candidate.options)
    reason = settled(0).reason if options.encoder else "as the candidates for this kind of machine are built"
    if options.pretrained_path:
        settings["pretrained_path"] = options.pretrained_path
        reason += "; weights from the given file"
    return {"network": Choice(candidate.network, chosen.reason), "network_options": Choice(settings, reason)}


def _loss(facts: Fingerprint, options: TrainOptions) -> Choice:
    if options.loss:
        return settled(_asked_loss(facts, options.loss))
    if facts.overlapping:
        why = "the classes overlap: cross entropy asks of each by itself whether it is there, Dice keeps small ones in view"
        return Choice({"bce": 1.0, "dice": 1.0}, why)
    return Choice({"ce": 1.0}, "cross entropy: right for every number of classes, and its scores are probabilities")


def _asked_loss(facts: Fingerprint, loss: str | dict[str, float]) -> dict[str, float]:
    """The shares of a loss that the user has set; `BadOption` for the cross entropy of the other kind of classes."""
    wrong, right = ("ce", "bce") if facts.overlapping else ("bce", "ce")
    if wrong in ([loss] if isinstance(loss, str) else loss):
        kind = "overlap" if facts.overlapping else "exclude each other"
        raise BadOption(f"[train] sets the loss {wrong!r} and the classes {kind}: pass {right!r} in its place")
    return {loss: 1.0} if isinstance(loss, str) else loss


def _class_weights(facts: Fingerprint, options: OptimizeOptions) -> Choice:
    if options.class_weights == "none":
        return Choice(None, "every pixel counts alike")
    if options.class_weights != "auto":
        return settled(options.class_weights)
    return Choice(
        balanced_weights(facts.class_pixels), "rare classes count more, by the root of their share, at most ten times"
    )


def precision_of(machine: Hardware, options: TrainOptions) -> Choice:
    """The arithmetic of training."""
    if options.precision != "auto":
        return settled(options.precision)
    if machine.bf16:
        return Choice("bf16", "the device computes in bfloat16, about twice as fast as in 32 bit at equal accuracy")
    return Choice("fp32", "the device has no bfloat16 arithmetic")


def _length(facts: Fingerprint, options: TrainOptions, step_pixels: int) -> tuple[Choice, Choice]:
    if options.steps is not None:
        return settled(options.steps), Choice(None, "")
    if options.epochs is not None:
        steps = options.epochs * max(1, math.ceil(facts.model_pixels / step_pixels))
        return Choice(steps, f"{options.epochs} times as many patches as cover the training pixels"), Choice(None, "")
    if options.time_budget:
        return Choice(None, ""), settled(seconds(options.time_budget))
    budget = QUALITY_S[options.quality]
    why = f'{budget / 60:.0f} minutes, as quality = "{options.quality}" means; set time_budget, epochs or steps'
    return Choice(None, ""), Choice(budget, why)


def _learning_rate(options: TrainOptions) -> Choice:
    if options.learning_rate is not None and options.learning_rate != "find":
        return settled(options.learning_rate)
    if options.network == "simple-unet":
        return Choice(
            2e-2, "its last block squeezes everything through one channel a class, which learns only at a high rate"
        )
    return Choice(1e-3, "the usual peak of a one-cycle policy with AdamW on U-Nets from random weights")


def _weight_decay(rounds: float) -> Choice:
    if rounds > MANY_ROUNDS:
        return Choice(0.1, f"strong, as each pixel is seen {rounds:.0f} times")
    return Choice(0.01, "AdamW's usual decay; none on biases and normalisation")


def _encoder_rate(options: TrainOptions) -> Choice:
    if options.pretrained_path:
        return Choice(0.3, "the encoder's weights know much already: they follow slowly")
    return Choice(1.0, "the encoder learns as fast as the rest")


def _average(options: OptimizeOptions) -> Choice:
    if options.average != "auto":
        return settled(options.average)
    return Choice("none", "the schedule ends at a rate so low that it averages by itself")
