"""`.safetensors` files read without torch: header, completeness, NaN, the hash A1111 shows.

Format: 8 bytes little-endian length of the header, the header as JSON, the tensors' bytes.
(https://github.com/huggingface/safetensors, "Format".)
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.errors import InputError
from orchestrator.files import storage_error

#: safetensors' own limit for a header; a real LoRA file's has 50 to 300 KB.
MAX_HEADER = 100_000_000
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Tensor:
    """One tensor's place: `dtype` as in the file (F16, BF16, F32 …), `start` and `end` in bytes after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    """What stands before the weights. `complete` = the file is exactly as long as its header says."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, Tensor]
    length: int
    complete: bool


def read_header(path: Path) -> Header:
    """The header of a `.safetensors` file; a truncated body gives `complete` False.

    Raises `InputError` when there is no readable header at all (also for hostile ones: wrong length, no JSON,
    impossible offsets).
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 10 or length < 2:
                raise _broken(path, "it is empty or was cut off at the beginning")
            if length > MAX_HEADER:
                raise _broken(path, f"its header claims {length} bytes")
            if length > size - 8:
                raise _broken(path, "it was cut off inside its header")
            raw = stream.read(length)
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.") from None
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise _broken(path, "its header is no JSON") from None
    if not isinstance(value, dict):
        raise _broken(path, "its header is no JSON object")
    metadata = value.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise _broken(path, "its metadata is no table")
    tensors = {name: _tensor(path, name, entry) for name, entry in value.items()}
    end = max((tensor.end for tensor in tensors.values()), default=0)
    return Header(
        metadata={str(key): text for key, text in metadata.items() if isinstance(text, str)},
        tensors=tensors,
        length=length,
        complete=bool(tensors) and 8 + length + end == size,
    )


def is_complete(path: Path) -> bool:
    """Whether the file exists and is whole; False for anything that is no `.safetensors` file."""
    try:
        facts = path.stat()
    except OSError:
        return False
    return _is_complete(path, facts.st_size, facts.st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _is_complete(path: Path, _size: int, _mtime_ns: int) -> bool:
    # A run's eighty files are asked about several times before each start, 4 ms each. What was cut off and is whole now
    # has another size.
    try:
        return read_header(path).complete
    except InputError:
        return False


def not_finite(path: Path, header: Header | None = None) -> list[str]:
    """The names of the tensors that hold NaN or infinity. Reads the weights once, in blocks. Raises `InputError`.

    A number is NaN or infinite when all bits of its exponent are ones (IEEE 754; bfloat16 likewise). Told from the
    bytes, so that whoever supervises a training needs no numpy (23 MB); 0.15 s for a LoRA file of 38 MB.
    """
    known = header or read_header(path)
    if not known.complete:
        raise _broken(path, "it was cut off")
    found: list[str] = []
    try:
        with path.open("rb") as stream:
            for name, tensor in known.tensors.items():
                if tensor.dtype in _EXPONENTS and _bad_numbers(stream, 8 + known.length, tensor):
                    found.append(name)
    except OSError as error:
        raise storage_error(error, path) from error
    return found


#: Bytes of a number and, in the byte below its highest, the bits that belong to the exponent; the highest byte holds
#: the sign and seven bits of it (half precision: five, and all within that byte).
_EXPONENTS = {"F16": (2, 0), "BF16": (2, 0x80), "F32": (4, 0x80), "F64": (8, 0xF0)}
_HALF_ONES = bytes(byte for byte in range(256) if byte & 0x7C == 0x7C)


def _bad_numbers(stream: BinaryIO, body: int, tensor: Tensor) -> bool:
    width, below = _EXPONENTS[tensor.dtype]
    stream.seek(body + tensor.start)
    left = tensor.end - tensor.start
    while left > 0 and (data := stream.read(min(left, 4 * _BLOCK))):
        left -= len(data)
        high = data[width - 1 :: width]
        if tensor.dtype == "F16":
            if len(high.translate(None, _HALF_ONES)) != len(high):
                return True
        # Weights near 1e38 begin with these bytes too: only then is every number looked at.
        elif b"\x7f" in high or b"\xff" in high:
            second = data[width - 2 :: width]
            if any(a & 0x7F == 0x7F and b & below == below for a, b in zip(high, second, strict=True)):
                return True
    return False


def shown_hash(path: Path, header: Header | None = None) -> str:
    """The 64 digits whose first 12 A1111 shows as "Lora hashes": sshs_model_hash, or where it is absent the sha256
    after the header.
    """
    known = header or read_header(path)
    stored = known.metadata.get("sshs_model_hash", "")
    if stored and stored != "None":
        return stored
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            stream.seek(8 + known.length)
            while block := stream.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise storage_error(error, path) from error
    return digest.hexdigest()


#: Bytes per value of each dtype of the format; sub-byte ones are not used by any LoRA.
_SIZES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2}
_SIZES |= {"I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8}


def _tensor(path: Path, name: str, entry: Any) -> Tensor:
    try:
        dtype, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        numbers = (*shape, start, end)
        if (
            not isinstance(dtype, str)
            or len(shape) > 16
            or not all(type(n) is int and n >= 0 for n in numbers)
            or end < start
        ):
            raise ValueError
        count = 1
        for side in shape:
            count *= side
        if dtype in _SIZES and count * _SIZES[dtype] != end - start:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise _broken(path, f"the entry of tensor {name[:60]!r} makes no sense") from None
    return Tensor(dtype, shape, start, end)


def _broken(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} is no usable .safetensors file: {why}.",
        cause="It was not written to its end, or it is another kind of file.",
        fix="Make it again (run the same training command), or copy it again.",
    )
