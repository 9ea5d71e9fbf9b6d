"""TensorBoard's event files, read without TensorBoard: what sd-scripts logs of each step.

An event file is a row of TFRecords (tensorflow/core/lib/io/record_writer.h): length (uint64, little endian), its
masked CRC-32C, so many bytes of an `Event` protobuf, their masked CRC-32C. Of `Event` (event.proto) wall_time = 1,
step = 2 and summary = 5 are read, of `Summary.Value` (summary.proto) tag = 1, simple_value = 2 and tensor = 8.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

#: No scalar's record is nearly as long; a length beyond it is a damaged one.
_LONGEST = 1 << 26


@dataclass(frozen=True)
class Scalar:
    """One logged number: `tag` as sd-scripts names it (`loss/current`, `lr/unet`), `wall_time` in seconds since
    1970.
    """

    tag: str
    step: int
    value: float
    wall_time: float


def event_files(folder: Path) -> list[Path]:
    """All event files below a logging folder, sorted by the time in their names."""
    return sorted(folder.rglob("events.out.tfevents.*"), key=lambda path: (path.name, str(path)))


def started_at(path: Path) -> float | None:
    """When an event file was begun, in seconds since 1970; None for one without a whole record."""
    with path.open("rb") as stream:
        for record in _records(stream):
            for number, value in _fields(record):
                if number == 1 and isinstance(value, bytes) and len(value) == 8:
                    return float(struct.unpack("<d", value)[0])
            break
    return None


def read_scalars(path: Path) -> Iterator[Scalar]:
    """The numbers of an event file in the order they were logged.

    The file may still be written, or have been cut off: reading ends at the first record that is not whole.
    """
    with path.open("rb") as stream:
        for record in _records(stream):
            yield from _scalars(record)


def _records(stream: BinaryIO) -> Iterator[bytes]:
    while len(head := stream.read(12)) == 12:
        length, check = struct.unpack("<QI", head)
        if check != _masked_crc(head[:8]) or length > _LONGEST:
            return
        body = stream.read(length + 4)
        if len(body) < length + 4:
            return
        yield body[:length]


def _scalars(record: bytes) -> Iterator[Scalar]:
    wall_time, step, summaries = 0.0, 0, []
    for number, value in _fields(record):
        if number == 1 and isinstance(value, bytes) and len(value) == 8:
            (wall_time,) = struct.unpack("<d", value)
        elif number == 2 and isinstance(value, int):
            step = value
        elif number == 5 and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for number, entry in _fields(summary):
            if number == 1 and isinstance(entry, bytes):
                tag, logged = _value(entry)
                if logged is not None:
                    yield Scalar(tag, step, logged, wall_time)


def _value(entry: bytes) -> tuple[str, float | None]:
    tag, logged = "", None
    for number, value in _fields(entry):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            tag = value.decode("utf-8", errors="replace")
        elif number == 2 and len(value) == 4:
            logged = _float(value)
        elif number == 8:  # newer writers: a tensor with one float, raw (4) or as a list (5)
            for inner, data in _fields(value):
                if inner in {4, 5} and isinstance(data, bytes) and len(data) == 4:
                    logged = _float(data)
    return tag, logged


def _float(data: bytes) -> float:
    # Stored with 24 bits: 1e-4 comes back as 9.99999974e-05, and more than 7 digits are noise.
    return float(f"{struct.unpack('<f', data)[0]:.7g}")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: numbers as int, everything else as its bytes. Ends where it makes no sense."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
        else:
            return
        if at + size > end:
            return
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return value, at


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()


def _masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
