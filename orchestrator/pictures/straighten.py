"""Turning pictures until the face is upright, without black corners.

What the turn leaves empty is cropped away (`crop`), filled with the mirrored picture (`reflect`: nothing is lost, good
on plain backgrounds), or filled so and marked by a mask to be drawn anew by A1111 (`outpaint`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import InputError, MissingExtra
from orchestrator.files import open_picture, write_bytes
from orchestrator.profile.model import Corners

if TYPE_CHECKING:
    from PIL import Image

    from orchestrator.vision.model import Measurement

#: Faces that lean less are left as they are: turning costs sharpness and a part of the picture, and the measurement is
#: good to about 0.5°.
SMALLEST_DEG = 1.0
# Around the mesh's box (forehead to chin), for hair, ears and neck, in shares of its size: left, up, right, down.
_HEAD = (0.25, 0.45, 0.25, 0.15)
_FACE_ONLY = (0.0, 0.0, 0.0, 0.0)
# Corners stay this far inside the source, in pixels, so that interpolation never reaches beyond the edge.
_INSIDE = 1.0
#: The mask of corners reaches so many pixels into the picture, so that no seam stays.
_SEAM = 6
#: No crop smaller than this share of the sides, even if the head is then cut.
_SMALLEST_CROP = 0.35

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Crop:
    """The part of a picture that is kept.

    Centre in pixels, share of both sides, and the angle its upper edge is turned by.
    """

    centre: tuple[float, float]
    share: float
    roll_deg: float


@dataclass(frozen=True)
class Straightened:
    """What was done to one picture.

    `angle` is the lean taken out in degrees (+ = it leaned clockwise); 0 when it was upright already, None when it is
    not known. In both cases nothing is written and `path` is the source. `before` and `after` are measured rolls, None
    where no face was found.
    """

    path: Path
    angle: float | None
    before: float | None
    after: float | None
    crop: Crop | None = None
    note: str = ""

    @property
    def mask(self) -> Path:
        """Where the mask of an `outpaint` lies: white where the turned picture says nothing."""
        return self.path.with_name(f"{self.path.stem}.mask.png")


def straighten(image: Image.Image, roll_deg: float, face: Box | None = None, corners: Corners = "crop") -> Image.Image:
    """The picture turned by -`roll_deg` (+ = it leans clockwise) in its own aspect, at its own size, no corner left
    empty.

    `face` is x, y, width, height of the face in pixels; it keeps its place in the frame, and a crop keeps the head
    inside.
    """
    if corners == "crop":
        return _cut(image, largest_crop(image.width, image.height, roll_deg, face))
    return _cut(*_mirrored(image, whole(image.width, image.height, roll_deg, face)), image.size)


def uncovered(image: Image.Image, roll_deg: float, face: Box | None = None) -> Image.Image:
    """The mask of what `straighten` fills with its mirror image: white there, a little further in, black elsewhere."""
    from PIL import Image

    crop = whole(image.width, image.height, roll_deg, face)
    grown = _grown(image.width, image.height)
    covered = Image.new("L", (image.width + 2 * grown, image.height + 2 * grown), 255)
    covered.paste(0, (grown + _SEAM, grown + _SEAM, grown + image.width - _SEAM, grown + image.height - _SEAM))
    return _cut(covered, _moved(crop, grown), image.size)


def straighten_file(
    source: Path, target: Path, roll_deg: float | None = None, *, cache: Path | None = None, corners: Corners = "crop"
) -> Straightened:
    """Straighten one file into `target` (PNG) by the measured lean, or by `roll_deg`. See `straighten_files`."""
    if roll_deg is None:
        (done,) = straighten_files([(source, target)], cache, corners=corners)
        return done
    return _write(source, target, roll_deg, None, None, corners)


def straighten_files(
    files: Sequence[tuple[Path, Path]],
    cache: Path | None = None,
    *,
    corners: Corners = "crop",
    on_done: Callable[[Straightened], None] | None = None,
) -> list[Straightened]:
    """Straighten many files (source, target PNG) by their measured lean, and measure them again. With `outpaint` the
    mask of each is written beside it (`Straightened.mask`).

    Where more than `SMALLEST_DEG` is left, the picture is turned once more, from the source. `cache` keeps measurements
    between calls. Raises `MissingExtra` when leans cannot be measured here, `PictureError` for an unreadable source,
    `StorageError`.
    """
    sources = [source for source, _ in files]
    before = _measured(sources, cache)
    done = [_first_turn(source, target, found, corners) for (source, target), found in zip(files, before, strict=True)]
    turned = [index for index, one in enumerate(done) if one.angle]
    for attempt in range(2):
        found = _measured([done[index].path for index in turned], cache)
        again = []
        for index, after in zip(turned, found, strict=True):
            roll = after.face.roll_deg if after.face else None
            done[index] = _with_after(done[index], roll)
            if attempt == 0 and roll is not None and abs(roll) > SMALLEST_DEG:
                done[index] = _turn(
                    sources[index], done[index].path, (done[index].angle or 0.0) + roll, before[index], corners
                )
                again.append(index)
        turned = again
    for one in done:
        if on_done is not None:
            on_done(one)
    return done


def refuse_overwriting(files: Sequence[tuple[Path, Path]]) -> None:
    """Raise one `InputError` that names every target of (source, target) that is one of the sources or is named
    twice.
    """
    problems: list[str] = []
    first: dict[str, Path] = {}
    for source, target in files:
        over = next((other for other, _ in files if _same_file(target, other)), None)
        if over is not None:
            problems.append(f"{over} would be written over.")
        # Without regard to case, because most file systems of Windows and macOS have none.
        earlier = first.setdefault(str(target.resolve()).casefold(), source)
        if earlier is not source:
            problems.append(f"{earlier} and {source} would both be written to {target}.")
    if problems:
        listed = "\n".join(f"  {problem}" for problem in dict.fromkeys(problems))
        raise InputError(
            f"Nothing was straightened, because pictures would be lost:\n{listed}",
            fix="Name another folder with --into; straighten pictures of the same name in separate commands, each into "
            "a folder of its own.",
        )


def _same_file(one: Path, other: Path) -> bool:
    # Resolved, because `new/..` exists as soon as `new` has been made for the result.
    one = one.resolve()
    return one.exists() and other.exists() and one.samefile(other)


def largest_crop(width: int, height: int, roll_deg: float, face: Box | None = None) -> Crop:
    """The largest rectangle of a picture's own aspect, turned by `roll_deg`, that lies inside it and keeps the head.

    A rectangle of share k around C lies inside when C keeps a distance of k(w|cos|+h|sin|)/2 from the left and right
    and k(w|sin|+h|cos|)/2 from the upper and lower edge. k falls from the largest possible until the head fits, or at
    least the face; at each k, C is as near as it may be to where the face keeps its place in the frame.
    """
    angle = math.radians(roll_deg)
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    reach = (width * cos + height * sin, width * sin + height * cos)
    largest = min(1.0, (width - 2 * _INSIDE) / reach[0], (height - 2 * _INSIDE) / reach[1])
    middle = (width / 2, height / 2)
    if face is None:
        return Crop(middle, largest, roll_deg)
    focus = (face[0] + face[2] / 2, face[1] + face[3] / 2)

    def nearest(wish: tuple[float, float], share: float) -> Crop:
        across = _clamp(wish[0], share * reach[0] / 2 + _INSIDE, width)
        down = _clamp(wish[1], share * reach[1] / 2 + _INSIDE, height)
        return Crop((across, down), share, roll_deg)

    def same_place(share: float) -> tuple[float, float]:
        """The centre with which the face keeps its place in the frame."""
        off = _rotated((share * (focus[0] - middle[0]), share * (focus[1] - middle[1])), roll_deg)
        return focus[0] - off[0], focus[1] - off[1]

    for margins in (_HEAD, _FACE_ONLY):
        kept = _corners(face, margins, width, height)
        for step in range(100):
            share = largest - step / 100
            if share < min(_SMALLEST_CROP, largest):
                break
            for wish in (same_place(share), focus):
                crop = nearest(wish, share)
                if all(_holds(crop, width, height, point) for point in kept):
                    return crop
    return nearest(same_place(largest), largest)


def _first_turn(source: Path, target: Path, found: Measurement, corners: Corners) -> Straightened:
    if not found.readable:
        open_picture(source)  # raises with the reason
    if found.face is None:
        return Straightened(source, None, None, None, note=found.missing)
    roll = found.face.roll_deg
    if abs(roll) < SMALLEST_DEG:
        return Straightened(source, 0.0, roll, roll)
    return _turn(source, target, roll, found, corners)


def _turn(source: Path, target: Path, roll_deg: float, found: Measurement, corners: Corners) -> Straightened:
    face = found.face
    return _write(source, target, roll_deg, face.box if face else None, face.roll_deg if face else None, corners)


def _write(
    source: Path, target: Path, roll_deg: float, face: Box | None, before: float | None, corners: Corners
) -> Straightened:
    image = open_picture(source)
    crop = (largest_crop if corners == "crop" else whole)(image.width, image.height, roll_deg, face)
    done = Straightened(target, round(roll_deg, 2), before, None, crop)
    if corners == "outpaint":
        _save(done.mask, uncovered(image, roll_deg, face))
    _save(target, straighten(image, roll_deg, face, corners))
    return done


def _with_after(one: Straightened, roll: float | None) -> Straightened:
    note = "no face was found any more after turning" if roll is None else ""
    return Straightened(one.path, one.angle, one.before, roll, one.crop, note)


def whole(width: int, height: int, roll_deg: float, face: Box | None = None) -> Crop:
    """The whole picture turned, with the face (or the middle) where it was; it reaches beyond the source."""
    focus = (width / 2, height / 2) if face is None else (face[0] + face[2] / 2, face[1] + face[3] / 2)
    off = _rotated((focus[0] - width / 2, focus[1] - height / 2), roll_deg)
    return Crop((focus[0] - off[0], focus[1] - off[1]), 1.0, roll_deg)


def _mirrored(image: Image.Image, crop: Crop) -> tuple[Image.Image, Crop]:
    """The picture with its mirror image around it, and where `crop` lies in that."""
    import numpy as np
    from PIL import Image

    grown = _grown(image.width, image.height)
    # "reflect" leaves the edge's own pixel out, as a mirror does; it can reach at most one picture further.
    around = np.pad(np.asarray(image), ((grown, grown), (grown, grown), (0, 0)), mode="reflect")
    return Image.fromarray(around), _moved(crop, grown)


def _grown(width: int, height: int) -> int:
    """How far a turned picture may reach beyond the source: at most the half diagonal, and less than a mirror image."""
    return min(math.ceil(math.hypot(width, height) / 2), min(width, height) - 1)


def _moved(crop: Crop, by: int) -> Crop:
    return Crop((crop.centre[0] + by, crop.centre[1] + by), crop.share, crop.roll_deg)


def _cut(image: Image.Image, crop: Crop, size: tuple[int, int] | None = None) -> Image.Image:
    """What lies in `crop`, at `size` (the image's own), whose sides the crop's share is of."""
    from PIL import Image

    size = size or image.size
    # Turned onto a grid twice as fine and reduced by Lanczos: one turn by single bicubic samples would cost visible
    # sharpness.
    width, height = 2 * size[0], 2 * size[1]
    angle = math.radians(crop.roll_deg)
    cos, sin = math.cos(angle) * crop.share / 2, math.sin(angle) * crop.share / 2
    matrix = (
        cos,
        -sin,
        crop.centre[0] - cos * width / 2 + sin * height / 2,
        sin,
        cos,
        crop.centre[1] - sin * width / 2 - cos * height / 2,
    )
    fine = image.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    return fine.resize(size, Image.Resampling.LANCZOS)


def _save(target: Path, image: Image.Image) -> None:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    write_bytes(target, buffer.getvalue(), durable=False)


def _measured(paths: Sequence[Path], cache: Path | None) -> list[Measurement]:
    if not paths:
        return []
    import tempfile

    from orchestrator import vision
    from orchestrator.vision.model import NOT_MEASURED

    with tempfile.TemporaryDirectory(prefix="orchestrator-") as temporary:
        found = vision.measure(paths, cache or Path(temporary))
    for one in found:
        if one.readable and not one.looked:
            raise MissingExtra("vision", "The lean of the faces", cause=one.missing.removeprefix(NOT_MEASURED).strip())
    return found


def _corners(
    face: Box, margins: tuple[float, float, float, float], width: int, height: int
) -> list[tuple[float, float]]:
    """The corners of the face's box with margins (shares of its size.

    Left, up, right, down), as far as in the picture.
    """
    x, y, w, h = face
    left, top = max(0.0, x - margins[0] * w), max(0.0, y - margins[1] * h)
    right, bottom = min(float(width), x + (1 + margins[2]) * w), min(float(height), y + (1 + margins[3]) * h)
    return [(left, top), (right, top), (left, bottom), (right, bottom)]


def _holds(crop: Crop, width: int, height: int, point: tuple[float, float]) -> bool:
    x, y = _rotated((point[0] - crop.centre[0], point[1] - crop.centre[1]), -crop.roll_deg)
    return abs(x) <= crop.share * width / 2 and abs(y) <= crop.share * height / 2


def _rotated(point: tuple[float, float], degrees: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    return (
        math.cos(angle) * point[0] - math.sin(angle) * point[1],
        math.sin(angle) * point[0] + math.cos(angle) * point[1],
    )


def _clamp(value: float, margin: float, length: int) -> float:
    """`value` kept `margin` away from both ends; the middle where there is no such place."""
    return min(max(value, margin), length - margin) if 2 * margin <= length else length / 2
