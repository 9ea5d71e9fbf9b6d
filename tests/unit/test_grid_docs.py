"""The page about grids: its example is a profile, and its table has every kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from orchestrator.grid.axes import KINDS
from orchestrator.grid.here import problems_of
from orchestrator.profile.load import parse_profile
from orchestrator.profile.model import AxisKind

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "grids.md").read_text(encoding="utf-8")


def test_the_example_can_be_read() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    profile = parse_profile(example, "grids.md")
    assert [grid.name for grid in profile.grids] == ["sampling", "old and new"]
    assert problems_of(profile) == []


def test_profile_page_and_planner_know_the_same_kinds() -> None:
    assert set(get_args(AxisKind)) == set(KINDS)
    told = {
        kind for cells in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE) for kind in re.findall(r"`(.*?)`", cells)
    }
    assert {re.sub(r" [A-Z]+$", "", kind) for kind in told} == set(KINDS)
