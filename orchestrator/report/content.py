"""What a report says: plain values only. Who fills it decides what is known; None and empty mean "not measured".

Read `ReportContent` first. Weights, epochs and seeds are the grid's; angles are degrees, + = clockwise on screen;
identity, obedience and utility run from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from orchestrator.report.foretold import ForetoldRow


@dataclass(frozen=True)
class ReportPicture:
    """One picture, how it is called, and how it came to be."""

    #: The original; None or a missing file is shown as a placeholder with `error`.
    path: Path | None
    #: As it is called in the report: `epoch 40, weight 0.8, seed 123456789`.
    label: str
    #: Recipe, seed, LoRA file hash, checkpoint, dataset fingerprint, cache key …: anything JSON can hold, in reading
    #: order.
    provenance: Mapping[str, Any] = field(default_factory=dict)
    #: Why there is no picture.
    error: str = ""


@dataclass(frozen=True)
class DecidingPicture:
    """One of the few pictures shown under the verdict."""

    #: `winner`, `also possible`, `no LoRA`, `training picture`.
    role: str
    picture: ReportPicture
    #: What to look at, below the picture; empty = the picture's label.
    caption: str = ""


@dataclass(frozen=True)
class Interval:
    """A mean with the ends of its confidence interval; both None with one seed: chance is then unknown."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Figure:
    """One metric of one cell: `measured` of `pictures` have a number."""

    interval: Interval
    measured: int
    pictures: int


@dataclass(frozen=True)
class MetricRow:
    """What must be said beside a metric."""

    name: str
    unit: str
    source: str
    fails: str
    digits: int = 2
    #: A yes-or-no metric is shown as a rate.
    is_rate: bool = False
    #: The ends its tints run between; None = those of the values shown.
    tints: tuple[float, float] | None = None


@dataclass(frozen=True)
class LookRow:
    """One look of a race."""

    #: `look 1`, `confirmation`.
    name: str
    seeds: str
    cells: int
    left: int


@dataclass(frozen=True)
class VotesSection:
    """What the blind votes came to."""

    sentences: tuple[str, ...]
    #: (cell, won, chance to win a vote)
    liked: tuple[tuple[str, str, str], ...] = ()
    #: (metric, agrees, votes it decides)
    agreements: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True)
class CellScore:
    """One cell (epoch and weight), or the baseline where both are None, over all its seeds and rounds."""

    epoch: int | None
    weight: float | None
    utility: Interval | None = None
    identity: Interval | None = None
    obedience: Interval | None = None
    roll_mean: float | None = None
    roll_sd: float | None = None
    #: In how many of its pictures a face was found, 0 to 1.
    face_rate: float | None = None
    #: How many pictures were looked at.
    pictures: int = 0
    #: Whether the statistics cannot rule it out as the best one.
    may_be_best: bool = False
    #: The one the verdict recommends.
    leader: bool = False
    #: Why it is out of the ranking; empty = it is in.
    gated: str = ""
    #: When it left the race; empty = it went to the end.
    left: str = ""
    #: Further metrics by name, with how many pictures have a number.
    figures: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        """Where its pictures stand in the report: `cell-40-0.8`, `cell-none`."""
        return "cell-none" if self.epoch is None else f"cell-{self.epoch}-{self.weight:g}"

    @property
    def is_baseline(self) -> bool:
        """Whether it is the row without LoRA."""
        return self.epoch is None

    @property
    def name(self) -> str:
        """`epoch 40, weight 0.8` or `no LoRA`."""
        return "no LoRA" if self.epoch is None else f"epoch {self.epoch}, weight {self.weight:g}"


@dataclass(frozen=True)
class VerdictSection:
    """The answer to "which one is best?"."""

    #: One sentence; the first line of the report.
    headline: str
    #: How sure it is, what else is possible, what to do next: one sentence each.
    sentences: tuple[str, ...] = ()
    cells: tuple[CellScore, ...] = ()
    #: What is gained and lost between the candidates, in words.
    trade_offs: tuple[str, ...] = ()
    #: How utility is made up: `0.5 identity + 0.4 obedience + 0.1 upright`.
    utility_words: str = ""
    #: Of the intervals: 0.95.
    confidence: float = 0.95
    #: What to paste into the prompt: `<lora:stem:0.8>`.
    use_this: str = ""
    #: By which rule one of several equals is chosen.
    rule: str = ""
    metrics: tuple[MetricRow, ...] = ()
    #: How the race went; empty = every cell was drawn on every seed.
    looks: tuple[LookRow, ...] = ()
    #: Epoch and weight of the cells worth looking at side by side, the recommended one first.
    finalists: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Observed:
    """What was measured on one picture of one round. Baseline: epoch and weight None."""

    epoch: int | None
    weight: float | None
    round: str
    seed: int
    picture: ReportPicture
    identity: float | None = None
    obedience: float | None = None
    roll_deg: float | None = None
    face_found: bool | None = None


