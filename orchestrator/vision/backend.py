"""The one adapter over mediapipe's two generations, and the embedding of a person.

Up to 0.10.21 mediapipe carries its models and offers FaceMesh; from 0.10.30 on it offers only the FaceLandmarker task
with a model file fetched once. Both give the same 478 points. Which of the two is used is decided by what is installed,
never by chance.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from orchestrator.vision import model_file
from orchestrator.vision.pose import Points
from orchestrator.vision.refine import MeshesFinder, MeshFinder

Kind = Literal["mediapipe FaceMesh", "mediapipe FaceLandmarker"]
FACE_MESH: Kind = "mediapipe FaceMesh"
FACE_LANDMARKER: Kind = "mediapipe FaceLandmarker"
#: dlib's ResNet of 2017 (29 layers, 128 numbers, Euclidean distance), face aligned by dlib's 5-point model.
EMBEDDING = "dlib resnet v1"
INSTALL = "pip install -e '.[vision]'"


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
    find_all = open_meshes(kind, 1)

    def find(image: Image.Image) -> Points | None:
        return next(iter(find_all(image)), None)

    return find


def open_meshes(kind: Kind, most: int) -> MeshesFinder:
    """A function that finds the meshes of up to `most` faces. Raises as `open_mesh`."""
    return _face_mesh(most) if kind == FACE_MESH else _face_landmarker(model_file.fetch(), most)


def _face_mesh(most: int) -> MeshesFinder:
    (module,) = _import_alone(("mediapipe", "mediapipe.python.solutions"), "mediapipe.python.solutions.face_mesh")
    mesh = module.FaceMesh(
        static_image_mode=True, refine_landmarks=True, max_num_faces=most, min_detection_confidence=0.5
    )

    def find(image: Image.Image) -> list[Points]:
        found = mesh.process(np.asarray(image)).multi_face_landmarks
        return [_in_pixels(one.landmark, image) for one in found or ()]

    return find


def _face_landmarker(model: Path, most: int) -> MeshesFinder:
    task, images, base = _import_alone(
        ("mediapipe", "mediapipe.tasks", "mediapipe.tasks.python", "mediapipe.tasks.python.vision"),
        "mediapipe.tasks.python.vision.face_landmarker",
        "mediapipe.tasks.python.vision.core.image",
        "mediapipe.tasks.python.core.base_options",
    )
    # By content: the native code cannot open a path outside the code page on Windows.
    options = task.FaceLandmarkerOptions(
        base_options=base.BaseOptions(model_asset_buffer=model.read_bytes()), num_faces=most
    )
    landmarker = task.FaceLandmarker.create_from_options(options)

    def find(image: Image.Image) -> list[Points]:
        pixels = np.ascontiguousarray(np.asarray(image))
        found = landmarker.detect(images.Image(image_format=images.ImageFormat.SRGB, data=pixels)).face_landmarks
        return [_in_pixels(one, image) for one in found]

    return find


def _in_pixels(landmarks: Any, image: Image.Image) -> Points:
    points = np.array([(p.x, p.y, p.z) for p in landmarks], dtype=np.float64)
    return points * [image.width, image.height, image.width]


def _import_alone(hollow: tuple[str, ...], *names: str) -> list[Any]:
    """Import modules of mediapipe without running the `__init__` of the packages named as hollow.

    Those import everything mediapipe has, with matplotlib and OpenCV: 1.4 s and 65 MB per worker against 0.1 s and
    20 MB. The packages then stay empty shells that only know their folder, which is why faces are measured in
    processes of their own. Where it does not work with the version installed, the ordinary way is gone.
    """
    root = _package_folder("mediapipe")
    if root is None or "mediapipe" in sys.modules:
        return [importlib.import_module(name) for name in names]
    for package in hollow:
        shell = types.ModuleType(package)
        shell.__path__ = [str(Path(str(root), *package.split(".")[1:]))]
        sys.modules[package] = shell
    try:
        return [importlib.import_module(name) for name in names]
    except (ImportError, AttributeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "mediapipe"]:
            del sys.modules[name]
        return [importlib.import_module(name) for name in names]


def _package_folder(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))
