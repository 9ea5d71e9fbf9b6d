"""A painter that costs next to nothing, so that the client is what a throughput run measures.

A few photo-like pictures are compressed once per size. Each request gets one of them whose last rows are its own: the
ready compressed rows, a short tail compressed now, the checksums continued. It is a valid PNG of about the size a photo
has, and its pixels differ with whatever the request asks for.
"""

from __future__ import annotations

import hashlib
import io
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from PIL import PngImagePlugin

from .painting import Order

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_VARIANTS = 4
_SIZES_KEPT = 6
_TAIL_ROWS = 16
_GRAIN = 7.0
"""Standard deviation of the noise, in levels of 255: makes a 512 x 512 PNG about 500 kB, as a photo is."""
_RAW_DEFLATE, _LEVEL = -15, 1


def chunk(kind: bytes, content: bytes) -> bytes:
    """One PNG chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))


def _text(key: str, value: str) -> bytes:
    try:
        return chunk(b"tEXt", key.encode("latin-1") + b"\0" + value.encode("latin-1"))
    except UnicodeEncodeError:
        return chunk(b"iTXt", key.encode() + b"\0\0\0\0\0" + value.encode())


@dataclass(frozen=True)
class _Ready:
    """A picture but for its last rows: header chunk, IDAT chunk with the first rows, their running Adler-32."""

    header: bytes
    rows: bytes
    adler: int
    width: int
    tail_rows: int

    def end(self, digest: bytes) -> bytes:
        """The last rows, blocks of colour that spell the digest, as the final IDAT chunk and the end."""
        colours = [digest[at % 30 : at % 30 + 3] for at in range(0, 3 * (self.width // 8 + 1), 3)]
        row = b"\0" + b"".join(colour * 8 for colour in colours)[: 3 * self.width]
        raw = row * self.tail_rows
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
        packed = packer.compress(raw) + packer.flush(zlib.Z_FINISH)
        return chunk(b"IDAT", packed + struct.pack(">I", zlib.adler32(raw, self.adler))) + chunk(b"IEND", b"")


class PlainPicture(PngImagePlugin.PngImageFile):
    """An image whose PNG needs no encoding; whatever is made from it (resized, filtered) is an ordinary image."""

    def __init__(self, ready: _Ready, digest: bytes) -> None:
        self._parts, self._own_rows = ready, ready.end(digest)
        super().__init__(io.BytesIO(b"".join((_SIGNATURE, ready.header, ready.rows, self._own_rows))))

    def spliced(self, texts: Mapping[Any, Any]) -> bytes:
        """The file with these text chunks."""
        said = [_text(key, value) for key, value in texts.items() if isinstance(key, str) and isinstance(value, str)]
        return b"".join((_SIGNATURE, self._parts.header, *said, self._parts.rows, self._own_rows))


class PlainPainter:
    """Keeps the ready pictures of the last few sizes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ready: OrderedDict[tuple[int, int], list[_Ready]] = OrderedDict()

    def paint(self, order: Order, *more: object) -> PlainPicture:
        """The picture of an order, the same for the same order and `more`."""
        asked = {one.name: getattr(order, one.name) for one in fields(order) if one.name != "init"}
        seen = zlib.crc32(order.init.tobytes()) if order.init is not None else 0
        digest = hashlib.sha256(repr((asked, seen, more)).encode()).digest()
        ready = self._of_size(order.width, order.height)
        return PlainPicture(ready[digest[31] % len(ready)], digest)

    def _of_size(self, width: int, height: int) -> list[_Ready]:
        with self._lock:
            key = (width, height)
            if key not in self._ready:
                self._ready[key] = [_make(width, height, number) for number in range(_VARIANTS)]
            self._ready.move_to_end(key)
            while len(self._ready) > _SIZES_KEPT:
                self._ready.popitem(last=False)
            return self._ready[key]


def _make(width: int, height: int, number: int) -> _Ready:
    import numpy as np

    from ..portrait import SCENES, Background, Portrait, draw

    posed = replace(Portrait(), background=Background(SCENES[number % len(SCENES)], variant=number), noise_seed=number)
    portrait = draw(posed, max(width, 16), max(height, 16)).convert("RGB").resize((width, height))
    noise = np.random.default_rng(number).normal(0.0, _GRAIN, (height, width, 3))
    pixels = np.clip(np.asarray(portrait, dtype=np.float32) + noise, 0, 255).astype(np.uint8)
    tail = min(_TAIL_ROWS, max(height // 4, 1))
    first = pixels[: height - tail]
    filtered = first.copy()
    filtered[:, 1:] -= first[:, :-1]  # PNG's filter 1: the difference to the pixel on the left, modulo 256
    raw = np.hstack([np.ones((height - tail, 1), np.uint8), filtered.reshape(height - tail, width * 3)]).tobytes()
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
    packed = b"\x78\x01" + packer.compress(raw) + packer.flush(zlib.Z_FULL_FLUSH)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return _Ready(header, chunk(b"IDAT", packed), zlib.adler32(raw), width, tail)
