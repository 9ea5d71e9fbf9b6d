"""Who is in the picture, as 128 numbers of dlib's face network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from orchestrator.vision.pose import extent
from orchestrator.vision.refine import FoundFace

#: Faces of fewer pixels from forehead to chin say more about their size than about the person (distance to oneself:
#: 0.24 at 45, 0.39 at 30).
SMALLEST_FACE = 40.0

Embedder = Callable[[FoundFace], "tuple[float, ...]"]


def open_embedder(points_file: Path, network_file: Path) -> Embedder:
    """A function that embeds a found face. Raises ImportError or RuntimeError when dlib cannot load its models."""
    import dlib

    predictor = dlib.shape_predictor(str(points_file))
    network = dlib.face_recognition_model_v1(str(network_file))

    def embed(face: FoundFace) -> tuple[float, ...]:
        x, y, width, height = extent(face.mesh)
        # dlib's own detector boxes brows to chin with a square; the mesh reaches up to the hair line.
        side = max(width, height * 0.85)
        middle_x, middle_y = x + width / 2, y + height * 0.56
        box = dlib.rectangle(
            *(round(v) for v in (middle_x - side / 2, middle_y - side / 2, middle_x + side / 2, middle_y + side / 2))
        )
        pixels = np.ascontiguousarray(np.asarray(face.crop))
        chip = dlib.get_face_chip(pixels, predictor(pixels, box), size=150, padding=0.25)
        return tuple(round(float(value), 6) for value in network.compute_face_descriptor(chip))

    return embed
