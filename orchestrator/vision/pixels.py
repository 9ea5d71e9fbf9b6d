"""What can be told from the pixels alone: near-duplicates and sharpness. Needs no extra."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from orchestrator.vision import distance

#: Variances below this are those of an even surface; keeps the logarithm finite.
_LOWEST_VARIANCE = 1e-3


def difference_hash(image: Image.Image) -> int:
    """64-bit difference hash: is each of 8×8 places darker than its right neighbour, in a picture reduced to 9×8 grey
    pixels.

    Blur, JPEG, brightness and resizing change 0-2 bits, another picture about 32 (measured on photographs: 25-31).
    """
    small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.LANCZOS), dtype=np.int16)
    bits = (small[:, 1:] > small[:, :-1]).flatten()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def both_hashes(image: Image.Image) -> tuple[int, int]:
    """The hashes of the picture and of its mirror image."""
    return difference_hash(image), difference_hash(ImageOps.mirror(image))


def colours(image: Image.Image) -> str:
    """The picture reduced to 16×16 RGB pixels, as hex; see `distance.colour_difference`."""
    side = distance.COLOURS_SIDE
    return image.convert("RGB").resize((side, side), Image.Resampling.BOX).tobytes().hex()


def sharpness(image: Image.Image, side: int = 512) -> float:
    """log10 of the variance of the 4-neighbour Laplacian of the picture scaled to `side`×`side` grey pixels (values
    0-255).

    The plain variance spans a factor of 300 between a sharp and a badly blurred photograph, hence the logarithm.
    Comparable only between pictures of the same kind.
    """
    grey: NDArray[Any] = np.asarray(
        image.convert("L").resize((side, side), Image.Resampling.BILINEAR), dtype=np.float32
    )
    middle = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    return round(float(np.log10(max(float(laplacian.var()), _LOWEST_VARIANCE))), 4)
