import json
from dataclasses import replace

import pytest

from terraseg.core.fingerprint import BandFacts, Fingerprint, SceneFacts
from terraseg.core.plan import Hardware, Plan
from terraseg.errors import BadOption
from terraseg.plan.options import TrainOptions, seconds
from terraseg.plan.rules import make_plan

SCENE = SceneFacts("a", 1024, 2048, 0.3, 1.0, 1.0, (10, 10))
FACTS = Fingerprint("uint8", (BandFacts("red", 1, 1, 0, 1, 2),), (SCENE,), ("a", "b"), (10, 10), 10_000, 1000, 0.3)
LAPTOP = Hardware(2, 16 * 2**30, "cpu", "no GPU was found; 2 processor cores", 0, bf16=False)
SERVER = Hardware(16, 128 * 2**30, "cuda", "a GPU", 40 * 2**30, bf16=True)


def test_every_choice_has_a_reason() -> None:
    for machine in (LAPTOP, SERVER):
        plan = make_plan(FACTS, machine, TrainOptions())
        unsaid = {"steps", "loss", "gradient_clip", "reasons"}
        assert set(plan.reasons) == {name for name in vars(plan) if name not in unsaid}


def test_a_plan_survives_json() -> None:
    plan = make_plan(FACTS, LAPTOP, TrainOptions())
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_what_the_user_sets_is_taken_as_it_is() -> None:
    options = TrainOptions("unet-resnet", "resnet50", "w.safetensors", 96, 3, 77, "", 0.5, "bf16", ("d4",), 2, 9)
    plan = make_plan(FACTS, LAPTOP, options)
    assert plan.network_options == {"encoder": "resnet50", "pretrained_path": "w.safetensors"}
    assert (plan.crop, plan.batch, plan.steps, plan.time_budget_s) == (96, 3, 77, None)
    assert (plan.learning_rate, plan.precision, plan.augment, plan.patience, plan.seed) == (0.5, "bf16", ("d4",), 2, 9)


def test_exactly_one_length_is_set() -> None:
    for options in (TrainOptions(), TrainOptions(steps=5), TrainOptions(time_budget="8m")):
        plan = make_plan(FACTS, LAPTOP, options)
        assert (plan.steps is None) != (plan.time_budget_s is None)


@pytest.mark.parametrize(("gsd_m", "crop"), [(0.3, 128), (0.2, 192), (0.07, 256), (10.0, 128), (None, 128)])
def test_a_crop_is_sized_on_the_ground(gsd_m: float | None, crop: int) -> None:
    facts = replace(FACTS, gsd_m=gsd_m, scenes=(replace(SCENE, gsd_m=gsd_m),))
    assert make_plan(facts, LAPTOP, TrainOptions()).crop == crop


@pytest.mark.parametrize("side", [40, 64, 130, 200, 384])
def test_a_crop_fits_a_small_scene_more_than_once(side: int) -> None:
    facts = replace(FACTS, scenes=(SCENE, replace(SCENE, height=side)))
    crop = make_plan(facts, LAPTOP, TrainOptions()).crop
    assert crop % 32 == 0
    assert crop <= max(32, side // 2)


def test_a_gpu_gets_larger_work_than_a_laptop() -> None:
    small, large = make_plan(FACTS, LAPTOP, TrainOptions()), make_plan(FACTS, SERVER, TrainOptions())
    assert (small.precision, large.precision) == ("fp32", "bf16")
    assert large.batch * large.crop**2 > small.batch * small.crop**2


def test_measurements_are_not_given_other_colours() -> None:
    assert "photometric" in make_plan(FACTS, LAPTOP, TrainOptions()).augment
    assert "photometric" not in make_plan(replace(FACTS, dtype="uint16"), LAPTOP, TrainOptions()).augment


def test_nothing_stops_early_where_nothing_judges() -> None:
    assert make_plan(replace(FACTS, validation_pixels=0), LAPTOP, TrainOptions()).patience == 0


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("8m", 480), ("1h30m", 5400), ("1.5m", 90)])
def test_durations_are_read(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "8", "8 m", "m8", "0s", "8d"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(BadOption, match="write it as 90s"):
        seconds(text)


def test_two_lengths_or_a_nonsense_size_are_refused() -> None:
    with pytest.raises(BadOption, match="choose one"):
        TrainOptions(steps=5, time_budget="8m")
    with pytest.raises(BadOption, match="crop = 0"):
        TrainOptions(crop=0)
