"""What is measured on one picture, and the words for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Framing = Literal["close-up", "upper body", "full body"]

#: Face height (forehead to chin of the mesh, without hair) as a share of the picture's height. A person standing whole
#: in the picture gives about 0.09, head to waist about 0.25, a face that fills the picture 0.4 and more; the limits lie
#: between those.
CLOSE_UP_FROM = 0.32
UPPER_BODY_FROM = 0.16

#: Values of `Measurement.missing`; the other two begin with `not measured:` and `unreadable:`.
NO_FACE = "no face found"
TOO_SMALL = "face too small"
NOT_MEASURED = "not measured:"
UNREADABLE = "unreadable:"


@dataclass(frozen=True)
class Face:
    """The face of a picture. Angles in degrees.

    `roll_deg`: + = leaning clockwise on screen; measured to better than 1°. `yaw_deg`: + = turned to screen left;
    `pitch_deg`: + = chin down. Yaw and pitch are for comparing pictures, not absolute (yaw is compressed by about 0.7,
    pitch has a constant offset of about +7°). `box` is x, y, width, height in pixels of the picture. `height_ratio` is
    the upright face's height by the picture's height. `sharpness` is log10 of the variance of the 4-neighbour Laplacian
    on the face, scaled to one size for all faces.
    """

    roll_deg: float
    yaw_deg: float
    pitch_deg: float
    box: tuple[int, int, int, int]
    height_ratio: float
    sharpness: float
    framing: Framing


@dataclass(frozen=True)
class Measurement:
    """Everything measured on one picture.

    `sharpness`: log10 of the variance of the 4-neighbour Laplacian of the picture at 512×512. `dhash`, `dhash_mirror`:
    64-bit difference hashes of the picture and of its mirror image. `face` is None when the angles are not known;
    `identity` is None when the person is not (128 numbers of the embedding `embedding_name`). `missing` says why one of
    them is None: `no face found`, `face too small` (angles are measured, identity is not), `not measured: …`,
    `unreadable: …` (then the size is 0×0), or nothing.
    """

    sha256: str
    width: int
    height: int
    sharpness: float
    dhash: int
    dhash_mirror: int
    #: The picture as 16×16 RGB pixels, 768 bytes in hex: what a hash of 64 bits cannot tell apart.
    colours: str = ""
    face: Face | None = None
    identity: tuple[float, ...] | None = None
    missing: str = ""
    embedding_name: str = ""
    #: How many faces: 0, 1, or 2 for more than one; None = not looked for.
    faces: int | None = None
    #: The program that looked for the face: "mediapipe FaceMesh", "mediapipe FaceLandmarker" or "" (not looked for).
    backend: str = ""

    @property
    def readable(self) -> bool:
        """Whether the file is a picture at all."""
        return self.width > 0

    @property
    def looked(self) -> bool:
        """Whether somebody looked for a face; then no face means that there is none to be found."""
        return bool(self.backend)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; the hashes as hex, since a browser's numbers end at 53 bits."""
        return asdict(self) | {"dhash": f"{self.dhash:016x}", "dhash_mirror": f"{self.dhash_mirror:016x}"}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Measurement:
        """The inverse of `to_dict`. Raises KeyError, TypeError or ValueError for anything else."""
        face, identity = data["face"], data["identity"]
        return cls(
            **data
            | {
                "dhash": int(data["dhash"], 16),
                "dhash_mirror": int(data["dhash_mirror"], 16),
                "face": None if face is None else Face(**face | {"box": tuple(face["box"])}),
                "identity": None if identity is None else tuple(float(value) for value in identity),
            }
        )


@dataclass(frozen=True)
class VisionStatus:
    """Whether faces (`available`) and persons (`identity`) can be measured here, by what, and what to do when not."""

    available: bool
    backend: str
    identity: bool
    advice: str


def framing_of(height_ratio: float) -> Framing:
    """The framing of a picture whose face has this share of its height (0…1)."""
    if height_ratio >= CLOSE_UP_FROM:
        return "close-up"
    return "upper body" if height_ratio >= UPPER_BODY_FROM else "full body"
