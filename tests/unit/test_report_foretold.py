"""The report's table of what datasets let expect, version by version, beside what the grids showed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.dataset import foretold_file
from orchestrator.dataset.foretell import Compared, Foretold, interval
from orchestrator.profile.model import Profile
from orchestrator.report import foretold
from orchestrator.report.content import ReportContent
from orchestrator.report.write import write_report
from orchestrator.workspace import Workspace

LEAN = Foretold("roll", "close-up", 9.3, *interval("roll", 9.3, 2), 0.93, 10)
FRAMING = Foretold("framing obeyed", "full body", 0.95, 0.75, 1.0, 1.0, 6)


def profile(version: str) -> Profile:
    return Profile.model_validate({"subject": {"name": "miku", "version": version}})


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    """v3 leaned as foretold, v4 came out upright although the same was foretold of it, v5 is not drawn yet."""
    space = Workspace(ugly_path)
    for version, seen in (("v3", 10.8), ("v4", 1.2)):
        low, high = interval("roll", 9.3, 6)
        one = Compared(replace(LEAN, low=low, high=high), seen, 30, 6, low <= seen <= high)
        foretold_file.keep(space.foretold(version), [LEAN, FRAMING])
        foretold_file.keep_seen(space.foretold(version), [one, Compared(FRAMING, None, 0, 0, None)])
    foretold_file.keep(space.foretold("v5"), [LEAN])
    return space


def test_every_version_has_its_rows_and_the_page_shows_them(workspace: Workspace) -> None:
    rows = foretold.rows([profile(version) for version in ("v2", "v3", "v4", "v5")], workspace)
    assert [(row.version, row.what, row.held) for row in rows] == [
        ("v3", "roll", True), ("v3", "framing obeyed", None),
        ("v4", "roll", False), ("v4", "framing obeyed", None),
        ("v5", "roll", None),
    ]  # fmt: skip
    assert foretold.sentence(rows) == "1 of 2 expectations that a grid could show held."
    content = ReportContent("miku v5", "today", simulated=False, foretold=rows)
    page = write_report(workspace.root / "report", content).read_text(encoding="utf-8")
    section = page[page.index('id="foretold"') : page.index("</section>", page.index('id="foretold"'))]
    for words in ("v3", "v4", "v5", "9.3°", "10.8°", "1.2°", "<b>no</b>", "yes", "not drawn", "30, 6", "simulated"):
        assert words in section
    assert section.count("<svg") == len(rows)
    # What was seen lies inside the bar of the interval where it held, and outside where it did not.
    assert "seen 1.2°" in rows[2].bar and "expected 9.3°" in rows[2].bar


def test_what_a_bar_shows_stays_on_it() -> None:
    wild = foretold.ForetoldRow(
        "v1", "roll", "", 80.0, 60.0, 100.0, 1.0, 4, seen=-90.0, pictures=1, seeds=1, held=False
    )
    inside = [float(part.split('"')[0]) for part in str(wild.bar).split('cx="')[1:]]
    assert all(0 <= value <= 200 for value in inside)


def test_nothing_is_shown_of_versions_of_which_nothing_was_foretold(ugly_path: Path) -> None:
    assert foretold.rows([profile("v1")], Workspace(ugly_path)) == ()
