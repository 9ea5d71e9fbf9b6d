"""Small copies of pictures as data: addresses, made once for each content."""

from __future__ import annotations

import base64
import contextlib
import io
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestrator.errors import OrchestratorError, PictureError
from orchestrator.files import open_picture, write_bytes

#: The longer side, in pixels; 3 to 5 kB each.
SIDE = 176
_QUALITY = 72


def thumbnails(pictures: Iterable[tuple[Path, str]], cache: Path) -> dict[Path, str]:
    """(path, sha256) of pictures → data: addresses; an empty one for what cannot be read. Kept below `cache`."""
    wanted = dict(pictures)
    folder = cache / "thumbnails"
    found = {path: _kept(folder, sha256) if sha256 else b"" for path, sha256 in wanted.items()}
    missing = [path for path, data in found.items() if wanted[path] and not data]
    if missing:
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="thumbnails") as pool:
            made = pool.map(lambda path: _make(path, folder, wanted[path]), missing)
            found.update(zip(missing, made, strict=True))
    return {path: _address(data) if data else "" for path, data in found.items()}


def _kept(folder: Path, sha256: str) -> bytes:
    with contextlib.suppress(OSError):
        return _file(folder, sha256).read_bytes()
    return b""


def _make(path: Path, folder: Path, sha256: str) -> bytes:
    try:
        picture = open_picture(path)
    except PictureError:
        return b""
    picture.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=_QUALITY, method=2)
    data = stream.getvalue()
    with contextlib.suppress(OrchestratorError, OSError):
        write_bytes(_file(folder, sha256), data, durable=False)
    return data


def _file(folder: Path, sha256: str) -> Path:
    return folder / sha256[:2] / f"{sha256}-{SIDE}.webp"


def _address(data: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(data).decode('ascii')}"
