"""Measuring one picture, in whatever process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from orchestrator.errors import OrchestratorError, PictureError
from orchestrator.files import open_picture, sha256_file
from orchestrator.vision import backend, detail, pixels
from orchestrator.vision.identity import SMALLEST_FACE, Embedder, open_embedder
from orchestrator.vision.model import (
    NO_FACE,
    NOT_MEASURED,
    TOO_SMALL,
    UNREADABLE,
    Face,
    Measurement,
    RawFile,
    framing_of,
)
from orchestrator.vision.pose import expression_of, extent, pose_of
from orchestrator.vision.refine import FoundFace, MeshesFinder, MeshFinder, find_face, other_faces
from orchestrator.vision.surroundings import surroundings

#: Side the face is scaled to before its sharpness is measured.
_FACE_SIDE = 128
#: More faces than this in one picture need not be counted.
MOST_FACES = 4
_EXIF_ORIENTATION = 0x0112
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
    #: Finds several faces; the plain `find_mesh` answers with the best one only.
    find_meshes: MeshesFinder | None = None


def open_instruments() -> Instruments:
    """Load mediapipe and dlib (0.3 s). Never raises: what does not load is said in the measurements."""
    kind = backend.installed()
    if kind is None:
        return Instruments()
    try:
        find_mesh, find_meshes = backend.open_mesh(kind), backend.open_meshes(kind, MOST_FACES)
    except OrchestratorError as error:
        return Instruments(missing=f"{NOT_MEASURED} {error.cause} {error.fix}", no_identity="")
    # Anything at all can go wrong while native libraries load; pictures must still be measured without them.
    except Exception as error:
        return Instruments(missing=f"{NOT_MEASURED} mediapipe does not start ({type(error).__name__}: {error})")
    files = backend.embedding_files()
    if files is None:
        return Instruments(find_mesh, None, kind, "", f"{NOT_MEASURED} the person; {backend.INSTALL}", find_meshes)
    try:
        return Instruments(find_mesh, open_embedder(*files), kind, "", "", find_meshes)
    except Exception as error:
        return Instruments(
            find_mesh,
            None,
            kind,
            "",
            f"{NOT_MEASURED} the person; dlib does not start ({type(error).__name__}: {error})",
            find_meshes,
        )


def measure_picture(path: Path, instruments: Instruments) -> Measurement:
    """Measure one file. An unreadable one gives a measurement that says so."""
    try:
        digest = sha256_file(path)
    except OSError as error:
        return unreadable("", why_unread(error))
    try:
        image = open_picture(path)
    except PictureError as error:
        return unreadable(digest, error.what.partition("as a picture: ")[2].rstrip("."))
    straight, mirrored = pixels.both_hashes(image)
    face, identity, missing, faces = _face(image, instruments)
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
        backend=instruments.backend,
        faces=faces,
        detail=detail.fine_detail(image),
        file=raw_file(path),
        around=surroundings(image, face.box if face else None),
    )


def why_unread(error: OSError) -> str:
    """Why a file could not even be read, in words."""
    if isinstance(error, FileNotFoundError):
        return "it is gone; another program is moving or syncing it"
    if isinstance(error, PermissionError):
        return "it may not be read; another program holds it, or it belongs to another user"
    return error.strerror or str(error)


def raw_file(path: Path) -> RawFile:
    """What the file of a readable picture says of itself."""
    try:
        with Image.open(path) as image:
            kind, mode, frames = image.format or "", image.mode, int(getattr(image, "n_frames", 1))
            # Asking a PNG for EXIF decodes it whole.
            noted = kind != "PNG" or b"eXIf" in path.read_bytes()
            turned = noted and image.getexif().get(_EXIF_ORIENTATION, 1) not in {0, 1}
            transparent = False
            if mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
                lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
                transparent = int(lowest) < 255  # type: ignore[arg-type]
            # A PNG of 16 bits a channel is handed out in 8 by Pillow; its header still says so.
            if kind == "PNG" and mode in {"RGB", "RGBA", "LA"} and _png_depth(path) > 8:
                mode += ";16"
            return RawFile(kind, mode, transparent, turned, frames)
    except (OSError, SyntaxError, ValueError):
        return RawFile()


def _png_depth(path: Path) -> int:
    with path.open("rb") as stream:
        head = stream.read(25)
    return head[24] if len(head) == 25 else 8


def unreadable(digest: str, why: str) -> Measurement:
    """The measurement of a file that is no picture."""
    return Measurement(digest, 0, 0, 0.0, 0, 0, missing=f"{UNREADABLE} {why}")


def _face(
    image: Image.Image, instruments: Instruments
) -> tuple[Face | None, tuple[float, ...] | None, str, int | None]:
    """The face, who it is, what is missing and why, and how many faces there are."""
    if instruments.find_mesh is None:
        return None, None, instruments.missing, None
    found = find_face(image, instruments.find_mesh)
    if found is None:
        return None, None, NO_FACE, 0
    faces = None
    if instruments.find_meshes is not None:
        faces = 1 + other_faces(image, found, instruments.find_meshes, instruments.find_mesh)
    face = _describe(found, image)
    if face.height_ratio * image.height < SMALLEST_FACE:
        return face, None, TOO_SMALL, faces
    if instruments.embed is None:
        return face, None, instruments.no_identity, faces
    return face, instruments.embed(found), "", faces


def _describe(found: FoundFace, image: Image.Image) -> Face:
    pose = pose_of(found.mesh)
    left, top, width, height = extent(found.in_picture())
    crop_x, crop_y, crop_width, crop_height = extent(found.mesh)
    ratio = crop_height * found.scale / image.height
    expression = expression_of(found.mesh)
    cut = found.crop.crop((round(crop_x), round(crop_y), round(crop_x + crop_width), round(crop_y + crop_height)))
    return Face(
        roll_deg=round(found.roll_deg, 2),
        yaw_deg=round(pose.yaw_deg, 2),
        pitch_deg=round(pose.pitch_deg, 2),
        box=(round(left), round(top), round(width), round(height)),
        height_ratio=round(ratio, 4),
        sharpness=pixels.sharpness(cut, _FACE_SIDE),
        framing=framing_of(ratio),
        gaze=None if expression.gaze is None else round(expression.gaze, 3),
        smile=round(expression.smile, 3),
        mouth_open=round(expression.mouth_open, 3),
    )
