"""Whether a picture has the detail its size promises. An enlarged one has none of the finest.

Numpy and Pillow only. Enlarging (bilinear, bicubic, Lanczos) invents nothing: above the old picture's finest detail the
spectrum falls away, whereas in photographs and drawings it goes on falling slowly. A blur does the same to a picture,
and teaches the same. What a network enlarged has fine detail of its own and cannot be told.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_TILE = 128
#: Tiles along each side: 16 in all see enough of any picture.
_MOST_TILES = 4
#: Shares of the finest frequency there is: the coarse ones, and the fine ones.
_COARSE, _FINE = (0.1, 0.2), (0.6, 0.9)
#: log10 of the coarse power below which there is nothing to compare: an even wall.
_TOO_EVEN = 5.0
#: Two values a pixel apart in one of the 8-bit steps: keeps the logarithm finite.
_LOWEST_POWER = 1e-3


def fine_detail(image: Image.Image) -> float | None:
    """log10 of the power of fine by that of coarse detail, at the picture's own size.

    Measured: photographs and drawings -1.2 … -2.8, enlarged twice -3.1 … -4.6. None for pictures that are too small
    (a side under 128 pixels) or too even.
    """
    grey = np.asarray(image.convert("L"), dtype=np.float32)
    height, width = grey.shape
    if min(height, width) < _TILE:
        return None
    power: NDArray[Any] = np.zeros((_TILE, _TILE))
    for top in _places(height):
        for left in _places(width):
            tile = grey[top : top + _TILE, left : left + _TILE]
            power += np.abs(np.fft.fft2((tile - tile.mean()) * _WINDOW)) ** 2
    coarse, fine = (_log_mean(power, band) for band in (_COARSE, _FINE))
    return None if coarse < _TOO_EVEN else round(fine - coarse, 3)


def _places(length: int) -> list[int]:
    count = min(_MOST_TILES, length // _TILE)
    return [int(place) for place in np.linspace(0, length - _TILE, count)]


def _log_mean(power: NDArray[Any], band: tuple[float, float]) -> float:
    chosen = power[(band[0] <= _RADIUS) & (band[1] > _RADIUS)]
    return float(np.log10(max(float(chosen.mean()), _LOWEST_POWER)))


_WINDOW = np.outer(np.hanning(_TILE), np.hanning(_TILE)).astype(np.float32)
_AXIS = np.abs(np.fft.fftfreq(_TILE)) * 2
# Enlarging is done along the rows and along the columns: what is missing has the shape of a square.
_RADIUS = np.maximum(_AXIS[:, None], _AXIS[None, :])
