"""The verdict as it is kept and told: figures of every cell, what to use, and how sure that is.

`weighing` finds it, `words` says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from orchestrator.evaluation.metrics.summary import Figure
from orchestrator.evaluation.observations import CellId
from orchestrator.evaluation.race_record import Race
from orchestrator.evaluation.statistics import Interval
from orchestrator.evaluation.tilt import Tilt

#: Of the practical tie: cells measured this near to the leader are as good. Half of it, because what is measured is off
#: by about as much (simulated: at the whole of it the cell used is within the tie of the best in 3 % fewer worlds).
TIE_SHARE = 0.5
VERDICT_FORMAT = 1

Outcome = Literal["single best", "may be best", "none passes", "not measured"]


@dataclass(frozen=True)
class Rate:
    """`count` of `of` pictures, with Wilson's interval of the rate."""

    count: int
    of: int
    low: float
    high: float


@dataclass(frozen=True)
class CellResult:
    """One cell's figures. None = not measured; `out` says why a cell is not ranked (empty = ranked)."""

    cell: CellId
    utility: Interval | None = None
    identity: Interval | None = None
    obedience: Interval | None = None
    upright: Interval | None = None
    faces: Rate | None = None
    drawn: Rate | None = None
    #: Pictures that are black, one even surface, or noise.
    collapsed: Rate | None = None
    #: Mean and standard deviation of the roll over the faces found (their rate is `faces`), degrees.
    roll_mean: float | None = None
    roll_sd: float | None = None
    tilt: Tilt | None = None
    sharpness: float | None = None
    #: Every metric of `orchestrator.evaluation.metrics` that was measured, in their order.
    figures: tuple[Figure, ...] = ()
    out: str = ""
    #: When and why it was not drawn further in a race; empty = it went to the end.
    left: str = ""
    may_be_best: bool = False
    #: On the front of identity × obedience: no ranked cell is better in one and as good in the other.
    pareto: bool = False


@dataclass(frozen=True)
class Verdict:
    """What the rounds say about all cells. Utilities lie in 0…1; every interval is over seeds."""

    outcome: Outcome
    #: What to use, by the tie rule; None when nothing passes or nothing was measured.
    recommended: CellId | None = None
    #: The highest mean utility.
    leader: CellId | None = None
    may_be_best: tuple[CellId, ...] = ()
    cells: tuple[CellResult, ...] = ()
    baseline: CellResult | None = None
    seeds: tuple[int, ...] = ()
    rounds: tuple[str, ...] = ()
    #: The shares used, scaled to 1 over what was measured.
    shares: Mapping[str, float] | None = None
    confidence: float = 0.95
    practical_tie: float = 0.01
    residual_sd: float | None = None
    #: How far below the leader a cell may lie and still be one that may be best.
    margin: float | None = None
    #: The true difference these seeds would show in four of five repetitions.
    smallest_difference: float | None = None
    #: Seeds needed to show a difference of `practical_tie` equally surely.
    seeds_needed: int | None = None
    #: The verdict in two sentences.
    sentences: tuple[str, ...] = ()
    trade_offs: tuple[str, ...] = ()
    not_measured: tuple[str, ...] = ()
    #: What was drawn: `orchestrator.evaluation.inputs.fingerprint`, and the sha256 of every LoRA file.
    fingerprint: str = ""
    lora_files: tuple[str, ...] = ()
    #: How the cells were raced; None = all were drawn on all seeds.
    race: Race | None = None

    @property
    def text(self) -> str:
        """The two sentences."""
        return " ".join(self.sentences)

    @property
    def rule(self) -> str:
        """By which rule one of several equals is used."""
        near = f"{TIE_SHARE * self.practical_tie:g}"
        return (
            f"Of cells within {near} of the leader, the one with the lowest weight, then the earliest epoch, is used."
        )

    def result(self, cell: CellId | None) -> CellResult | None:
        """The figures of one cell, the baseline among them."""
        return next((r for r in (*self.cells, self.baseline) if r is not None and r.cell == cell), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` is the inverse."""
        return {"format": VERDICT_FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """A verdict from `to_dict`'s values. Raises KeyError or TypeError for anything else."""
        values = {name: value for name, value in data.items() if name != "format"}
        for name in ("recommended", "leader"):
            values[name] = CellId.from_dict(values[name]) if values[name] else None
        values["may_be_best"] = tuple(CellId.from_dict(cell) for cell in values["may_be_best"])
        values["cells"] = tuple(_result_from(cell) for cell in values["cells"])
        values["race"] = Race.from_dict(values["race"]) if values.get("race") else None
        values["baseline"] = _result_from(values["baseline"]) if values["baseline"] else None
        for name in ("seeds", "rounds", "sentences", "trade_offs", "not_measured", "lora_files"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)


def _result_from(data: Mapping[str, Any]) -> CellResult:
    values = {name: value for name, value in data.items() if name != "obedience_margin"}
    values["cell"] = CellId.from_dict(values["cell"])
    values["figures"] = tuple(map(Figure.from_dict, values.get("figures", ())))
    for name in ("utility", "identity", "obedience", "upright"):
        values[name] = Interval(**values[name]) if values[name] else None
    for name in ("faces", "drawn", "collapsed"):
        values[name] = Rate(**values[name]) if values.get(name) else None
    if values["tilt"]:
        values["tilt"] = Tilt(**{**values["tilt"], "shift": Interval(**values["tilt"]["shift"])})
    return CellResult(**values)
