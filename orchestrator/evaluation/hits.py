"""Hit rates: how many pictures of a setting show what was asked for, and how sure that share is.

The judge is the one that scouts seeds: tags for poses, the face's size for framings. Without one nothing is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.distributions import wilson
from orchestrator.evaluation.evaluate import Eyes
from orchestrator.evaluation.judge import score
from orchestrator.evaluation.scout import Look
from orchestrator.profile.model import Expectation
from orchestrator.tagging.tags import FRAMINGS


@dataclass(frozen=True)
class HitRate:
    """`hits` of `measured` pictures, and Wilson's 95 % interval of the rate; None where nothing was measured."""

    hits: int
    measured: int
    low: float | None = None
    high: float | None = None

    @property
    def rate(self) -> float | None:
        """The share of hits; None when nothing was measured."""
        return self.hits / self.measured if self.measured else None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return "not measured"
        return f"{self.hits} of {self.measured}, {self.hits / self.measured:.0%} ({self.low:.0%} to {self.high:.0%})"


def hit_rate(answers: Sequence[bool | None]) -> HitRate:
    """The rate over the pictures that were judged; None = not judged, or never drawn."""
    judged = [answer for answer in answers if answer is not None]
    return HitRate(sum(judged), len(judged), *wilson(sum(judged), len(judged))) if judged else HitRate(0, 0)


def look_for(
    expects: Expectation, pictures: Sequence[Path], eyes: Eyes, on_tagged: Callable[[Path], None] | None = None
) -> list[Look]:
    """Whether each picture shows `expects`. Where nobody could judge, the look says why and holds no number."""
    if not pictures:
        return []
    framing = expects in FRAMINGS
    seen = eyes.measure(pictures, on_tagged if framing else None) if framing else [None] * len(pictures)
    if framing and all(one is not None and one.looked for one in seen):
        # The size of the face decides; the tagger need not be asked.
        return [_look(score(expects, None, frozenset(), one), 0.5, "") for one in seen]
    tagged = eyes.tags(pictures, on_tagged)
    why = tagged.not_measured or f"the tagger has no word for {expects}"
    return [
        _look(score(expects, tags, tagged.known, one), tagged.seen_from, why)
        for tags, one in zip(tagged.tags, seen, strict=True)
    ]


def _look(found: float | None, seen_from: float, why: str) -> Look:
    return Look(None, why=why) if found is None else Look(found >= seen_from, found)
