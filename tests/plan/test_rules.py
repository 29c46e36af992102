import json
from dataclasses import replace

import pytest

from terraseg.core.fingerprint import BandFacts, Fingerprint, ObjectFacts, SceneFacts
from terraseg.core.plan import Hardware, Plan, StepTime
from terraseg.errors import BadOption
from terraseg.plan.options import OptimizeOptions, SampleOptions, TrainingOptions, TrainOptions, seconds
from terraseg.plan.rules import make_plan

SCENE = SceneFacts("a", 1024, 2048, 0.3, 1.0, 1.0, (10, 10))
FACTS = Fingerprint("uint8", (BandFacts("red", 1, 1, 0, 1, 2),), (SCENE,), ("a", "b"), (10, 10), 10_000, 1000, 0.3)
LAPTOP = Hardware(2, 16 * 2**30, "cpu", "no GPU was found; 2 processor cores", 0, bf16=False)
SERVER = Hardware(16, 128 * 2**30, "cuda", "a GPU", 40 * 2**30, bf16=True)


def test_every_choice_has_a_reason() -> None:
    for machine in (LAPTOP, SERVER):
        plan = make_plan(FACTS, machine, TrainingOptions())
        unsaid = {"steps", "reasons"}
        assert set(plan.reasons) == {name for name in vars(plan) if name not in unsaid}


def test_a_plan_survives_json() -> None:
    plan = make_plan(FACTS, LAPTOP, TrainingOptions())
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_what_the_user_sets_is_taken_as_it_is() -> None:
    train = TrainOptions(
        steps=77,
        network="unet-resnet",
        encoder="resnet50",
        pretrained_path="w.safetensors",
        loss={"ce": 1, "dice": 0.5},
        learning_rate=0.5,
        precision="bf16",
        patience=2,
        seed=9,
    )
    sample = SampleOptions(reduction=2, crop=96, batch=3, accumulate=3, augment=("d4",), centred_share=0.4)
    optimize = OptimizeOptions(
        schedule="poly",
        warm_up=0.1,
        weight_decay=0.2,
        encoder_rate=0.3,
        freeze=0.5,
        average="swa",
        gradient_clip=2.0,
        class_weights=(1.0, 3.0),
        label_smoothing=0.05,
    )
    plan = make_plan(FACTS, LAPTOP, TrainingOptions(train, sample, optimize))
    assert plan.network_options == {"encoder": "resnet50", "pretrained_path": "w.safetensors"}
    renamed = {"network", "encoder", "pretrained_path", "quality", "time_budget", "epochs", "cache_gb"}
    for table in (train, sample, optimize):
        for name, value in vars(table).items():
            if name not in renamed:
                assert getattr(plan, name) == value, name
                assert plan.time_budget_s is None


def test_exactly_one_length_is_set() -> None:
    for train in (TrainOptions(), TrainOptions(steps=5), TrainOptions(time_budget="8m"), TrainOptions(epochs=3)):
        plan = make_plan(FACTS, LAPTOP, TrainingOptions(train))
        assert (plan.steps is None) != (plan.time_budget_s is None)


def test_a_whole_number_is_a_learning_rate_too() -> None:
    assert make_plan(FACTS, LAPTOP, TrainingOptions(TrainOptions(learning_rate=1))).learning_rate == 1


def test_an_epoch_covers_the_training_pixels_once() -> None:
    sample = SampleOptions(crop=10, batch=4, reduction=2)
    assert make_plan(FACTS, LAPTOP, TrainingOptions(TrainOptions(epochs=3), sample)).steps == 3 * 7


def test_quality_says_how_long_where_nothing_else_does() -> None:
    lengths = [
        make_plan(FACTS, LAPTOP, TrainingOptions(TrainOptions(quality=quality))).time_budget_s
        for quality in ("fast", "balanced", "best")
    ]
    short, usual, long = (length or 0 for length in lengths)
    assert 0 < short < usual < long
    assert make_plan(FACTS, LAPTOP, TrainingOptions(TrainOptions(quality="best", steps=9))).steps == 9


def test_rare_classes_weigh_more_and_absent_ones_nothing() -> None:
    facts = replace(FACTS, class_names=("a", "b", "c"), class_pixels=(900, 100, 0))
    weights = make_plan(facts, LAPTOP, TrainingOptions(optimize=OptimizeOptions(class_weights="auto"))).class_weights
    assert weights is not None
    assert weights[1] > weights[0] > weights[2] == 0
    assert weights[0] * 0.9 + weights[1] * 0.1 == pytest.approx(1)


def with_objects(*objects: tuple[str, float], unit: str = "px", gsd_m: float | None = 0.5) -> Fingerprint:
    """Facts with objects of these median widths; the class "rare" has few pixels."""
    names = tuple(name for name, _ in objects)
    facts = tuple(ObjectFacts(name, 5, (1, 2, 3), (width / 2, width, 2 * width), 0.0) for name, width in objects)
    pixels = tuple(1 if name == "rare" else 1000 for name in names)
    return replace(FACTS, class_names=names, class_pixels=pixels, objects=facts, object_unit=unit, gsd_m=gsd_m)


