"""Thumbnails for the viewer: one small WebP a picture, made while pictures arrive.

Two thousand pictures of 512×512 are two gigabytes once decoded, and a browser that scrolls decodes them again and
again; at 256 pixels they are a quarter of that, from files of some 10 kB. One takes 9 ms of processor time for a
picture of 512×512, of which 5 go into reading the PNG (measured), and is made once: it is named by the recipe's key.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from orchestrator.errors import PictureError, StorageError
from orchestrator.files import open_picture, write_bytes

FOLDER = "thumbnails"
#: The longer side in pixels. Cells that are shown larger load the picture itself; few of those fit on a screen.
SIDE = 256
_QUALITY = 80
_OURS = re.compile(r"^[0-9a-f]{24}\.webp$")

#: Ask for the thumbnail of a picture: its recipe's key and its file.
Wants = Callable[[str, Path], None]


def thumbnail_name(key: str) -> str:
    """The thumbnail of the picture with that recipe key, relative to the grid's folder."""
    return f"{FOLDER}/{key[:24]}.webp"


@contextlib.contextmanager
def thumbnails(folder: Path) -> Iterator[Wants]:
    """Make thumbnails in the grid's `folder` while the block goes on; the block gets the function to ask for them.

    Asking returns at once; a thread or two make them in the order asked, and the end of the block waits for the rest.
    When the block fails or is interrupted, what was not begun is left for the next time. Those that are there already
    are not made again. A picture that cannot be read or a disk that is full leaves that thumbnail out: the viewer then
    shows the picture itself.
    """
    there = set(existing(folder))
    # Two at most: while the card draws, one is idle most of the time, and the prover needs a core too.
    pool = ThreadPoolExecutor(min(2, os.cpu_count() or 1), thread_name_prefix="thumbnails")

    def want(key: str, picture: Path) -> None:
        name = thumbnail_name(key)
        if key and name not in there:
            there.add(name)
            pool.submit(_make, picture, folder / name)

    try:
        yield want
    except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown(wait=True)


def existing(folder: Path) -> frozenset[str]:
    """Names of the thumbnails in the grid's `folder`, as `thumbnail_name` gives them."""
    try:
        with os.scandir(folder / FOLDER) as entries:
            # A power cut may leave one empty.
            return frozenset(f"{FOLDER}/{e.name}" for e in entries if _OURS.match(e.name) and e.stat().st_size > 0)
    except OSError:
        return frozenset()


def remove_unused(folder: Path, keys: Collection[str]) -> None:
    """Take away thumbnails of pictures that the grid no longer has; files that are not named as ours stay."""
    for name in existing(folder) - {thumbnail_name(key) for key in keys}:
        with contextlib.suppress(OSError):
            (folder / name).unlink()


def _make(picture: Path, target: Path) -> None:
    with contextlib.suppress(PictureError, StorageError, OSError):
        image = open_picture(picture)
        # reducing_gap: averaged down in whole steps first, which takes half the time and looks the same at this size
        image.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0)
        stream = io.BytesIO()
        image.save(stream, "WEBP", quality=_QUALITY, method=0)
        write_bytes(target, stream.getvalue(), durable=False)
