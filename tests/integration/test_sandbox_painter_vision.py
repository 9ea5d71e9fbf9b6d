"""Drawn portraits are faces to the real measuring tools: mediapipe's mesh and dlib's embedding, used here directly."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from math import atan2, cos, degrees, radians, sin
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orchestrator.sandbox.person import blend, person_of
from orchestrator.sandbox.portrait import (
    FRAMINGS,
    SCENES,
    Background,
    Framing,
    Outfit,
    Portrait,
    draw,
)
from tests.portraits import portrait

pytestmark = pytest.mark.vision

Mesh = Callable[[Image.Image], "np.ndarray[Any, Any] | None"]


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """A picture's face mesh in pixels, or None."""
    mediapipe = pytest.importorskip("mediapipe")
    if not hasattr(mediapipe, "solutions"):
        pytest.skip("this mediapipe has no models of its own")
    with mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as faces:

        def find(image: Image.Image) -> np.ndarray[Any, Any] | None:
            found = faces.process(np.array(image)).multi_face_landmarks
            if not found:
                return None
            return np.array([[point.x * image.width, point.y * image.height] for point in found[0].landmark])

        yield find


@pytest.fixture(scope="module")
def embed(mesh: Mesh) -> Callable[[Image.Image], np.ndarray[Any, Any]]:
    """The 128 numbers dlib gives a face, cut out upright by the mesh."""
    dlib = pytest.importorskip("dlib")
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        pytest.skip("face_recognition_models is not installed")
    models = Path(spec.origin).parent / "models"
    five = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))

    def measure(image: Image.Image) -> np.ndarray[Any, Any]:
        points = mesh(image)
        assert points is not None
        middle, side = points.mean(axis=0), 150
        reach = float(np.hypot(*(points - middle).T).max())
        step, angle = reach * 2.6 / side, radians(roll_of(points))
        c, s = cos(angle) * step, sin(angle) * step
        matrix = (c, -s, middle[0] - (c - s) * side / 2, s, c, middle[1] - (s + c) * side / 2)
        upright = image.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
        half = int(side / 2.6 * 0.85)
        box = dlib.rectangle(side // 2 - half, side // 2 - half, side // 2 + half, side // 2 + half)
        return np.array(network.compute_face_descriptor(np.array(upright), five(np.array(upright), box)))

    return measure


def roll_of(points: np.ndarray[Any, Any]) -> float:
    """The angle of the line between the eyes, degrees, + = clockwise."""
    across = points[[362, 263]].mean(axis=0) - points[[33, 133]].mean(axis=0)
    return degrees(atan2(across[1], across[0]))


def placed(seed: int, framing: Framing = "close-up", **changes: Any) -> Portrait:
    """One person for each seed, each before a background of their own."""
    background = Background(SCENES[seed % 4], (176, 190, 205), seed % 12)
    return portrait(seed, framing, **{"background": background, "noise_seed": seed, **changes})


@pytest.mark.parametrize("framing", FRAMINGS)
def test_the_mesh_finds_the_face_and_its_roll(mesh: Mesh, framing: Framing) -> None:
    errors, count = [], 24
    for index in range(count):
        roll = -40.0 + 80.0 * index / (count - 1)
        drawn = placed(300 + index, framing, roll_deg=roll, yaw_deg=(index % 5 - 2) * 3.0)
        image = draw(drawn, 512, 512)
        points = mesh(image)
        if points is None and framing == "full body":
            points = mesh(image.crop((128, 0, 384, 256)).resize((512, 512), Image.Resampling.LANCZOS))
        if points is not None:
            errors.append(abs(roll_of(points) - roll))
    assert len(errors) >= 0.98 * count
    assert fmean(errors) <= 1.0


def test_identity_is_a_dial(embed: Callable[[Image.Image], np.ndarray[Any, Any]]) -> None:
    """The distance rises with every step from one person to another."""
    for first, second in ((1, 2), (3, 4)):
        start = embed(draw(placed(first), 512, 512))
        steps = []
        for share in (0.2, 0.4, 0.6, 0.8, 1.0):
            between = placed(first, person=blend(person_of(first), person_of(second), share))
            steps.append(float(np.linalg.norm(embed(draw(between, 512, 512)) - start)))
        assert steps == sorted(steps), steps
        assert steps[-1] > 0.3


def test_strangers_are_far_and_one_person_is_near(embed: Callable[[Image.Image], np.ndarray[Any, Any]]) -> None:
    vectors, within = [], []
    for seed in range(12):
        vectors.append(embed(draw(placed(seed), 512, 512)))
        other = placed(
            seed,
            roll_deg=18.0 if seed % 2 else -14.0,
            yaw_deg=4.0,
            background=Background("trees"),
            outfit=Outfit("jacket", (160, 60, 60)),
            noise_seed=99,
        )
        within.append(float(np.linalg.norm(embed(draw(other, 512, 512)) - vectors[-1])))
    pairs = np.array(vectors)
    between = np.linalg.norm(pairs[:, None] - pairs[None], axis=2)[np.triu_indices(len(pairs), 1)]
    assert between.mean() > 3.0 * fmean(within), (between.mean(), fmean(within))
    assert between.min() > max(within)
