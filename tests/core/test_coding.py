"""What label bytes say, of classes that exclude each other and of those that overlap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from terraseg.core.coding import MOST_OVERLAPPING, Coding
from terraseg.core.dataset import LabelRule
from terraseg.errors import BadOption


@given(st.data(), st.integers(1, MOST_OVERLAPPING), st.booleans())
def test_planes_and_counts_are_those_of_a_pixel_by_pixel_look(
    data: st.DataObject, classes: int, overlapping: bool
) -> None:
    coding = Coding(classes, overlapping)
    meanings = st.sampled_from([*range(coding.codes), 255])
    labels = data.draw(hnp.arrays(np.uint8, hnp.array_shapes(max_dims=2, max_side=6), elements=meanings))
    for index in range(classes):
        wanted = [v != 255 and (v >> index & 1 == 1 if overlapping else v == index) for v in labels.ravel().tolist()]
        assert coding.plane(labels, index).ravel().tolist() == wanted
        assert coding.count(labels)[index] == sum(wanted)
    assert len(coding.count(labels)) == coding.kinds
    if overlapping:
        assert coding.count(labels)[-1] == (labels != 255).sum()


@given(st.integers(1, MOST_OVERLAPPING))
def test_the_byte_of_a_class_alone_is_of_that_class_only(classes: int) -> None:
    coding = Coding(classes, overlapping=True)
    for index in range(classes):
        label = np.array([coding.code(index)], dtype=np.uint8)
        assert [bool(coding.plane(label, k)[0]) for k in range(classes)] == [k == index for k in range(classes)]


def test_an_eighth_overlapping_class_is_refused_with_the_way_out() -> None:
    with pytest.raises(BadOption, match="8 overlapping classes: a label byte holds 7 of them, so split them"):
        Coding(8, overlapping=True)
    assert Coding(8).codes == 8


def test_a_rule_reads_values_of_several_classes_and_of_none() -> None:
    rule = LabelRule("ids", (("1", "3"), ("2", "3")), ("9",), overlapping=True)
    assert rule.code_of() == {"0": 0, "1": 1, "2": 2, "3": 3}
    assert LabelRule.from_json(rule.to_json()) == rule


def test_the_ground_outside_polygons_is_of_no_class_unless_it_is_ignored_or_named() -> None:
    classes = (("road",), ("tree",))
    assert LabelRule("polygons", classes, (), "kind", overlapping=True).outside_code == 0
    assert LabelRule("polygons", classes, ("",), "kind", overlapping=True).outside_code == 255
    assert LabelRule("polygons", (("road",), ("",)), (), "kind", overlapping=True).outside_code == 2
    assert LabelRule("polygons", classes, (), "kind").outside_code == 255


def test_a_rule_written_before_classes_could_overlap_still_reads() -> None:
    old = {"kind": "ids", "values": [["0"], ["1"]], "ignore": ["9"], "field": None}
    rule = LabelRule.from_json(old)
    assert not rule.overlapping
    assert rule.to_json() == old
