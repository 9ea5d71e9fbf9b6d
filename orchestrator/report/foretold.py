"""What the datasets let expect, version by version, beside what the grids showed: the table and its bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from orchestrator.dataset import foretold_file
from orchestrator.dataset.foretell import Compared
from orchestrator.errors import WorkspaceError
from orchestrator.evaluation.foretold import compare
from orchestrator.profile.model import Profile
from orchestrator.report.svg import number
from orchestrator.workspace import Workspace

#: Ends of a bar: degrees to either side of upright, and shares of the pictures.
_ROLL_DEG = 25.0
_WIDTH, _HEIGHT = 200, 16
_WORDS = {
    "roll": "lean of the heads",
    "framing obeyed": "framing as asked for",
    "background": "the shared background, unasked",
    "outfit": "the shared clothes, unasked",
}


@dataclass(frozen=True)
class ForetoldRow:
    """One expectation of one version. Degrees of `roll`, else shares (0…1). `seen` None: no grid asks for it."""

    version: str
    #: `roll`, `framing obeyed`, `background`, `outfit`.
    what: str
    #: What the prompt asks for; empty = anything.
    framing: str
    expected: float
    low: float
    high: float
    #: How firmly the dataset's pictures agree, 0…1, and how many they are.
    strength: float
    from_pictures: int
    seen: float | None = None
    pictures: int = 0
    seeds: int = 0
    #: Whether what was seen lay in the interval.
    held: bool | None = None

    @property
    def words(self) -> str:
        """What it is about."""
        return _WORDS.get(self.what, self.what)

    def told(self, value: float | None) -> str:
        """A value of this row in words."""
        if value is None:
            return "–"
        return f"{number(value, 1)}°" if self.what == "roll" else f"{number(100 * value, 0)} %"

    @property
    def bar(self) -> Markup:
        """The interval as a bar, what was expected as a ring, what was seen as a diamond."""
        return _bar(self)


def rows(profiles: Sequence[Profile], workspace: Workspace) -> tuple[ForetoldRow, ...]:
    """Of all versions, the newest last; a version of which nothing is known is left out."""
    return tuple(row for profile in profiles for row in _of(profile, workspace))


def sentence(found: Sequence[ForetoldRow]) -> str:
    """How often it held, over all versions."""
    judged = [row for row in found if row.held is not None]
    if not judged:
        return "No grid shows a LoRA at work yet, so nothing was held against it."
    return f"{sum(bool(row.held) for row in judged)} of {len(judged)} expectations that a grid could show held."


def _of(profile: Profile, workspace: Workspace) -> list[ForetoldRow]:
    version = profile.subject.version
    try:
        compared = compare(profile, workspace)
    except WorkspaceError:
        compared = []
    if not compared:
        record = foretold_file.read(workspace.foretold(version))
        kept = record or foretold_file.Record()
        compared = list(kept.compared) or [Compared(one, None, 0, 0, None) for one in kept.foretold]
    return [_row(version, one) for one in compared]


def _row(version: str, one: Compared) -> ForetoldRow:
    told = one.foretold
    return ForetoldRow(
        version, told.what, told.framing, told.value, told.low, told.high, told.strength, told.pictures,
        one.seen, one.pictures, one.seeds, one.held,
    )  # fmt: skip


def _bar(row: ForetoldRow) -> Markup:
    lowest, highest = (-_ROLL_DEG, _ROLL_DEG) if row.what == "roll" else (0.0, 1.0)

    def at(value: float) -> float:
        inside = min(max(value, lowest), highest)
        return round(4 + (_WIDTH - 8) * (inside - lowest) / (highest - lowest), 1)

    y = _HEIGHT / 2
    tip = f"expected {row.told(row.expected)} ({row.told(row.low)} to {row.told(row.high)}), seen {row.told(row.seen)}"
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(tip)}"><title>{escape(tip)}</title>',
        f'<line class="grid" x1="4" y1="{y}" x2="{_WIDTH - 4}" y2="{y}"/>',
    ]
    if row.what == "roll":
        parts.append(f'<line class="zero" x1="{at(0)}" y1="2" x2="{at(0)}" y2="{_HEIGHT - 2}"/>')
    parts.append(
        f'<g class="rest"><line class="interval" x1="{at(row.low)}" y1="{y}" x2="{at(row.high)}" y2="{y}"/>'
        f'<circle class="dot" cx="{at(row.expected)}" cy="{y}" r="4"/></g>'
    )
    if row.seen is not None:
        x = at(row.seen)
        parts.append(
            f'<g class="may"><path class="dot" d="M{x} {y - 6} L{x + 5} {y} L{x} {y + 6} L{x - 5} {y} Z"/></g>'
        )
    return Markup("".join([*parts, "</svg>"]))
