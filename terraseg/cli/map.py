"""terraseg map"""

import os

from terraseg.cli.flags import (
    DEFAULT_CONFIG,
    Config,
    Engine,
    Epochs,
    Fresh,
    Overrides,
    Precision,
    Quality,
    Steps,
    TimeBudget,
)


def run(
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
    quality: Quality = None,
    time_budget: TimeBudget = None,
    epochs: Epochs = None,
    steps: Steps = None,
    engine: Engine = None,
    precision: Precision = None,
    fresh: Fresh = False,
) -> None:
    """Imagery and labels to model, class maps, polygons, statistics, scores and report; redoes only what is stale."""
    from terraseg.cli.display import print_files, watching
    from terraseg.cli.scoretables import print_evaluation
    from terraseg.cli.settings import engine_settings, open_project
    from terraseg.pipeline.map import map_project
    from terraseg.train.world import leading

    with leading(os.environ) as leads:
        if not leads:
            return
        chosen = [*(overrides or []), *engine_settings(engine=engine, precision=precision)]
        project = open_project(config, chosen, quality=quality, time_budget=time_budget, epochs=epochs, steps=steps)
        with watching() as watch:
            result = map_project(project, watch=watch, fresh=fresh)
    if result.evaluation is not None:
        print_evaluation(result.evaluation)
    files = [result.model, *result.maps, *result.polygons, *result.statistics, result.report]
    print_files([str(file) for file in files])
