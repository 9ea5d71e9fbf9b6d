"""Faces, persons, sharpness and near-duplicates of pictures: `measure` gives one `Measurement` per picture.

Faces need the extra `vision`; without it everything else is measured and `Measurement.missing` says what to install.
Nothing here names a number it did not measure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.vision.model import Face, Framing, Measurement, VisionStatus

if TYPE_CHECKING:
    from orchestrator.vision.identity import identity_distance, similarity
    from orchestrator.vision.measuring import measure, status
    from orchestrator.vision.pixels import hash_distance

__all__ = [
    "Face",
    "Framing",
    "Measurement",
    "VisionStatus",
    "hash_distance",
    "identity_distance",
    "measure",
    "similarity",
    "status",
]

_WHERE = {
    "identity_distance": "identity",
    "similarity": "identity",
    "measure": "measuring",
    "status": "measuring",
    "hash_distance": "pixels",
}


def __getattr__(name: str) -> Any:
    """Load what needs numpy and Pillow at its first use, so that importing this package stays cheap."""
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(f"orchestrator.vision.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
