"""Pictures on their way in and out: base64, PNG with its `parameters` chunk, grids, files under outputs/."""

from __future__ import annotations

import base64
import binascii
import datetime
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageFilter, ImageOps, PngImagePlugin

from . import disk
from .failures import ServerError, http_error
from .plain import PlainPicture

# zlib level: pictures of drawings shrink hardly more above it, and encoding competes with the client for the processor
_COMPRESSION = 1
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286


def decode(text: Any) -> Image.Image:
    """An image from base64 with or without `data:` prefix. Raises the server's own errors; never fetches anything."""
    if not isinstance(text, str):
        raise ServerError("AttributeError", f"'{type(text).__name__}' object has no attribute 'startswith'")
    if text.startswith(("http://", "https://")):
        raise http_error(500, "Request to local resource not allowed")
    if text.startswith("data:image/"):
        parts = text.split(";", 1)
        if len(parts) < 2 or "," not in parts[1]:
            raise ServerError("IndexError", "list index out of range")
        text = parts[1].split(",", 1)[1]
    try:
        image = Image.open(io.BytesIO(base64.b64decode(text)))
        image.load()
    except (binascii.Error, OSError, ValueError, SyntaxError):
        raise http_error(500, "Invalid encoded image") from None
    return image


def flatten(image: Image.Image, background: str = "#ffffff") -> Image.Image:
    """RGB, transparent parts on the background colour."""
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        over = image.convert("RGBA")
        under = Image.new("RGBA", over.size, background)
        return Image.alpha_composite(under, over).convert("RGB")
    return image.convert("RGB")


def encode(image: Image.Image, form: str = "png", quality: int = 80) -> bytes:
    """The bytes of one picture, its text chunks kept; jpg and webp carry the generation text as EXIF UserComment."""
    out = io.BytesIO()
    if form.lower() in {"jpg", "jpeg", "webp"}:
        exif = Image.Exif()
        text = image.info.get("parameters")
        if isinstance(text, str):
            exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + text.encode("utf-16-be")
        image.convert("RGB").save(out, "WEBP" if form.lower() == "webp" else "JPEG", quality=quality, exif=exif)
    elif isinstance(image, PlainPicture):
        return image.spliced(image.info)
    else:
        chunks = PngImagePlugin.PngInfo()
        for key, value in image.info.items():
            if isinstance(key, str) and isinstance(value, str):
                chunks.add_text(key, value)
        image.save(out, "PNG", pnginfo=chunks, compress_level=_COMPRESSION)
    return out.getvalue()


def stored_text(image: Image.Image) -> tuple[str, dict[str, Any]]:
    """(generation text, all other text items) of a picture, as /png-info tells them."""
    items: dict[str, Any] = {
        str(key): value for key, value in image.info.items() if isinstance(value, (str, int, float))
    }
    text = str(items.pop("parameters", ""))
    if not text:
        comment = image.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT)
        if isinstance(comment, bytes) and comment.startswith(b"UNICODE\0"):
            text = comment[8:].decode("utf-16-be", "replace")
    return text, {**items, "parameters": text} if text else items


def fit(image: Image.Image, width: int, height: int, mode: int) -> Image.Image:
    """The init picture at the asked size: 0 stretch, 1 crop, 2 fill the rest with a blurred copy, 3 like 0."""
    size = (width, height)
    if mode == 1:
        return ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    if mode == 2:
        inside = ImageOps.contain(image, size, Image.Resampling.LANCZOS)
        whole = image.resize(size).filter(ImageFilter.GaussianBlur(max(size) / 16))
        whole.paste(inside, ((width - inside.width) // 2, (height - inside.height) // 2))
        return whole
    return image.resize(size, Image.Resampling.LANCZOS)


def half_denoised(image: Image.Image, share: float, seed: int) -> Image.Image:
    """What an interrupted job hands over: blurred and noisy, the more the less of it was sampled."""
    import numpy as np

    rest = 1.0 - share
    blurred = image.filter(ImageFilter.GaussianBlur(rest * max(image.size) / 24))
    noise = np.random.default_rng([seed & 0xFFFFFFFF, 7]).normal(0.0, 90.0 * rest, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(blurred, dtype=np.float32) + noise, 0, 255).astype(np.uint8))


def one_level_off(image: Image.Image, *key: int) -> Image.Image:
    """The same picture with some pixels one level brighter: batches, and img2img after another job, are not
    byte-identical."""
    import numpy as np

    pixels = np.asarray(image).copy()
    picked = np.random.default_rng([value & 0xFFFFFFFF for value in key]).random(pixels.shape[:2]) < 0.02
    pixels[picked] = np.where(pixels[picked] < 255, pixels[picked] + 1, pixels[picked])
    return Image.fromarray(pixels)


def contact_sheet(images: Sequence[Image.Image], rows: int | None = None) -> Image.Image:
    """The images row by row without gaps; as square as possible when no number of rows is given."""
    rows = min(rows or round(math.sqrt(len(images))), len(images))
    columns = math.ceil(len(images) / rows)
    width, height = max(i.width for i in images), max(i.height for i in images)
    sheet = Image.new("RGB", (columns * width, rows * height), "black")
    for at, image in enumerate(images):
        sheet.paste(image, (at % columns * width, at // columns * height))
    return sheet


def save(image: Image.Image, folder: Path, prefix: str, ending: str) -> Path:
    """Write into today's folder under the next free number: `PREFIXNNNNN-ENDING.png` or `PREFIX-NNNN[-ENDING].png`."""
    today = folder / datetime.date.today().isoformat()
    numbers = [int(found.group(1)) for p in today.glob(f"{prefix}*.png") if (found := _number(p.stem, prefix))]
    following = max(numbers, default=-1) + 1
    number = f"{prefix}-{following:04d}" if prefix else f"{following:05d}"
    path = today / f"{number}{f'-{ending}' if ending else ''}.png"
    disk.write_whole(path, encode(image))
    return path


def _number(stem: str, prefix: str) -> re.Match[str] | None:
    return re.match(rf"{re.escape(prefix)}-?(\d+)", stem)
