"""TensorBoard's event files, written by hand: records with checksums (TFRecord) around three small protobuf messages.

From tensorflow's record_writer.cc, crc32c.h, event.proto and summary.proto. Written as PyTorch's SummaryWriter does:
a version record first, then one record for each scalar.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

_POLYNOMIAL = 0x82F63B78  # Castagnoli, reflected
_MASK_DELTA = 0xA282EAD8


def _table() -> tuple[int, ...]:
    made = []
    for byte in range(256):
        left = byte
        for _ in range(8):
            left = left >> 1 ^ (_POLYNOMIAL if left & 1 else 0)
        made.append(left)
    return tuple(made)


_TABLE = _table()


def checksum(data: bytes) -> int:
    """The masked CRC-32C of a record."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def record(content: bytes) -> bytes:
    """One TFRecord: length, its checksum, the content, its checksum."""
    length = struct.pack("<Q", len(content))
    return length + struct.pack("<I", checksum(length)) + content + struct.pack("<I", checksum(content))


def scalar(tag: str, value: float, step: int, wall_s: float) -> bytes:
    """An event with one scalar. `wall_s`: seconds since 1970."""
    name = tag.encode("utf-8")
    entry = b"\x0a" + _number(len(name)) + name + b"\x15" + struct.pack("<f", value)
    summary = b"\x0a" + _number(len(entry)) + entry
    return b"\x09" + struct.pack("<d", wall_s) + b"\x10" + _number(step) + b"\x2a" + _number(len(summary)) + summary


def _number(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


class EventFile:
    """One event file in `folder`, which is made."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        name = f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}.0"
        self._stream = (folder / name).open("ab")
        version = b"brain.Event:2"
        self._stream.write(record(b"\x09" + struct.pack("<d", now) + b"\x1a" + _number(len(version)) + version))
        self._stream.flush()

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Append one event for each value. accelerate flushes after each group of them."""
        now = time.time()
        self._stream.write(b"".join(record(scalar(tag, value, step, now)) for tag, value in values.items()))
        self._stream.flush()
