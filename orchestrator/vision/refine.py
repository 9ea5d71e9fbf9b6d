"""Finding a face and believing it only after a second look.

The plain mesh misses small faces and is now and then wrong by 10° and more without saying so. Therefore: a face that
was found is cut out, turned upright and measured again; where nothing was found, smaller windows are searched first.
Two looks that disagree by more than 5° are no measurement. At last the upright face is looked at closer, and its mirror
image too, since a mesh leans to one side by a little of its own: the lean is the mean of both sides. On faces turned by
-40…40° that halves the error of the second look alone (`python -m tests.benchmarks.check roll` has the figures).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageOps

from orchestrator.vision.pose import Points, extent, plausible, roll_of

#: The mesh of the best face in an RGB picture, in its pixels, or None.
MeshFinder = Callable[[Image.Image], "Points | None"]
#: The meshes of all faces in one, likewise.
MeshesFinder = Callable[[Image.Image], "list[Points]"]

#: Side of the square the face is looked at in again, in pixels, and that square's side in face sizes.
CROP_SIDE = 384
_CROP_FACES = 2.0
#: What the closer look leaves out at each side of that square: 1.6 face sizes remain.
_CLOSER_BY = CROP_SIDE // 10
#: Looks that differ by more are no measurement; those that differ by more than the second figure are looked at once
#: more.
_DISAGREE_DEG = 5.0
_LOOK_AGAIN_DEG = 1.5
# The detector sees 128×128 pixels and finds faces from about a fifth of that. Windows of these shares of the short side
# therefore find faces down to about 45 and 25 pixels in a 512 picture.
_WINDOWS = (0.6, 0.36, 0.22)
# A face looked for in a window takes up to a third of it, so windows a little further apart than half still hold it
# whole.
_STRIDE = 0.62
_SEARCHED_SHARE = 0.72
_FILL = (127, 127, 127)
#: From this share of the picture's longer side on, a face of about that size is found in the whole picture.
_FILLS = 0.15
#: From this ratio of the sides on a picture is wide.
_WIDE = 1.25


@dataclass(frozen=True)
class FoundFace:
    """A face that two looks agree on.

    `crop` is the upright square of `CROP_SIDE` around it, `mesh` its points there; `roll_deg` the lean in the picture;
    `centre` in pixels of the picture and `scale` picture pixels per crop pixel lead back from the crop to the picture.
    """

    crop: Image.Image
    mesh: Points
    roll_deg: float
    centre: tuple[float, float]
    scale: float
    crop_roll_deg: float

    def in_picture(self) -> Points:
        """The mesh in pixels of the picture."""
        return _from_crop(self.mesh, self.centre, self.scale, self.crop_roll_deg)


def find_face(image: Image.Image, find_mesh: MeshFinder) -> FoundFace | None:
    """The face of an RGB picture, or None: no face, or none that the looks agree on."""
    found = _find(image, find_mesh)
    return None if found is None else _steadied(found, find_mesh)


def _find(image: Image.Image, find_mesh: MeshFinder) -> FoundFace | None:
    whole = find_mesh(image)
    if whole is not None:
        found = _confirm(image, whole, find_mesh)
        if found is not None:
            return found
    for left, top, side in windows(image.width, image.height):
        mesh = find_mesh(image.crop((left, top, left + side, top + side)))
        if mesh is None:
            continue
        mesh = mesh + np.array([left, top, 0.0])
        found = _confirm(image, mesh, find_mesh)
        if found is not None:
            return found
    return None


def other_faces(image: Image.Image, first: FoundFace, find_meshes: MeshesFinder, find_mesh: MeshFinder) -> int:
    """How many further faces there are beside `first`: elsewhere, and believed at a second look.

    Looked for in the whole picture and in its largest windows: faces of a twelfth of the short side and more.
    """
    taken = [extent(first.in_picture())]
    side = round(min(image.size) * _WINDOWS[0])
    # Beside a face of this size the whole picture shows another of its kind; windows cost six looks more. A wide
    # picture has room for a second person, whose face may be half as large.
    fills = taken[0][3] > _FILLS * max(image.size) and image.width <= _WIDE * image.height
    searched = () if fills else (window for window in windows(*image.size) if window[2] >= side)
    for left, top, size in ((0, 0, 0), *searched):
        part = image.crop((left, top, left + size, top + size)) if size else image
        for found_there in find_meshes(part):
            mesh = found_there + np.array([left, top, 0.0])
            if all(_apart(extent(mesh), other) for other in taken):
                found = _confirm(image, mesh, find_mesh)
                if found is not None and all(_apart(extent(found.in_picture()), other) for other in taken):
                    taken.append(extent(found.in_picture()))
    return len(taken) - 1


def _apart(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    """Whether the middles of two boxes lie further apart than half the larger one's size."""
    across = abs((one[0] + one[2] / 2) - (other[0] + other[2] / 2))
    down = abs((one[1] + one[3] / 2) - (other[1] + other[3] / 2))
    return max(across, down) > max(one[2], one[3], other[2], other[3]) / 2


