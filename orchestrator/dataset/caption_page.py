"""The captions as one HTML file: each picture with its caption to edit, what the tagger saw, and what the check says.

The page cannot write: what was changed is downloaded as JSON, and `dataset caption apply` takes it into the workspace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.dataset.check_page import TEMPLATES
from orchestrator.dataset.model import CheckResult, DatasetPicture
from orchestrator.dataset.view import Measured
from orchestrator.pages.page import render
from orchestrator.vision.model import Measurement

#: Kinds of findings that speak of captions.
_OF_CAPTIONS = frozenset(
    {"caption", "trigger", "class named", "caption mended", "caption not read", "caption contradicts", "long caption"}
)
FORMAT = 1


@dataclass(frozen=True)
class Row:
    """One picture with its caption. `template` has its braces; `words` are the tagger's, `flags` the check's."""

    sha256: str
    group: str
    name: str
    image: str
    template: str
    filled: str
    came_from: str
    problem: str
    words: tuple[str, ...]
    flags: tuple[str, ...]


def page(
    title: str,
    result: CheckResult,
    pictures: Sequence[DatasetPicture],
    measurements: Sequence[Measurement],
    images: Mapping[Path, str],
    words: Mapping[str, Sequence[str]],
    *,
    created: str,
    simulated: bool = False,
) -> str:
    """The page as text. `words` are what a tagger saw, by sha256."""
    rows = [
        Row(
            picture.sha256,
            picture.group,
            picture.path.name,
            images.get(picture.path, ""),
            picture.caption_template,
            picture.caption,
            {"file": "a file beside it", "kept": "kept here", "group": "the group's template"}[picture.caption_from],
            picture.caption_problem,
            tuple(words.get(picture.sha256, ())),
            tuple(
                f"{finding.kind}: {finding.what}"
                for finding in result.findings
                if finding.kind in _OF_CAPTIONS and Measured(picture, found).name in finding.pictures
            ),
        )
        for picture, found in zip(pictures, measurements, strict=True)
    ]
    content: dict[str, Any] = {
        "title": title,
        "created": created,
        "rows": rows,
        "flagged": sum(bool(row.flags) for row in rows),
        "simulated": simulated,
        "data": {"format": FORMAT, "title": title},
    }
    return render(TEMPLATES, "captions", content)
