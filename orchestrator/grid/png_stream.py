"""PNGs of any size written strip by strip, in the memory of a few strips.

Pillow holds a whole picture, at four bytes a pixel, before it writes the first byte. Here rows are filtered by numpy
and packed by zlib, both outside the interpreter's lock, in segments that know nothing of each other: one thread a
processor, while the caller decodes what comes next. Sources: PNG specification (W3C, 3rd edition) §5, §9, §11; RFC
1950 and 1951 (segments end on a byte, so that they can be joined); zlib's `adler32_combine`.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from orchestrator.files import beside

Strip = npt.NDArray[np.uint8]

#: Larger sides cannot be written into the header.
MAX_SIDE: Final = (1 << 31) - 1
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = 3
#: Bytes of pixels in a segment: small enough to stay in a processor's cache, large enough to pack well.
_SEGMENT: Final = 1 << 20
_SAMPLE: Final = 1 << 15
#: Texts longer than this are packed.
_PLAIN_TEXT: Final = 1000
_SUB, _UP, _AVERAGE = 1, 2, 3
_ADLER: Final = 65521


def write(path: Path, size: tuple[int, int], strips: Iterable[Strip], *, text: Mapping[str, str] | None = None) -> Path:
    """Write an RGB picture of `size` (width, height); its rows arrive in `strips`, from the top, each (rows, width, 3).

    `text` goes into iTXt chunks before the pixels, where readers find it without unpacking any: keywords of 1 to 79
    Latin letters. A strip may be dropped by the caller as soon as the next one is asked for. Nothing is left behind
    when it fails; a file that was there stays. Raises `StorageError`, ValueError when the strips are not of that size,
    and what `strips` raises.
    """
    width, height = size
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise ValueError(f"a PNG of {width}×{height} pixels cannot be written")
    with beside(path) as temporary, temporary.open("wb") as stream:
        stream.write(_SIGNATURE)
        # 8 bits a channel, RGB, the one way of packing and filtering there is, not interlaced
        _chunk(stream, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        for keyword, value in (text or {}).items():
            _chunk(stream, b"iTXt", _international(keyword, value))
        _pixels(stream, _segments(width, height, strips))
        _chunk(stream, b"IEND", b"")
    return path


def read_size(path: Path) -> tuple[int, int] | None:
    """(width, height) of a PNG from its header, whatever its size; None for any other file. Raises OSError."""
    with path.open("rb") as stream:
        head = stream.read(24)
    if len(head) < 24 or head[:8] != _SIGNATURE or head[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def _segments(width: int, height: int, strips: Iterable[Strip]) -> Iterator[tuple[Strip, Strip]]:
    """(rows, the row above them) in the order they are written; rows as (count, bytes)."""
    stride = width * _CHANNELS
    count = max(1, _SEGMENT // stride)
    above: Strip = np.zeros(stride, np.uint8)
    done = 0
    for strip in strips:
        if strip.dtype != np.uint8 or strip.shape[1:] != (width, _CHANNELS) or done + len(strip) > height:
            raise ValueError(f"a strip of {strip.shape} after {done} of {height} rows of {width} pixels")
        rows = np.ascontiguousarray(strip).reshape(len(strip), stride)
        for start in range(0, len(rows), count):
            segment = rows[start : start + count]
            yield segment, above
            # A copy, so that the strip can go.
            above = segment[-1].copy()
        done += len(rows)
    if done != height:
        raise ValueError(f"{done} of {height} rows")


def _pixels(stream: BinaryIO, segments: Iterator[tuple[Strip, Strip]]) -> None:
    workers = min(8, os.cpu_count() or 1)
    adler = 1
    waiting: deque[Future[tuple[bytes, int, int]]] = deque()
    head = b"\x78\x01"

    def write_first() -> None:
        nonlocal adler, head
        packed, sum_of_it, length = waiting.popleft().result()
        _chunk(stream, b"IDAT", head + packed)
        head = b""
        adler = _combined(adler, sum_of_it, length)

    with ThreadPoolExecutor(workers, thread_name_prefix="png") as pool:
        try:
            for rows, above in segments:
                waiting.append(pool.submit(_packed, rows, above))
                if len(waiting) > workers + 1:
                    write_first()
            while waiting:
                write_first()
        except BaseException:
            for future in waiting:
                future.cancel()
            raise
    # An empty last block ends the stream.
    _chunk(stream, b"IDAT", head + b"\x03\x00" + struct.pack(">I", adler))


def _packed(rows: Strip, above: Strip) -> tuple[bytes, int, int]:
    """Rows filtered and packed so that the next segment can be appended; their sum and length before packing."""
    data = _filtered(rows, above).reshape(-1).data
    middle = max(0, len(data) // 2 - _SAMPLE // 2)
    sample = data[middle : middle + _SAMPLE]
    # Drawings and labels repeat themselves, photographs hardly; a sample tells which way packs this segment better.
    strategy = min((zlib.Z_DEFAULT_STRATEGY, zlib.Z_RLE), key=lambda way: len(_deflated(sample, way)))
    return _deflated(data, strategy), zlib.adler32(data), len(data)


def _deflated(data: memoryview, strategy: int) -> bytes:
    packer = zlib.compressobj(2, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy)
    return packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)


def _filtered(rows: Strip, above: Strip) -> Strip:
    """Each row behind the byte that names its filter: the one that leaves the smallest differences, as libpng chooses.

    Of the five filters, "none" and Paeth's are not tried: the first hardly ever wins, and Paeth costs more in numpy
    than all others for less than a hundredth of the bytes.
    """
    up = np.concatenate([above[None], rows[:-1]])
    left = np.zeros_like(rows)
    left[:, _CHANNELS:] = rows[:, :-_CHANNELS]
    # (left + up) // 2 without leaving bytes
    average = (left >> 1) + (up >> 1) + (left & up & 1)
    tried = ((_SUB, rows - left), (_UP, rows - up), (_AVERAGE, rows - average))
    costs = np.stack([np.abs(one.view(np.int8)).view(np.uint8).sum(1, dtype=np.uint32) for _, one in tried])
    best = costs.argmin(0)
    result: Strip = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    for index, (kind, one) in enumerate(tried):
        chosen = best == index
        result[chosen, 0] = kind
        result[chosen, 1:] = one[chosen]
    return result


def _combined(first: int, second: int, length: int) -> int:
    """The Adler-32 of two pieces of data joined, of their sums and the length of the second."""
    a1, b1, a2, b2 = first & 0xFFFF, first >> 16, second & 0xFFFF, second >> 16
    a = (a1 + a2 - 1) % _ADLER
    b = (b1 + b2 + length * (a1 - 1)) % _ADLER
    return b << 16 | a


def _international(keyword: str, value: str) -> bytes:
    key = keyword.encode("latin-1")
    if not 0 < len(key) < 80:
        raise ValueError(f"{keyword!r} is no keyword of a PNG")
    data = value.encode("utf-8")
    packed = len(data) > _PLAIN_TEXT
    # keyword, whether and how it is packed, then no language and no translated keyword
    return key + (b"\0\1\0\0\0" + zlib.compress(data, 6) if packed else b"\0\0\0\0\0" + data)


def _chunk(stream: BinaryIO, kind: bytes, data: bytes) -> None:
    stream.write(struct.pack(">I", len(data)) + kind)
    stream.write(data)
    stream.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))
