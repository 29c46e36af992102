"""Tables show themselves and go on elsewhere without loss."""

from pathlib import Path

import numpy as np
import pandas
import pytest

from terraseg.api.table import Table, class_table
from terraseg.core.classes import LandClass, Legend
from terraseg.evaluate.scores import score
from terraseg.store.rundir import read_csv

TABLE = Table(("class", "iou", "pixels"), (("<roof>", 0.5, 1200), ("road", None, 0)), "of a & b")


def test_html_is_escaped_and_readable() -> None:
    html = TABLE._repr_html_()
    assert "&lt;roof&gt;" in html
    assert "<roof>" not in html
    assert "<caption>of a &amp; b</caption>" in html
    assert html.count("<tr>") == 3
    assert html.count("text-align:left") == 3


def test_the_text_is_aligned() -> None:
    assert repr(TABLE).splitlines() == [
        "class     iou  pixels",
        "<roof>  0.500   1,200",
        "road        –       0",
        "of a & b",
    ]


def test_rows_come_back_from_csv(tmp_path: Path) -> None:
    rows = read_csv(TABLE.to_csv(tmp_path / "t.csv"))
    assert rows == [{"class": "<roof>", "iou": "0.5", "pixels": "1200"}, {"class": "road", "iou": "", "pixels": "0"}]


def test_pandas_gets_the_same_values() -> None:
    frame = TABLE.frame()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.loc["<roof>", "iou"] == TABLE.to_dict()["<roof>"]["iou"] == 0.5


def test_class_scores_follow_from_the_matrix() -> None:
    legend = Legend((LandClass(0, "land", "#AA8844"), LandClass(1, "water", "#0000FF"), LandClass(2, "ice", "#FFFFFF")))
    table = class_table(score(np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]]), legend), "validation")
    assert table.columns == ("class", "precision", "recall", "f1", "iou", "pixels")
    rows = table.to_dict()
    assert rows["land"] == {"precision": 3 / 5, "recall": 3 / 4, "f1": pytest.approx(6 / 9), "iou": 3 / 6, "pixels": 4}
    assert rows["ice"] == {"precision": None, "recall": None, "f1": None, "iou": None, "pixels": 0}
    assert "10 pixels of validation" in table.caption
