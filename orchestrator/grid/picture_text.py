"""Texts that a picture carries: PNG text chunks and the user comment of JPEG and WebP, read without trust.

Pictures come from other people. Pixels are skipped, never unpacked; only the texts asked for are read, each checked
against its sum and unpacked up to a limit. Sources: PNG specification (W3C, 3rd edition) §5, §11.3.3; EXIF 2.32 §4.6.5.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from orchestrator.errors import PictureError
from orchestrator.files import storage_error

#: Most bytes of text that one picture may unpack to: a grid of 60,000 cells writes 25 MB.
MAX_TEXT_BYTES = 32 << 20
#: Most chunks walked: a picture of 2 GB in the small chunks libpng writes has half of them.
MAX_CHUNKS = 500_000
#: Most text chunks of any name: even a much edited picture has a dozen.
MAX_TEXTS = 1_000

_PNG = b"\x89PNG\r\n\x1a\n"
_TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_KEYWORD_BYTES = 79
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286


class _Refused(Exception):
    """Why a picture's text is not read."""


def read_texts(path: Path, wanted: Collection[str]) -> Mapping[str, str]:
    """The texts that `path` carries under the keywords `wanted`; of a keyword that stands there twice, the first.

    The user comment of a JPEG or WebP counts as `parameters`, which is what A1111 writes there. Pixels are not looked
    at: a picture that is cut off still has the texts before the cut. Raises `PictureError` for what is no picture, is
    cut off before any of the texts, or hides too much or damaged text; `StorageError` when the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            if stream.read(len(_PNG)) == _PNG:
                return _png_texts(stream, frozenset(wanted))
        comment = _user_comment(path) if "parameters" in wanted else ""
        return {"parameters": comment} if comment else {}
    except FileNotFoundError:
        raise PictureError(path, "the file does not exist") from None
    except _Refused as error:
        raise PictureError(path, str(error)) from None
    except OSError as error:
        raise storage_error(error, path) from error


def _png_texts(stream: BinaryIO, wanted: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    left = MAX_TEXT_BYTES
    try:
        for kind, length in _chunks(stream):
            if kind not in _TEXT_CHUNKS:
                continue
            head = stream.read(min(length, _KEYWORD_BYTES + 1))
            keyword = head.partition(b"\0")[0].decode("latin-1")
            if keyword not in wanted or keyword in found or b"\0" not in head:
                continue
            if length > MAX_TEXT_BYTES:
                raise _Refused(f"its text {keyword!r} is larger than {MAX_TEXT_BYTES >> 20} MB")
            body = head + _exactly(stream, length - len(head))
            if zlib.crc32(kind + body) != int.from_bytes(_exactly(stream, 4), "big"):
                raise _Refused(f"its text {keyword!r} is damaged (the checksum is wrong)")
            text = _unpacked(kind, body, keyword, left)
            left -= len(text)
            found[keyword] = text.decode("latin-1" if kind != b"iTXt" else "utf-8", "replace")
            if len(found) == len(wanted):
                break
    except EOFError:
        # The texts stand before the pixels: what a broken download lacks is most often pixels alone.
        if not found:
            raise _Refused("it is cut off") from None
    return found


def _chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """(kind, length) of each chunk, the stream standing at its first byte of data; IEND ends it. Raises EOFError."""
    at = stream.tell()
    end = stream.seek(0, 2)
    texts = 0
    for _ in range(MAX_CHUNKS):
        if at + 12 > end:
            raise EOFError
        stream.seek(at)
        length, kind = int.from_bytes(_exactly(stream, 4), "big"), _exactly(stream, 4)
        if not kind.isalpha() or length >= 1 << 31:
            raise _Refused("it is damaged (what should be a part of a PNG is none)")
        if at + 12 + length > end:
            raise EOFError
        texts += kind in _TEXT_CHUNKS
        if texts > MAX_TEXTS:
            raise _Refused(f"it has more than {MAX_TEXTS:,} texts")
        yield kind, length
        if kind == b"IEND":
            return
        at += 12 + length
    raise _Refused(f"it has more than {MAX_CHUNKS:,} parts")


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


def _unpacked(kind: bytes, body: bytes, keyword: str, left: int) -> bytes:
    rest = body.partition(b"\0")[2]
    if kind == b"tEXt":
        packed, text = False, rest
    elif kind == b"zTXt":
        packed, text = True, rest[1:]
    else:
        packed = rest[:1] == b"\1"
        # a byte for the method; then a language and a translated keyword, each ended by a zero
        text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    if packed:
        unpacker = zlib.decompressobj()
        try:
            text = unpacker.decompress(text, left + 1)
        except zlib.error:
            raise _Refused(f"its text {keyword!r} is damaged (it does not unpack)") from None
        if len(text) <= left and not unpacker.eof:
            raise _Refused(f"its text {keyword!r} is damaged (it ends too early)")
    if len(text) > left:
        raise _Refused(f"its texts unpack to more than {MAX_TEXT_BYTES >> 20} MB")
    return text


def _user_comment(path: Path) -> str:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.format not in {"JPEG", "WEBP"}:
                raise _Refused(f"texts of {image.format} pictures are not read; give a PNG, JPEG or WebP")
            comment = image.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT, b"")
    except UnidentifiedImageError:
        raise _Refused("it is not a picture in a format we know") from None
    except Image.DecompressionBombError:
        raise _Refused("it unpacks to far more pixels than any real picture has") from None
    except (SyntaxError, ValueError, KeyError, TypeError) as error:
        raise _Refused(f"it is damaged ({error})") from None
    if isinstance(comment, str):
        return comment
    code, text = comment[:8], comment[8:]
    if code == b"UNICODE\0":
        # EXIF leaves the byte order open. A1111's piexif writes big-endian, other programs what their machine uses.
        nulls_first = text[0::2].count(0) >= text[1::2].count(0)
        return str(text.decode("utf-16-be" if nulls_first else "utf-16-le", "replace")).strip("\0")
    return str((text if code in {b"ASCII\0\0\0", bytes(8)} else comment).decode("utf-8", "replace")).strip("\0")
