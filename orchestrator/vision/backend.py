"""The one adapter over mediapipe's two generations, and the embedding of a person.

Up to 0.10.21 mediapipe carries its models and offers FaceMesh; from 0.10.30 on it offers only the FaceLandmarker task
with a model file fetched once. Both give the same 478 points. Which of the two is used is decided by what is installed,
never by chance.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from orchestrator.vision import model_file
from orchestrator.vision.pose import Points
from orchestrator.vision.refine import MeshFinder

Kind = Literal["mediapipe FaceMesh", "mediapipe FaceLandmarker"]
FACE_MESH: Kind = "mediapipe FaceMesh"
FACE_LANDMARKER: Kind = "mediapipe FaceLandmarker"
#: dlib's ResNet of 2017 (29 layers, 128 numbers, Euclidean distance), face aligned by dlib's 5-point model.
EMBEDDING = "dlib resnet v1"
INSTALL = "pip install 'orchestrator[vision]'"


def installed() -> Kind | None:
    """Which generation of mediapipe is installed; reads the file system only, imports nothing of it."""
    root = _package_folder("mediapipe")
    if root is None:
        return None
    if (root / "python" / "solutions" / "face_mesh.py").is_file():
        return FACE_MESH
    return FACE_LANDMARKER if (root / "tasks" / "python" / "vision" / "face_landmarker.py").is_file() else None


def embedding_files() -> tuple[Path, Path] | None:
    """dlib's 5-point model and its embedding network, or None when dlib or the models are not installed."""
    folder = _package_folder("face_recognition_models")
    if folder is None or _package_folder("dlib") is None:
        return None
    # Read by path: the package's own __init__ needs pkg_resources, which new setuptools no longer have.
    points = folder / "models" / "shape_predictor_5_face_landmarks.dat"
    network = folder / "models" / "dlib_face_recognition_resnet_model_v1.dat"
    return (points, network) if points.is_file() and network.is_file() else None


def open_mesh(kind: Kind) -> MeshFinder:
    """A function that finds the mesh of the best face.

    Raises ImportError, or `MissingExtra` when the model file cannot be had.
    """
    return _face_mesh() if kind == FACE_MESH else _face_landmarker(model_file.fetch())


def _face_mesh() -> MeshFinder:
    module = _import_alone("mediapipe.python.solutions.face_mesh", ("mediapipe", "mediapipe.python.solutions"))
    mesh = module.FaceMesh(static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=0.5)

    def find(image: Image.Image) -> Points | None:
        found = mesh.process(np.asarray(image)).multi_face_landmarks
        return _in_pixels(found[0].landmark, image) if found else None

    return find


def _face_landmarker(model: Path) -> MeshFinder:
    stages = ("mediapipe", "mediapipe.tasks", "mediapipe.tasks.python", "mediapipe.tasks.python.vision")
    task = _import_alone("mediapipe.tasks.python.vision.face_landmarker", stages)
    images = _import_alone("mediapipe.tasks.python.vision.core.image", stages)
    base = _import_alone("mediapipe.tasks.python.core.base_options", stages)
    # By content: the native code cannot open a path outside the code page on Windows.
    options = task.FaceLandmarkerOptions(
        base_options=base.BaseOptions(model_asset_buffer=model.read_bytes()), num_faces=1
    )
    landmarker = task.FaceLandmarker.create_from_options(options)

    def find(image: Image.Image) -> Points | None:
        pixels = np.ascontiguousarray(np.asarray(image))
        found = landmarker.detect(images.Image(image_format=images.ImageFormat.SRGB, data=pixels)).face_landmarks
        return _in_pixels(found[0], image) if found else None

    return find


def _in_pixels(landmarks: Any, image: Image.Image) -> Points:
    points = np.array([(p.x, p.y, p.z) for p in landmarks], dtype=np.float64)
    return points * [image.width, image.height, image.width]


def _import_alone(name: str, stages: tuple[str, ...]) -> Any:
    """Import one module of mediapipe without running the `__init__` of the packages above it.

    Those import everything mediapipe has, with matplotlib and OpenCV: 1.4 s and 65 MB per worker against 0.1 s and 20
    MB. Where that does not work with the version installed, the module is imported the ordinary way.
    """
    if name in sys.modules:
        return sys.modules[name]
    try:
        with _hollow(stages):
            return importlib.import_module(name)
    except (ImportError, AttributeError):
        return importlib.import_module(name)


@contextlib.contextmanager
def _hollow(stages: tuple[str, ...]) -> Iterator[None]:
    """Within it, the packages named are empty shells that only know their folder."""
    root = _package_folder("mediapipe")
    placed: list[str] = []
    try:
        for stage in stages if root is not None and "mediapipe" not in sys.modules else ():
            shell = types.ModuleType(stage)
            shell.__path__ = [str(Path(str(root), *stage.split(".")[1:]))]
            sys.modules[stage] = shell
            placed.append(stage)
        yield
    finally:
        # Whoever imports mediapipe later must get the real package.
        for stage in placed:
            sys.modules.pop(stage, None)


def _package_folder(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))
