"""Small copies of pictures for a report: one to look at and one for the page, named by content."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from orchestrator.errors import PictureError
from orchestrator.files import open_picture, sha256_file, write_bytes
from orchestrator.grid import png_stream
from orchestrator.grid.manifest import Manifest, SheetEntry
from orchestrator.grid.sheet import preview
from orchestrator.report.content import ReportContent, ReportPicture

FOLDER = "pictures"
#: The longer side of the copy on the page.
THUMB = 192
# WebP at these settings: 512×512 in 6 ms and 12 to 30 kB; JPEG of the same look takes twice the bytes.
_QUALITY = 80
_METHOD = 2
_OURS = re.compile(r"^[0-9a-f]{20}-\d+\.(webp|jpg)$")


@dataclass(frozen=True)
class Copy:
    """Where a picture's copies lie, relative to the report; both empty when it could not be read, with the reason in
    `error`.
    """

    full: str = ""
    thumb: str = ""
    width: int = 0
    height: int = 0
    error: str = ""


def all_pictures(content: ReportContent) -> Iterator[ReportPicture]:
    """Every picture a report names, in reading order."""
    for deciding in content.deciding:
        yield deciding.picture
    for observed in content.observations:
        yield observed.picture
    for seed in content.scout.seeds if content.scout else ():
        if seed.picture is not None:
            yield seed.picture
    for version in content.versions:
        for group in version.dataset.groups if version.dataset else ():
            yield from group.pictures


def full_side(count: int) -> int:
    """The longer side of the copies to look at, in pixels: smaller in a report of very many pictures, so that it can
    be sent.
    """
    return 512 if count <= 400 else 384 if count <= 1000 else 256


def copy_pictures(paths: Iterable[Path], report: Path, side: int) -> dict[Path, Copy]:
    """Copies of every picture, at most `side` pixels long. What is there already is not encoded again. Raises
    `StorageError`.
    """
    wanted = list(dict.fromkeys(paths))
    # Decoding and encoding happen outside the interpreter's lock.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="copies") as pool:
        return dict(zip(wanted, pool.map(lambda path: _copy(path, report, side), wanted), strict=True))


def copy_sheet(
    folder: Path, manifest: Manifest, sheet: SheetEntry, report: Path, *, side: int = 4096, thumb: int = 720
) -> Copy:
    """A JPEG of one of a grid's sheets and a small one of it. The sheet itself stays in the grid's `folder`."""
    path = folder / sheet.file
    try:
        size = png_stream.read_size(path) or (0, 0)
        digest = sha256_file(path)[:20]
    except OSError as error:
        return Copy(error=f"{path.name} cannot be read: {error.strerror or error}")
    # Sheets may be larger than any picture we would open.
    return _copied(digest, size, report, (side, thumb), "JPEG", lambda: preview(folder, manifest, sheet, side))


def remove_unused(report: Path, used: Iterable[str]) -> None:
    """Take away copies an earlier report left here; files that are not named as ours stay."""
    keep = {name.rpartition("/")[2] for name in used}
    folder = report / FOLDER
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name not in keep and _OURS.match(path.name):
            path.unlink(missing_ok=True)


def _copy(path: Path, report: Path, side: int) -> Copy:
    return _encode(path, report, side, THUMB, "WEBP")


def _encode(path: Path, report: Path, side: int, thumb: int, kind: str) -> Copy:
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:20]
        with Image.open(path) as header:
            size = header.size
    except OSError as error:
        return Copy(error=f"{path.name} cannot be read: {error.strerror or 'it is not a picture in a format we know'}")
    return _copied(digest, size, report, (side, thumb), kind, lambda: open_picture(path))


def _copied(
    digest: str,
    size: tuple[int, int],
    report: Path,
    sides: tuple[int, int],
    kind: str,
    opened: Callable[[], Image.Image],
) -> Copy:
    suffix = "webp" if kind == "WEBP" else "jpg"
    names = {side: f"{FOLDER}/{digest}-{side}.{suffix}" for side in sides}
    missing = {side: name for side, name in names.items() if not _is_there(report / name)}
    if missing:
        try:
            picture = opened()
        except PictureError as error:
            return Copy(error=error.what)
        for side, name in sorted(missing.items(), reverse=True):
            # The smaller one from the larger: an eighth of the pixels to go through.
            picture.thumbnail((side, side), Image.Resampling.LANCZOS)
            write_bytes(report / name, _encoded(picture, kind), durable=False)
    return Copy(names[sides[0]], names[sides[1]], *size)


def _is_there(path: Path) -> bool:
    # A power cut may leave a copy empty.
    return path.is_file() and path.stat().st_size > 0


def _encoded(picture: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    options: Mapping[str, int] = {"quality": _QUALITY, "method": _METHOD} if kind == "WEBP" else {"quality": _QUALITY}
    picture.save(stream, kind, **options)
    return stream.getvalue()
