"""What the LoRA will learn from these pictures besides the subject: said before the training, in figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.dataset import about_captions, about_faces, about_files
from orchestrator.dataset.model import CheckResult, DatasetPicture, Finding
from orchestrator.dataset.view import views
from orchestrator.profile.model import Group, Limits
from orchestrator.vision.model import Measurement

_GRAVEST_FIRST = {"locked in": 0, "warning": 1, "note": 2}


def check(
    pictures: Sequence[DatasetPicture],
    measurements: Sequence[Measurement],
    limits: Limits,
    groups: Sequence[Group],
    *,
    trigger: str = "",
    tags: Mapping[str, Mapping[str, float]] | None = None,
    seen_from: float = 0.35,
) -> CheckResult:
    """Judge pictures by their measurements (same order). Pure: no file is read.

    `trigger` is the word every caption must hold; empty = not looked at. `tags` are what a tagger saw, by the pictures'
    sha256, as far as it was asked; a tag counts from `seen_from` (0…1) on. Raises ValueError when pictures and
    measurements differ in number.
    """
    all_groups = views(pictures, measurements, groups)
    findings: list[Finding] = []
    for view in all_groups:
        # Pictures of the class show other people in any pose; what they share is not learned as the subject's.
        findings += [] if view.group.regularisation else about_faces.of_group(view, limits)
        findings += about_files.of_group(view, limits, trigger)
    findings += about_faces.of_all([view for view in all_groups if not view.group.regularisation])
    findings += about_files.of_all(all_groups, limits)
    findings += about_captions.of_all([one for view in all_groups for one in view.pictures], tags or {}, seen_from)
    findings.sort(key=lambda finding: _GRAVEST_FIRST[finding.level])
    return CheckResult(tuple(findings), tuple(view.row() for view in all_groups))
