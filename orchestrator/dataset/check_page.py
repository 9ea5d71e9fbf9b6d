"""The dataset check as one HTML file: verdict, findings, figures, and every picture with its roll dial."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from orchestrator.dataset.estimates import Estimate
from orchestrator.dataset.foretell import Foretold
from orchestrator.dataset.model import CheckResult, DatasetPicture, Finding
from orchestrator.dataset.view import ASIDE_FROM, SMILING_FROM, Measured
from orchestrator.pages.page import render
from orchestrator.vision.model import Measurement

TEMPLATES = Path(__file__).parent / "templates"
#: Degrees at the ends of the interval bars.
_BAR_DEG = 25.0
#: Width of an interval bar in its own units.
_BAR = 120.0


@dataclass(frozen=True)
class Card:
    """One picture as the page shows it. `findings` are numbers of the findings that name it."""

    name: str
    group: str
    image: str
    caption: str
    problem: str
    roll: float | None
    tilted: bool
    facts: tuple[str, ...]
    findings: tuple[int, ...]


@dataclass(frozen=True)
class Bar:
    """An interval on a scale of ±25°: places of its ends and its middle, 0 … 120."""

    low: float
    middle: float
    high: float


def page(
    title: str,
    result: CheckResult,
    pictures: Sequence[DatasetPicture],
    measurements: Sequence[Measurement],
    images: Mapping[Path, str],
    *,
    limit_deg: float,
    created: str,
    foretold: Sequence[Foretold] = (),
    simulated: bool = False,
) -> str:
    """The page as text. `images` are the pictures' small copies as data: addresses; `limit_deg` colours the dials;
    `foretold` is what the pictures let expect of the LoRA.
    """
    named = [frozenset(finding.pictures) for finding in result.findings]
    cards = [
        _card(picture, found, images.get(picture.path, ""), result.findings, named, limit_deg)
        for picture, found in zip(pictures, measurements, strict=True)
    ]
    concerned = Counter(index for card in cards for index in card.findings)
    shown = [(index, finding, concerned[index]) for index, finding in enumerate(result.findings)]
    content: dict[str, Any] = {
        "title": title,
        "created": created,
        "result": result,
        "headline": headline(result),
        "findings": shown,
        "cards": cards,
        "groups": list(dict.fromkeys(card.group for card in cards)),
        "rows": [*result.groups, *([result.overall] if result.overall else [])],
        "looked": sum(found.looked for found in measurements),
        "foretold": foretold,
        "simulated": simulated,
    }
    filters: dict[str, Callable[..., Any]] = {
        "angle": _angle,
        "share": _share,
        "bar": _bar,
        "command": command_of,
        "code": _code,
        "told": _told,
    }
    return render(TEMPLATES, "check", content, filters)


def headline(result: CheckResult) -> str:
    """The verdict as a sentence."""
    if result.verdict == "cannot train":
        count = sum(finding.level == "blocker" for finding in result.findings)
        return "This cannot be trained on yet: " + ("one thing stops it" if count == 1 else f"{count} things stop it")
    if result.verdict == "will lock":
        count = sum(finding.level == "locked in" for finding in result.findings)
        return "One thing will be locked in" if count == 1 else f"{count} things will be locked in"
    rows = result.groups
    if any(row.looked < row.count for row in rows):
        return "Nothing was found; what needs a face was not measured"
    return "Ready: nothing will be locked in"


def command_of(fix: str) -> str:
    """The first command in a piece of advice, empty where there is none."""
    _, found, rest = fix.partition("orchestrator ")
    if not found:
        return ""
    end = min((rest.index(mark) for mark in (";", ")", ", or ", "; ", " (", "`") if mark in rest), default=len(rest))
    return f"orchestrator {rest[:end].strip()}"


def _card(
    picture: DatasetPicture,
    found: Measurement,
    image: str,
    findings: Sequence[Finding],
    named: Sequence[frozenset[str]],
    limit_deg: float,
) -> Card:
    """`named`: the pictures each finding names, which are looked through for every picture."""
    name = Measured(picture, found).name
    face = found.face
    facts = [f"{found.width}×{found.height}"] if found.readable else []
    if face is not None:
        facts += [face.framing] if face.framing != picture.group else []
        if face.smile is not None and face.smile >= SMILING_FROM:
            facts.append("smiles")
        if face.gaze is not None and abs(face.gaze) >= ASIDE_FROM:
            facts.append(f"looks {'left' if face.gaze < 0 else 'right'}")
    elif found.missing:
        facts.append(found.missing.partition(":")[0])
    return Card(
        name=picture.path.name,
        group=picture.group,
        image=image,
        caption=picture.caption,
        problem=picture.caption_problem,
        roll=face.roll_deg if face else None,
        tilted=face is not None and abs(face.roll_deg) > limit_deg,
        facts=tuple(facts),
        findings=tuple(
            index
            for index, (finding, names) in enumerate(zip(findings, named, strict=True))
            if (name in names if names else finding.group == picture.group)
        ),
    )


def _code(text: str) -> Markup:
    """What stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _told(value: float, what: str) -> str:
    return _angle(value) if what == "roll" else f"{value:.0%}"


def _angle(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:+.1f}°"


def _share(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return "–"
    return f"{estimate.value:.0%} ({estimate.low:.0%} to {estimate.high:.0%})"


def _bar(estimate: Estimate | None) -> Bar | None:
    if estimate is None or estimate.low is None or estimate.high is None:
        return None
    low, middle, high = (
        _BAR / 2 * (1 + max(-1.0, min(1.0, value / _BAR_DEG)))
        for value in (estimate.low, estimate.value, estimate.high)
    )
    return Bar(round(low, 1), round(middle, 1), round(high, 1))