@pytest.mark.parametrize(
    ("facts", "reduction"),
    [
        (with_objects(("road", 22), ("house", 45)), 2),
        (with_objects(("road", 22), ("rare", 3)), 2),
        (with_objects(("tree", 8), ("house", 45)), 1),
        (with_objects(("house", 500)), 4),
        (with_objects(("house", 9.0), unit="m", gsd_m=0.3), 3),
        (with_objects(), 1),
    ],
)
def test_the_narrowest_objects_say_how_far_imagery_is_reduced(facts: Fingerprint, reduction: int) -> None:
    plan = make_plan(facts, LAPTOP, TrainingOptions())
    assert plan.reduction == reduction
    assert (plan.tile % reduction, plan.overlap % reduction) == (0, 0)
    assert plan.gsd_m == (None if facts.gsd_m is None else facts.gsd_m * reduction)


def test_ground_that_is_seen_often_is_varied_and_the_weights_held_back() -> None:
    """0.1 s a sample of 128 px on a million pixels: about eight rounds a minute."""
    facts = replace(FACTS, train_pixels=1_000_000)
    timed = replace(LAPTOP, timings=(StepTime("unet-light", "resnet18", 128, 0.1, 10**8),))
    short, long = (
        make_plan(facts, timed, TrainingOptions(TrainOptions(time_budget=budget))) for budget in ("10m", "30m")
    )
    assert set(long.augment) - set(short.augment) == {"scale", "cutmix"}
    assert long.weight_decay > short.weight_decay
    assert "251 times" in long.reasons["augment"]
    rounds = make_plan(facts, LAPTOP, TrainingOptions(TrainOptions(epochs=200)))
    assert rounds.augment == long.augment


def test_a_step_stays_within_half_of_the_memory() -> None:
    small = replace(LAPTOP, memory=10**9, timings=(StepTime("unet-light", "resnet18", 128, 0.1, 10**8),))
    plan = make_plan(FACTS, small, TrainingOptions())
    assert -(-plan.batch // plan.accumulate) * 10**8 <= 0.5 * 10**9
    assert make_plan(FACTS, replace(small, memory=10**12), TrainingOptions()).accumulate == 1


@pytest.mark.parametrize(("gsd_m", "crop"), [(0.3, 128), (0.2, 192), (0.07, 256), (10.0, 128), (None, 128)])
def test_a_crop_is_sized_on_the_ground(gsd_m: float | None, crop: int) -> None:
    facts = replace(FACTS, gsd_m=gsd_m, scenes=(replace(SCENE, gsd_m=gsd_m),))
    assert make_plan(facts, LAPTOP, TrainingOptions()).crop == crop


@pytest.mark.parametrize("side", [40, 64, 130, 200, 384])
def test_a_crop_fits_a_typical_scene_more_than_once(side: int) -> None:
    facts = replace(FACTS, scenes=(SCENE, replace(SCENE, height=side), replace(SCENE, height=side)))
    crop = make_plan(facts, LAPTOP, TrainingOptions()).crop
    assert crop % 32 == 0
    assert crop <= max(32, side // 2)


def test_a_gpu_gets_larger_work_than_a_laptop() -> None:
    small, large = make_plan(FACTS, LAPTOP, TrainingOptions()), make_plan(FACTS, SERVER, TrainingOptions())
    assert (small.precision, large.precision) == ("fp32", "bf16")
    assert large.batch * large.crop**2 > small.batch * small.crop**2


def test_measurements_are_not_given_other_colours() -> None:
    assert "photometric" in make_plan(FACTS, LAPTOP, TrainingOptions()).augment
    assert "photometric" not in make_plan(replace(FACTS, dtype="uint16"), LAPTOP, TrainingOptions()).augment


def test_from_given_weights_the_encoder_follows_slowly_and_all_else_stays() -> None:
    started = make_plan(FACTS, LAPTOP, TrainingOptions(TrainOptions(pretrained_path="weights.safetensors")))
    blank = make_plan(FACTS, LAPTOP, TrainingOptions())
    assert (started.augment, started.weight_decay) == (blank.augment, blank.weight_decay)
    assert started.encoder_rate < blank.encoder_rate == 1.0


def test_nothing_stops_early_unless_asked() -> None:
    assert make_plan(FACTS, LAPTOP, TrainingOptions()).patience == 0
    assert make_plan(FACTS, LAPTOP, TrainingOptions(TrainOptions(patience=3))).patience == 3


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
    with pytest.raises(BadOption, match="cache_gb = -1"):
        SampleOptions(cache_gb=-1)
    with pytest.raises(BadOption, match="crop = 0"):
        SampleOptions(crop=0)
