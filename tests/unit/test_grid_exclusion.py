"""Rules of exclusion: a small language, read and never run."""

from __future__ import annotations

import pytest

from orchestrator.grid.exclusion import BadRule, excluded, read

AXES = {"epoch": True, "weight": True, "sampler": False, "clip skip": True, "red hair": False}


@pytest.mark.parametrize(
    ("rule", "values", "holds"),
    [
        ("epoch <= 20 and weight <= 0.6", {"epoch": 20, "weight": 0.6}, True),
        ("epoch <= 20 and weight <= 0.6", {"epoch": 20, "weight": 0.8}, False),
        ("epoch > 20 or not weight < 1", {"epoch": 10, "weight": 1}, True),
        ("10 <= epoch < 30", {"epoch": 30}, False),
        ("sampler in ('Euler', 'DDIM')", {"sampler": "DDIM"}, True),
        ("sampler not in ['Euler']", {"sampler": "Euler"}, False),
        ("sampler == 'Euler a' and epoch != 10", {"sampler": "Euler a", "epoch": 20}, True),
        ("clip skip == 2", {"clip skip": 2}, True),
        ("clip_skip == 2", {"clip skip": 1}, False),
        ("red hair == 'clip skip'", {"red hair": "clip skip"}, True),
        ("weight < -0.5", {"weight": -1}, True),
        ("  epoch==10 ", {"epoch": 10}, True),
    ],
)
def test_rules_hold_where_they_should(rule: str, values: dict[str, str | float], *, holds: bool) -> None:
    assert read(rule, AXES).holds(values) is holds


def test_a_rule_says_which_axes_it_is_about_and_reads_well() -> None:
    rule = read("weight <= 0.6 and epoch<=20", AXES)
    assert rule.names == ("epoch", "weight")
    assert rule.text == "weight ≤ 0.6 and epoch≤20"


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("epoch <=", "cannot be read"),
        ("epochs <= 20", "no axis 'epochs'"),
        ("epoch", "no comparison"),
        ("epoch == '20'", "a number and a word"),
        ("sampler == Euler", "no axis 'Euler'"),
        ("sampler < 3", "a number and a word"),
        ("1 < 2", "names no axis"),
        ("epoch is 20", "`is` compares nothing"),
        ("epoch in weight", "a list in brackets"),
        ("epoch + 1 > 20", "no axis, number or quoted word"),
        ("__import__('os').system('x') == 0", "no axis, number or quoted word"),
        ("epoch.real == 1", "no axis, number or quoted word"),
        ("(epoch := 3) > 2", "no axis, number or quoted word"),
        ("[e for e in epoch] == 1", "no axis, number or quoted word"),
        ("lambda: 1", "no comparison"),
        ("epoch == True", "no axis, number or quoted word"),
        ("not " * 5000 + "epoch == 1", "2000 letters"),
        ("(" * 900 + "epoch == 1" + ")" * 900, "cannot be read"),
        ("epoch == 1\x00", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_everything_else_is_refused(rule: str, why: str) -> None:
    with pytest.raises(BadRule, match=why):
        read(rule, AXES)


def test_a_rule_is_asked_once_for_each_row_of_its_axes() -> None:
    numeric = {"epoch": True, "weight": True, "seed": True}
    rule = read("epoch <= 20 and weight <= 0.4", numeric)
    values = {"epoch": ("10", "20", "30"), "weight": ("0.4", "0.8"), "seed": tuple(map(str, range(9999)))}
    assert excluded([rule], values, numeric) == [(rule, ("epoch", "weight"), frozenset({(0, 0), (1, 0)}))]


def test_seeds_are_compared_exactly() -> None:
    rule = read("seed == 9223372036854775807", {"seed": True})
    ((_, _, places),) = excluded([rule], {"seed": ("9223372036854775806", "9223372036854775807")}, {"seed": True})
    assert places == {(1,)}