def windows(width: int, height: int) -> Iterator[tuple[int, int, int]]:
    """Square windows (left, top, side) over a picture's upper part.

    Large before small, from the middle outwards and down.
    """
    short = min(width, height)
    for share in _WINDOWS:
        side = max(32, round(short * share))
        if side >= short:
            continue
        lefts = _positions(width, side)
        tops = _positions(max(side, round(height * _SEARCHED_SHARE)), side)
        middle = (width - side) / 2
        for top in tops:
            for left in sorted(lefts, key=lambda x: abs(x - middle)):
                yield left, top, side


def upright_crop(
    image: Image.Image, centre: tuple[float, float], side: float, roll_deg: float, out: int = CROP_SIDE
) -> Image.Image:
    """The square of `side` picture pixels around `centre`, turned by -`roll_deg`, scaled to `out`×`out`.

    Grey outside the picture.
    """
    scale = side / out
    reduce = max(1, int(scale))
    if reduce > 1:
        # The transform below takes single pixels of the source: reduced first, fine detail does not alias.
        image = image.reduce(reduce)
        centre = (centre[0] / reduce, centre[1] / reduce)
        scale /= reduce
    angle = math.radians(roll_deg)
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    half = out / 2
    matrix = (cos, -sin, centre[0] - cos * half + sin * half, sin, cos, centre[1] - sin * half - cos * half)
    return image.transform((out, out), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=_FILL)


def _confirm(image: Image.Image, mesh: Points, find_mesh: MeshFinder) -> FoundFace | None:
    roll = roll_of(mesh)
    for look in range(2):
        turned = _to_upright(mesh, roll)
        x, y, width, height = extent(turned)
        centre = _rotate((x + width / 2, y + height / 2), roll)
        side = max(width, height) * _CROP_FACES
        if side < 16:
            return None
        crop = upright_crop(image, centre, side, roll)
        again = find_mesh(crop)
        if again is None or not plausible(again):
            return None
        residual = roll_of(again)
        if abs(residual) <= _LOOK_AGAIN_DEG or (look and abs(residual) <= _DISAGREE_DEG):
            return FoundFace(crop, again, _within_half_turn(roll + residual), centre, side / CROP_SIDE, roll)
        mesh = _from_crop(again, centre, side / CROP_SIDE, roll)
        roll += residual
    return None


def _steadied(found: FoundFace, find_mesh: MeshFinder) -> FoundFace | None:
    """`found` with the lean that further looks agree on; None where they do not agree."""
    again, mirrored = find_mesh(ImageOps.crop(found.crop, _CLOSER_BY)), find_mesh(ImageOps.mirror(found.crop))
    first = roll_of(found.mesh)
    straight = first if again is None else (first + roll_of(again)) / 2
    residual = straight if mirrored is None else (straight - roll_of(mirrored)) / 2
    if abs(residual - first) > _DISAGREE_DEG / 2:
        return None
    return replace(found, roll_deg=_within_half_turn(found.crop_roll_deg + residual))


def _positions(length: int, side: int) -> list[int]:
    """Left edges of windows of `side` that cover `length`, overlapping by at least the faces looked for in them."""
    if length <= side:
        return [0]
    count = math.ceil((length - side) / (side * _STRIDE)) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def _rotate(point: tuple[float, float], degrees: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * point[0] - sin * point[1], sin * point[0] + cos * point[1]


def _to_upright(mesh: Points, roll_deg: float) -> Points:
    turned = np.array(mesh, dtype=np.float64)
    turned[:, 0], turned[:, 1] = _rotate_arrays(mesh, -roll_deg)
    return turned


def _from_crop(mesh: Points, centre: tuple[float, float], scale: float, roll_deg: float) -> Points:
    back: Points = (np.array(mesh, dtype=np.float64) - np.array([CROP_SIDE / 2, CROP_SIDE / 2, 0.0])) * scale
    back[:, 0], back[:, 1] = _rotate_arrays(back, roll_deg)
    back += np.array([centre[0], centre[1], 0.0])
    return back


def _rotate_arrays(mesh: Points, degrees: float) -> tuple[Points, Points]:
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * mesh[:, 0] - sin * mesh[:, 1], sin * mesh[:, 0] + cos * mesh[:, 1]


def _within_half_turn(degrees: float) -> float:
    return (degrees + 180.0) % 360.0 - 180.0
