"""How the figures of a report were found, each with its source, as far as the report holds them."""

from collections.abc import Iterator

from terraseg.report.content import FactGroup, ReportContent


def method_facts(content: ReportContent) -> FactGroup | None:
    """What is done for each kind of figure in the report; None where there are none."""
    facts = tuple(_facts(content))
    return FactGroup("Method", facts) if facts else None


def _facts(content: ReportContent) -> Iterator[tuple[str, str]]:
    if content.scenes:
        yield (
            "Map",
            (
                "Overlapping tiles are classified by the network and their probabilities blended; each pixel has the likeliest "
                "class. What holds no data stays unmapped."
            ),
        )
    if content.statistics:
        yield (
            "Areas",
            (
                "Each pixel counts with its own area on the ellipsoid, whatever the projection; outlines are measured "
                "geodesically (Karney 2013). Shares are of the observed ground."
            ),
        )
    yield from _measured(content)
    if content.accuracy is not None:
        yield (
            "Scores",
            (
                "IoU, F1, precision and recall from one confusion matrix over all scored pixels; intervals from a bootstrap "
                "over blocks of ground, since neighbouring pixels err together (Efron and Tibshirani 1993)."
            ),
        )
        if content.accuracy.objects:
            yield (
                "Objects",
                (
                    "What hangs together over pixel sides; matched one to one by overlap, counted as found from an IoU of 0.5 "
                    "(SpaceNet, arXiv:1807.01232). Boundary IoU after Cheng et al., CVPR 2021."
                ),
            )
        if content.accuracy.reliability is not None:
            yield (
                "Confidence",
                (
                    "Probabilities at a temperature set by validation data; the calibration error is the mean gap between "
                    "confidence and accuracy in 15 steps (Guo et al., ICML 2017)."
                ),
            )


def _measured(content: ReportContent) -> Iterator[tuple[str, str]]:
    if any(each.estimated is not None for each in content.measures):
        yield (
            "Corrected areas",
            (
                "Stratified estimators with the map’s classes as strata (Olofsson et al., Remote Sensing of Environment 148, "
                "2014); from a raster of truth, ratio estimators over blocks (Cochran 1977)."
            ),
        )
    if any(key.startswith("street") for each in content.measures for key, _ in each.figures):
        yield (
            "Streets",
            (
                "The street’s pixels are thinned to a line (Guo and Hall 1989) and its width taken across it; junctions are left "
                "out."
            ),
        )
    if any(key == "trees" for each in content.measures for key, _ in each.figures):
        yield (
            "Trees",
            "Crowns that touch are told apart by a watershed of the distance to their edge (Vincent and Soille 1991).",
        )
