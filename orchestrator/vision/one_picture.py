"""Measuring one picture, in whatever process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from orchestrator.errors import OrchestratorError, PictureError
from orchestrator.files import open_picture, sha256_file
from orchestrator.vision import backend, pixels
from orchestrator.vision.identity import SMALLEST_FACE, Embedder, open_embedder
from orchestrator.vision.model import NO_FACE, NOT_MEASURED, TOO_SMALL, UNREADABLE, Face, Measurement, framing_of
from orchestrator.vision.pose import extent, pose_of
from orchestrator.vision.refine import FoundFace, MeshFinder, another_face, find_face

#: Side the face is scaled to before its sharpness is measured.
_FACE_SIDE = 128
NO_MESH = f"{NOT_MEASURED} {backend.INSTALL}"


@dataclass(frozen=True)
class Instruments:
    """What this process can measure faces with.

    `missing` says why there is no `find_mesh`, `no_identity` why there is no `embed`.
    """

    find_mesh: MeshFinder | None = None
    embed: Embedder | None = None
    backend: str = ""
    missing: str = NO_MESH
    no_identity: str = NO_MESH


def open_instruments() -> Instruments:
    """Load mediapipe and dlib (0.3 s). Never raises: what does not load is said in the measurements."""
    kind = backend.installed()
    if kind is None:
        return Instruments()
    try:
        find_mesh = backend.open_mesh(kind)
    except OrchestratorError as error:
        return Instruments(missing=f"{NOT_MEASURED} {error.cause} {error.fix}", no_identity="")
    # Anything at all can go wrong while native libraries load; pictures must still be measured without them.
    except Exception as error:
        return Instruments(missing=f"{NOT_MEASURED} mediapipe does not start ({type(error).__name__}: {error})")
    files = backend.embedding_files()
    if files is None:
        return Instruments(find_mesh, None, kind, "", f"{NOT_MEASURED} the person; {backend.INSTALL}")
    try:
        return Instruments(find_mesh, open_embedder(*files), kind, "", "")
    except Exception as error:
        return Instruments(
            find_mesh,
            None,
            kind,
            "",
            f"{NOT_MEASURED} the person; dlib does not start ({type(error).__name__}: {error})",
        )


def measure_picture(path: Path, instruments: Instruments) -> Measurement:
    """Measure one file. An unreadable one gives a measurement that says so."""
    try:
        digest = sha256_file(path)
    except OSError as error:
        return unreadable("", error.strerror or str(error))
    try:
        image = open_picture(path)
    except PictureError as error:
        return unreadable(digest, error.what.partition("as a picture: ")[2].rstrip("."))
    straight, mirrored = pixels.both_hashes(image)
    face, identity, missing = _face(image, instruments)
    faces = None if instruments.find_mesh is None else 0
    if face is not None and instruments.find_mesh is not None:
        faces = 1 + another_face(image, face.box, instruments.find_mesh)
    return Measurement(
        sha256=digest,
        width=image.width,
        height=image.height,
        sharpness=pixels.sharpness(image),
        dhash=straight,
        dhash_mirror=mirrored,
        colours=pixels.colours(image),
        face=face,
        identity=identity,
        missing=missing,
        embedding_name="" if identity is None else backend.EMBEDDING,
        faces=faces,
        backend=instruments.backend,
    )


def unreadable(digest: str, why: str) -> Measurement:
    """The measurement of a file that is no picture."""
    return Measurement(digest, 0, 0, 0.0, 0, 0, missing=f"{UNREADABLE} {why}")


def _face(image: Image.Image, instruments: Instruments) -> tuple[Face | None, tuple[float, ...] | None, str]:
    if instruments.find_mesh is None:
        return None, None, instruments.missing
    found = find_face(image, instruments.find_mesh)
    if found is None:
        return None, None, NO_FACE
    face = _describe(found, image)
    if face.height_ratio * image.height < SMALLEST_FACE:
        return face, None, TOO_SMALL
    if instruments.embed is None:
        return face, None, instruments.no_identity
    return face, instruments.embed(found), ""


def _describe(found: FoundFace, image: Image.Image) -> Face:
    pose = pose_of(found.mesh)
    left, top, width, height = extent(found.in_picture())
    crop_x, crop_y, crop_width, crop_height = extent(found.mesh)
    ratio = crop_height * found.scale / image.height
    cut = found.crop.crop((round(crop_x), round(crop_y), round(crop_x + crop_width), round(crop_y + crop_height)))
    return Face(
        roll_deg=round(found.roll_deg, 2),
        yaw_deg=round(pose.yaw_deg, 2),
        pitch_deg=round(pose.pitch_deg, 2),
        box=(round(left), round(top), round(width), round(height)),
        height_ratio=round(ratio, 4),
        sharpness=pixels.sharpness(cut, _FACE_SIDE),
        framing=framing_of(ratio),
    )
