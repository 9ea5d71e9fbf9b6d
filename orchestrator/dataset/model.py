"""What a dataset is made of, and what the check says about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from orchestrator.dataset.estimates import Estimate

#: "blocker": sd-scripts would stop, or the dataset cannot be built. "locked in": trained like this, the LoRA can no
#: longer do otherwise. "warning": something will go wrong or be wasted. "note": good to know.
Level = Literal["blocker", "locked in", "warning", "note"]
Verdict = Literal["ready", "will lock", "cannot train"]


@dataclass(frozen=True)
class DatasetPicture:
    """One picture as it will be trained on.

    `caption` is one line with the profile's words put in. `source` is the picture set's name or the user's folder,
    `origin` what is known about the making (recipe, seed, source picture, straightening). `caption_problem` says what
    is wrong with the caption file, `caption_note` what was mended in it.
    """

    path: Path
    group: str
    caption: str
    source: str
    sha256: str
    origin: dict[str, Any] = field(default_factory=dict)
    caption_problem: str = ""
    caption_note: str = ""
    #: The file whose white part is learned (with `alpha_mask`, the picture's own transparency); None = all is.
    mask: Path | None = None
    mask_sha256: str = ""
    #: The caption before braces are filled.
    caption_template: str = ""
    #: What the file beside the picture says, on one line; None where there is none.
    caption_beside: str | None = None
    #: "file" beside it, "kept" in the workspace, or "group" (the group's template with the picture's words).
    caption_from: Literal["file", "kept", "group"] = "group"
    #: A caption that sd-scripts might read and we do not, as `rule/file`: `suffix/0001.caption`, `shortened/a.txt`.
    caption_elsewhere: str = ""


@dataclass(frozen=True)
class Finding:
    """`what` was found (with figures), what it `means` for the LoRA, and how to `fix` it. `pictures` names the files,
    where few.

    `kind` is a short stable name for scripts. An empty `group` means the whole dataset. `sure` says how sure it is, in
    words; `estimate` is the size of the effect in numbers, where there is one.
    """

    level: Level
    kind: str
    group: str
    what: str
    means: str
    fix: str
    pictures: tuple[str, ...] = ()
    sure: str = ""
    estimate: Estimate | None = None


@dataclass(frozen=True)
class Angle:
    """One angle over the faces of a group, in degrees. `one_side`: the share on the side where most are."""

    mean: Estimate
    median: float
    one_side: Estimate


@dataclass(frozen=True)
class GroupRow:
    """One line of the check's table.

    `seen` is pictures × repeats: how often the trainer sees the group per epoch. Angles in degrees (mean and sample
    standard deviation over the faces found), None where nothing was measured. `looked` counts the pictures in which a
    face was looked for.
    """

    group: str
    count: int
    repeats: int
    seen: int
    looked: int
    faces: int
    roll_mean: float | None
    roll_sd: float | None
    yaw_mean: float | None
    yaw_sd: float | None
    framings: dict[str, int]
    min_side: int | None
    #: Head roll, yaw and pitch, each with its interval, its median and the share on the side where most are.
    angles: dict[str, Angle] = field(default_factory=dict)
    #: Shares of the faces that smile, and that look aside (by `gaze_side` where most of those look).
    smiling: Estimate | None = None
    looking_aside: Estimate | None = None
    #: Shares of the largest cluster of like backgrounds and like clothes.
    one_background: Estimate | None = None
    one_outfit: Estimate | None = None


@dataclass(frozen=True)
class CheckResult:
    """Findings, the gravest first, and a row for each group and for all of them.

    `clean` means that nothing will be locked in and nothing will go wrong.
    """

    findings: tuple[Finding, ...]
    groups: tuple[GroupRow, ...]
    overall: GroupRow | None = None

    @property
    def verdict(self) -> Verdict:
        """What would come of a training on these pictures."""
        levels = {finding.level for finding in self.findings}
        return "cannot train" if "blocker" in levels else "will lock" if "locked in" in levels else "ready"

    @property
    def clean(self) -> bool:
        """Whether there is nothing but notes."""
        return all(finding.level == "note" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"verdict": self.verdict, "clean": self.clean} | asdict(self)


@dataclass(frozen=True)
class DatasetGroup:
    """One folder of a built dataset."""

    name: str
    folder: Path
    repeats: int
    count: int
    #: The caption of the group as the profile has it, filled; single pictures may have captions of their own.
    caption: str


@dataclass(frozen=True)
class Dataset:
    """A built dataset.

    `fingerprint` is the sha256 of everything sd-scripts will learn from it: pixels' files, captions, repeats,
    resolution; not of paths or dates. `config` is its --dataset_config. `built` is False when it was there already,
    unchanged. `notes` are for the user.
    """

    version: str
    folder: Path
    config: Path
    manifest: Path
    fingerprint: str
    groups: tuple[DatasetGroup, ...]
    resolution: int
    built: bool
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of pictures."""
        return sum(group.count for group in self.groups)
