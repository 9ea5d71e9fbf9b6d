"""What sheets carry besides pixels: the whole manifest, in a text chunk of a PNG or in the user comment of WebP and
JPEG.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Final

from PIL import Image

from orchestrator.grid import manifest as manifests
from orchestrator.grid.embedded import TEXT_CHUNK
from orchestrator.grid.manifest import Manifest

__all__ = ["COMMENT_START", "MAX_COMMENT_BYTES", "TEXT_CHUNK", "exif_of", "text_of", "unpacked"]

#: How the user comment of a WebP or JPEG sheet begins; the manifest follows, packed by zlib and written in base64.
COMMENT_START: Final = f"{TEXT_CHUNK}: "
#: A JPEG's EXIF data is one segment, whose length has 16 bits. The same is kept to in WebP.
MAX_COMMENT_BYTES: Final = 65_000
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286


def text_of(manifest: Manifest) -> str:
    """The manifest as sheets carry it: as it is written to disk, without paths of this machine."""
    values = manifests.to_dict(manifest)
    values["shared"] = manifests.without_paths(values["shared"])
    for cell in values["cells"]:
        cell["recipe"] = None if cell["recipe"] is None else manifests.without_paths(cell["recipe"])
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def exif_of(text: str) -> Image.Exif:
    """EXIF data with the manifest `text` in its user comment.

    Where that is more than the comment holds (some thousands of cells), the cells are left out: the definition is
    enough to draw the grid again, and what each cell was drawn from stands in the manifest beside the sheet.
    """
    comment = _packed(text)
    if len(comment) > MAX_COMMENT_BYTES:
        comment = _packed(json.dumps({**json.loads(text), "cells": [], "highlighted": []}, ensure_ascii=False))
    exif = Image.Exif()
    if len(comment) <= MAX_COMMENT_BYTES:
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"ASCII\0\0\0" + comment
    return exif


def unpacked(comment: str, limit: int) -> str | None:
    """The manifest in a user comment, or None where it holds none. Raises ValueError when it is damaged or unpacks to
    more than `limit` bytes.
    """
    if not comment.startswith(COMMENT_START):
        return None
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(base64.b64decode(comment[len(COMMENT_START) :], validate=True), limit + 1)
    except zlib.error as error:
        raise ValueError(f"its text does not unpack ({error})") from None
    if len(data) > limit or not unpacker.eof:
        raise ValueError("its text ends too early, or unpacks to more than any grid has")
    return data.decode("utf-8")


def _packed(text: str) -> bytes:
    return COMMENT_START.encode() + base64.b64encode(zlib.compress(text.encode("utf-8"), 9))
