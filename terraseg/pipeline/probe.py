"""What a plan goes by besides the facts of the data: the weights to start from, and what steps cost on this machine."""

from dataclasses import replace
from pathlib import Path

from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Hardware
from terraseg.plan.architecture import Candidate, candidates
from terraseg.plan.options import TrainingOptions, TrainOptions
from terraseg.plan.rules import precision_of
from terraseg.store.bundle import read_spec


def start_of(options: TrainOptions) -> Candidate | None:
    """The network of `pretrained_path`: an earlier model's own, or the default over the encoder that the file is named after.

    None when there is no such path, when the user names network or encoder, and when the file's name is no encoder's.
    """
    if not options.pretrained_path or options.network or options.encoder:
        return None
    path = Path(options.pretrained_path)
    if path.is_dir():
        spec = read_spec(path)
        return Candidate(spec.network, dict(spec.network_options))
    encoder = encoder_named(path)
    return Candidate("unet-light", {"encoder": encoder}) if encoder else None


def encoder_named(path: Path) -> str:
    """The timm encoder whose name the file's name begins with, the longest of several; "" when there is none."""
    from terraseg.nets.encoders import encoder_names

    stem = path.stem.replace("-", "_")
    fitting = (name for name in encoder_names() if stem == name or stem.startswith((f"{name}_", f"{name}.")))
    return max(fitting, key=len, default="")


TIMED_CROP = 128
TIMED_SAMPLES = 2


def with_timings(
    machine: Hardware, facts: Fingerprint, options: TrainingOptions, start: Candidate | None = None
) -> Hardware:
    """The machine with the measured step of each network that the plan may choose: a few seconds each.

    Nothing is measured where training goes by steps or epochs on a processor: there the clock chooses nothing, and memory
    has never been short.
    """
    from terraseg.train.timing import Trial, measure_step

    if (options.train.steps or options.train.epochs) and machine.device == "cpu":
        return machine
    trial = Trial(
        bands=len(facts.bands),
        classes=len(facts.class_names),
        crop=TIMED_CROP,
        samples=TIMED_SAMPLES,
        precision=precision_of(machine, options.train).value,
        device=machine.device,
        threads=machine.cores,
    )
    found = candidates(machine, options.train, start)
    timings = tuple(measure_step(candidate.network, candidate.options, trial) for candidate in found)
    return replace(machine, timings=timings)
