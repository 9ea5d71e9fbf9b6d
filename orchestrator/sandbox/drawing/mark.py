"""The word "simulated" in a corner of every picture."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont


@lru_cache(maxsize=16)
def _stamp(width: int, height: int) -> Image.Image:
    size = max(7.0, min(width, height) * 0.030)
    word = "simulated" if width >= 96 else "sim"
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(word)
    pad = size * 0.42
    box = (int(right - left + 2 * pad), int(bottom - top + 1.6 * pad))
    stamp = Image.new("RGBA", box, (0, 0, 0, 0))
    pen = ImageDraw.Draw(stamp)
    pen.rounded_rectangle((0, 0, box[0] - 1, box[1] - 1), radius=box[1] * 0.35, fill=(24, 28, 36, 120))
    pen.text((pad - left, 0.8 * pad - top), word, font=font, fill=(255, 255, 255, 225))
    return stamp


def stamp(image: Image.Image) -> None:
    """Put the mark into the bottom right corner of an RGB picture, in place."""
    mark = _stamp(*image.size)
    gap = max(1, round(min(image.size) * 0.012))
    image.paste(mark, (image.width - mark.width - gap, image.height - mark.height - gap), mark)
