"""What the LoRA will learn from these pictures besides the subject: said before the training, in figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.dataset import (
    about_caption_files,
    about_captions,
    about_faces,
    about_files,
    about_marks,
    about_pictures,
    about_poses,
    about_scenes,
)
from orchestrator.dataset.model import CheckResult, DatasetPicture, Finding
from orchestrator.dataset.view import row, views
from orchestrator.profile.model import Group, Limits
from orchestrator.vision.model import Measurement

_GRAVEST_FIRST = {"blocker": 0, "locked in": 1, "warning": 2, "note": 3}


def check(
    pictures: Sequence[DatasetPicture],
    measurements: Sequence[Measurement],
    limits: Limits,
    groups: Sequence[Group],
    *,
    trigger: str = "",
    tags: Mapping[str, Mapping[str, float]] | None = None,
    seen_from: float = 0.35,
    left_out: bool = False,
    beside: Sequence[Finding] = (),
    simulated: bool = False,
) -> CheckResult:
    """Judge pictures by their measurements (same order). Pure: no file is read.

    `trigger` is the word every caption must hold; empty = not looked at. `tags` are what a tagger saw, by the pictures'
    sha256, as far as it was asked; a tag counts from `seen_from` (0…1) on. `left_out`: the build leaves out what cannot
    be read. `beside` are findings made elsewhere, such as those of the folders. `simulated`: the sandbox drew the
    pictures. Raises ValueError when pictures and
    measurements differ in number.
    """
    all_groups = views(pictures, measurements, groups)
    # Pictures of the class show other people in any pose; what they share is not learned as the subject's.
    of_subject = [view for view in all_groups if not view.group.regularisation]
    findings: list[Finding] = list(beside)
    for view in of_subject:
        findings += [*about_poses.of_group(view, limits), *about_faces.of_group(view)]
    for view in all_groups:
        findings += about_files.of_group(view, limits, left_out=left_out)
        findings += about_pictures.of_group(view)
        findings += about_caption_files.of_group(view, trigger)
    findings += about_faces.of_all(of_subject)
    findings += about_scenes.of_all(of_subject)
    findings += about_marks.of_all(of_subject, tags or {}, seen_from, simulated=simulated)
    findings += about_files.of_all(all_groups, limits)
    findings += about_pictures.of_all(all_groups)
    findings += about_captions.of_all([one for view in all_groups for one in view.pictures], tags or {}, seen_from)
    findings.sort(key=lambda finding: _GRAVEST_FIRST[finding.level])
    everything = [one for view in of_subject for one in view.pictures]
    overall = row("all", everything, 1, sum(view.seen for view in of_subject)) if len(of_subject) > 1 else None
    return CheckResult(tuple(findings), tuple(view.row() for view in all_groups), overall)
