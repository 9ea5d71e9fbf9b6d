"""What a metric is, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.vision.model import Face, Framing, Measurement


@dataclass(frozen=True)
class Sight:
    """All that is known of one picture when a metric looks at it. None = not measured."""

    measurement: Measurement | None
    #: Against the anchors of this project and this round; `orchestrator.evaluation.identity`.
    identity: float | None = None
    #: From the tagger or, for framings, from the face's size; `orchestrator.evaluation.judge`.
    obedience: float | None = None
    #: The framing the prompt asks for in words.
    framing: Framing | None = None
    #: The same cell's pictures of the same round on other seeds.
    siblings: Sequence[Measurement] = ()
    #: The pictures the LoRA was trained on.
    training: Sequence[Measurement] = field(default=(), repr=False)

    @property
    def seen(self) -> Measurement | None:
        """The measurement of a file that is a picture."""
        return self.measurement if self.measurement is not None and self.measurement.readable else None

    @property
    def looked(self) -> bool:
        """Whether somebody looked for a face."""
        return self.seen is not None and self.seen.looked

    @property
    def face(self) -> Face | None:
        """The face found."""
        return self.seen.face if self.seen is not None and self.seen.looked else None


@dataclass(frozen=True)
class Metric:
    """One number of one picture, and everything that must be said beside it."""

    name: str
    #: How the number is made and who says so.
    source: str
    unit: str
    #: Lowest and highest value there is; None = without end.
    range: tuple[float, float | None]
    #: When it says something wrong.
    fails: str
    #: The number; None = not measured here.
    of: Callable[[Sight], float | None] = field(repr=False)
    #: `yes or no` metrics are 0 or 1 and shown as rates with Wilson's interval, the others as means over seeds.
    kind: Literal["scale", "yes or no"] = "scale"
    #: Whether more is better; None = neither, it is for comparing.
    more_is_better: bool | None = None
    #: The pictures without LoRA must differ by at least this among themselves, or it tells nothing.
    least_spread: float = 0.0

    @property
    def digits(self) -> int:
        """Decimals worth showing."""
        return 1 if self.unit == "°" else 2
