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
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="thumbnails") as pool:
        made = pool.map(lambda path: _thumbnail(path, wanted[path], cache), wanted)
        return dict(zip(wanted, made, strict=True))


def _thumbnail(path: Path, sha256: str, cache: Path) -> str:
    if not sha256:
        return ""
    kept = cache / "thumbnails" / sha256[:2] / f"{sha256}-{SIDE}.webp"
    data = b""
    with contextlib.suppress(OSError):
        data = kept.read_bytes()
    if not data:
        try:
            picture = open_picture(path)
        except PictureError:
            return ""
        picture.thumbnail((SIDE, SIDE))
        stream = io.BytesIO()
        picture.save(stream, "WEBP", quality=_QUALITY, method=2)
        data = stream.getvalue()
        with contextlib.suppress(OrchestratorError, OSError):
            write_bytes(kept, data, durable=False)
    return f"data:image/webp;base64,{base64.b64encode(data).decode('ascii')}"
