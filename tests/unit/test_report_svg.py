"""Charts: well-formed whatever the numbers and names, on scale, and told apart without colour."""

from __future__ import annotations

import itertools
import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.report import svg

numbers = st.floats(-1e6, 1e6, allow_nan=False)
names = st.text(
    st.characters(min_codepoint=32, blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), max_size=12
)


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def drawn(root: ElementTree.Element, css: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if element.get("class") == css]


@given(
    st.lists(
        st.builds(svg.Dot, names, numbers, st.none() | st.tuples(numbers, numbers), st.booleans(), names), max_size=8
    )
)
def test_dots_are_well_formed_and_inside_the_picture(rows: list[svg.Dot]) -> None:
    root = parsed(svg.dots(rows, title="<&>", axis='"', within=None))
    width = float(root.get("viewBox", "").split()[2])
    for element in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert -1 <= float(element.get(name, 0)) <= width + 1
    assert len(drawn(root, "interval")) == sum(row.ends is not None for row in rows)
    assert len(drawn(root, "dot")) == len(rows)


@given(st.lists(st.builds(svg.Point, names, numbers, numbers, mark=st.booleans(), name=names), max_size=8))
def test_scatter_is_well_formed(points: list[svg.Point]) -> None:
    assert parsed(svg.scatter(points, title="t", x_axis="x", y_axis="y")).tag.endswith("svg")


@given(st.lists(st.builds(svg.Strip, names, st.lists(st.floats(-90, 90), max_size=6).map(tuple)), max_size=5))
def test_strips_show_every_value(rows: list[svg.Strip]) -> None:
    root = parsed(svg.strips(rows, title="t", axis="a"))
    assert len(drawn(root, "tick")) == sum(len(row.values) for row in rows)
    assert len(drawn(root, "mean")) == sum(bool(row.values) for row in rows)


def test_a_larger_value_stands_further_right_and_higher() -> None:
    root = parsed(svg.scatter([svg.Point("a", 0.2, 0.3), svg.Point("b", 0.4, 0.9)], title="t", x_axis="", y_axis=""))
    (ax, ay), (bx, by) = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in drawn(root, "dot")]
    assert bx > ax
    assert by < ay


def test_cells_that_may_be_best_have_another_shape() -> None:
    root = parsed(svg.dots([svg.Dot("a", 0.5, (0.4, 0.6), True), svg.Dot("b", 0.4, (0.3, 0.5))], title="t", axis=""))
    assert [element.tag.rpartition("}")[2] for element in drawn(root, "dot")] == ["path", "circle"]


def test_a_loss_that_became_nan_leaves_a_chart_of_the_rest() -> None:
    text = svg.line([(1, 0.5), (2, math.nan), (3, 0.4)], [(1, 0.5), (3, math.inf)], title="t", x_axis="", y_axis="")
    assert "nan" not in text
    assert "inf" not in text.replace("info", "")
    assert len(drawn(parsed(text), "raw")[0].get("points", "").split()) == 2


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.62, 0.78), (-36.0, 36.0), (1, 2400), (0.08, 0.081)])
def test_scales_have_a_few_round_numbers(low: float, high: float) -> None:
    at = svg.ticks(low, high)
    assert 2 <= len(at) <= 9
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in at)
    assert len({round(b - a, 9) for a, b in itertools.pairwise(at)}) <= 1


def test_numbers_have_a_true_minus_and_no_minus_zero() -> None:
    assert svg.number(-1.25, 1) == "−1.2"
    assert svg.number(-0.001) == "0.00"