@dataclass(frozen=True)
class ScoutedSeed:
    """One candidate seed, drawn without LoRA."""

    seed: int
    kept: bool
    #: Obedience for each round, in the order of `ScoutSection.rounds`; None = not measured.
    obedience: tuple[float | None, ...] = ()
    picture: ReportPicture | None = None


@dataclass(frozen=True)
class ScoutSection:
    """The hunt for seeds that obey the poses at all."""

    #: `8 of 24 seeds obeyed all three poses; the rounds use those.`
    sentence: str
    rounds: tuple[str, ...] = ()
    seeds: tuple[ScoutedSeed, ...] = ()


@dataclass(frozen=True)
class FindingRow:
    """One finding of the dataset check."""

    level: str
    group: str
    what: str
    means: str = ""
    fix: str = ""


@dataclass(frozen=True)
class GroupRow:
    """One group of the dataset."""

    name: str
    count: int
    repeats: int = 1
    caption: str = ""
    roll_mean: float | None = None
    roll_sd: float | None = None
    #: In how many pictures a face was found; None = not measured.
    faces: int | None = None
    #: `10 close-up`, `9 full body, 1 upper body`.
    framing: str = ""
    #: Shortest side in pixels.
    min_side: int | None = None
    pictures: tuple[ReportPicture, ...] = ()


@dataclass(frozen=True)
class DatasetSection:
    """What a version was trained on, and what the check said."""

    total: int
    fingerprint: str = ""
    findings: tuple[FindingRow, ...] = ()
    groups: tuple[GroupRow, ...] = ()


@dataclass(frozen=True)
class LoraFileRow:
    """One LoRA file of a run."""

    name: str
    epoch: int
    sha256: str
    size_bytes: int = 0
    #: The stem it was deployed under; empty = it was not.
    deployed: str = ""


@dataclass(frozen=True)
class TrainingSection:
    """How a version was trained."""

    status: str
    seconds: float | None = None
    final_loss: float | None = None
    #: (epoch, mean loss of it), epochs rising.
    losses: tuple[tuple[int, float], ...] = ()
    files: tuple[LoraFileRow, ...] = ()
    #: What was asked for, as (name, value), in reading order.
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class GridSection:
    """One grid on disk, as `orchestrator.grid` left it: the folder with its manifest.json."""

    folder: Path
    #: Above its sheets; empty = the grid's own title.
    title: str = ""


@dataclass(frozen=True)
class TiltRow:
    """The rolls of one set of pictures, for the before-and-after of the tilt."""

    version: str
    #: `training pictures`, `no LoRA`, `epoch 80`.
    label: str
    rolls: tuple[float, ...]
    kind: Literal["training", "baseline", "lora"] = "lora"


@dataclass(frozen=True)
class VersionSection:
    """Everything about one version (v3, v4 …)."""

    name: str
    trigger: str = ""
    dataset: DatasetSection | None = None
    training: TrainingSection | None = None
    grids: tuple[GridSection, ...] = ()
    #: What this version showed, in a sentence or two.
    remark: str = ""


@dataclass(frozen=True)
class ReportContent:
    """A whole report."""

    #: `ai_model v4`
    title: str
    #: The day and time it was made, as it is to be printed.
    created: str
    #: True when any picture or file in it came from the sandbox.
    simulated: bool
    verdict: VerdictSection | None = None
    #: Winner, runner-up, baseline, training picture.
    deciding: tuple[DecidingPicture, ...] = ()
    observations: tuple[Observed, ...] = ()
    tilt: tuple[TiltRow, ...] = ()
    foretold: tuple[ForetoldRow, ...] = ()
    scout: ScoutSection | None = None
    #: The newest last.
    versions: tuple[VersionSection, ...] = ()
    votes: VotesSection | None = None
    not_measured: tuple[str, ...] = ()
    #: Names and versions of every program that had a part in it.
    software: tuple[tuple[str, str], ...] = ()
