"""Which weights are the best so far: the last ones or their average, by the validation windows."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from terraseg.train.average import Average, restate_norms, standing_in
from terraseg.train.checkpoints import TrainingState, write_best
from terraseg.train.module import SegmentationModule
from terraseg.train.processes import mean_buffers
from terraseg.train.stage import Stage
from terraseg.train.validation import TIME_SHARE, VALIDATIONS, Score, batch_limit, validate

SETTLED = 0.65
"""Progress from which weights are those of a settled network: the warm-up and half of the descent after it lie before."""

RESTATED_SAMPLES = 256
"""Training samples over which the batch norms of averaged weights are taken anew: millions of pixels at full size."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """The scores of a validation: of the last weights, and of their average; None where there was nothing to score."""

    last: Score | None = None
    average: Score | None = None


def judge(stage: Stage, state: TrainingState, module: SegmentationModule, average: Average | None) -> Verdict:
    """The scores of both kinds of weights; the better ones are written down as the best if nothing before was better.

    From `SETTLED` on, what came before it is no rival any more.
    A plain average has its batch norms taken anew over training batches before, even where there is nothing to judge
    by: it is what training ends with then.
    """
    averaged = average is not None and not average.is_empty
    if average is not None and average.kind == "swa" and averaged:
        with standing_in(average, module.network):
            _restate(stage, state, module)
            average.take(module.network)
    if not stage.tiles:
        return Verdict()
    verdict = Verdict(_scored(stage, state, module))
    if average is not None and averaged:
        with standing_in(average, module.network):
            verdict = Verdict(verdict.last, _scored(stage, state, module))
    _keep_best(stage, state, module, average, verdict)
    return verdict


def _restate(stage: Stage, state: TrainingState, module: SegmentationModule) -> None:
    """The batch norms' statistics over the training batches of the next steps: a function of the step."""
    count = math.ceil(RESTATED_SAMPLES / stage.plan.batch)

    def batches() -> Iterator[Tensor]:
        for step in range(state.step, state.step + count):
            raw, labels = stage.batches.batch(step)
            yield module.prepared(raw.to(module.device), labels.to(module.device), step)[0]

    with module.autocast():
        restate_norms(module.network, batches())
    mean_buffers(stage.world, module.network)
    module.learning(frozen=module.frozen)


def _scored(stage: Stage, state: TrainingState, module: SegmentationModule) -> Score | None:
    """The scores on the part of the validation windows that is swept every time; the first time settles it."""
    plan, most = stage.plan, math.inf
    if not state.swept and plan.time_budget_s is None:
        state.swept = batch_limit(stage.tiles, plan)
    elif not state.swept:
        rounds = VALIDATIONS * (1 if plan.average == "none" else 2)
        state.swept, most = len(stage.tiles), TIME_SHARE * float(plan.time_budget_s or 0) / rounds
    score = validate(module, stage.scenes, stage.tiles[: state.swept], most_s=most)
    state.swept = score.batches
    return score if score.pixels else None


def _keep_best(
    stage: Stage, state: TrainingState, module: SegmentationModule, average: Average | None, verdict: Verdict
) -> None:
    candidates = [("last", verdict.last), ("average", verdict.average)]
    found = [(name, score) for name, score in candidates if score is not None]
    if not found:
        return
    name, score = max(found, key=lambda pair: (pair[1].mean_iou, -pair[1].loss))
    best = state.best_score
    # At high rates weights wander: one that happens to fit the validation ground well is worse than most elsewhere.
    settles = state.fraction >= SETTLED > state.best_fraction
    if best and not settles and (score.mean_iou, -score.loss) <= (best["mean_iou"], -best["loss"]):
        state.stale += 1
        return
    state.best_step, state.best_score, state.best_weights, state.stale = state.step, score.summary(), name, 0
    state.best_fraction = state.fraction
    if not stage.world.leads:
        return
    stage.run.checkpoints.mkdir(parents=True, exist_ok=True)
    if name == "average" and average is not None:
        with standing_in(average, module.network):
            _write(stage, state, module.network)
    else:
        _write(stage, state, module.network)


def _write(stage: Stage, state: TrainingState, network: nn.Module) -> None:
    write_best(stage.run.checkpoints, state.step, state.key, dict(network.state_dict()))
