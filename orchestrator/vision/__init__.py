"""Faces, persons, sharpness and near-duplicates of pictures: `measure` gives one `Measurement` per picture.

Faces need the extra `vision`; without it everything else is measured and `Measurement.missing` says what to install.
Nothing here names a number it did not measure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.vision.distance import identity_distance, near_copy, similarity
from orchestrator.vision.model import Face, Framing, Measurement, VisionStatus

if TYPE_CHECKING:
    from orchestrator.vision.measuring import measure, status

__all__ = [
    "Face",
    "Framing",
    "Measurement",
    "VisionStatus",
    "identity_distance",
    "measure",
    "near_copy",
    "similarity",
    "status",
]


def __getattr__(name: str) -> Any:
    """Load what needs numpy and Pillow at its first use, so that importing this package stays cheap."""
    if name in {"measure", "status"}:
        from orchestrator.vision import measuring

        return getattr(measuring, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
