"""Reading and writing files so that nothing already made is ever lost.

Every write goes to a temporary name in the same folder and is renamed over the target, so that a reader, a crash or a
full disk sees either the old file or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import PictureError, StorageError

if TYPE_CHECKING:
    from PIL import Image

#: Largest picture opened, in pixels. A1111's own limit for one sheet is 200 MP (img_max_size_mp); anything larger is
#: refused as a bomb.
MAX_PICTURE_PIXELS = 200_000_000
# EDQUOT does not exist on Windows.
_DISK_FULL = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
#: Pillow's modes of pictures with more than 8 bits a channel.
DEEP_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})

# Windows: a virus scanner or an indexer may hold a fresh file for a moment, and os.replace then fails with access
# denied.
_REPLACE_TRIES = 10
_REPLACE_PAUSE_S = 0.05


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> Path:
    """Write `data` to `path` whole or not at all; makes the folder. Raises `StorageError`.

    A `durable` file outlives a power cut from here on. That costs some 7 ms of waiting for the disk; what can be made
    again in less (copies, measurements) is written without, and may be empty after a power cut.
    """
    with beside(path) as temporary, temporary.open("wb") as stream:
        stream.write(data)
        if durable:
            stream.flush()
            os.fsync(stream.fileno())
    return path


@contextlib.contextmanager
def beside(target: Path, ending: str = ".tmp") -> Iterator[Path]:
    """A temporary name in the folder of `target` (made if need be), renamed over it when the block ends well.

    When the block fails, and on Ctrl-C, nothing is left behind. Raises `StorageError` for errors of the file system.
    """
    temporary = target.with_name(f".{target.name[:40]}.{uuid.uuid4().hex[:8]}{ending}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        replace(temporary, target)
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        # Gone already when the rename went well, unless both were links of one file: then renaming does nothing.
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str, *, durable: bool = True) -> Path:
    """Write `text` as UTF-8 with `\\n` line ends, whole or not at all. Raises `StorageError`."""
    return write_bytes(path, text.encode("utf-8"), durable=durable)


def write_json(path: Path, value: Any, *, durable: bool = True) -> Path:
    """Write `value` as indented UTF-8 JSON, whole or not at all. Raises `StorageError`."""
    return write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n", durable=durable)


def read_json(path: Path) -> Any:
    """The value of a JSON file of ours, or None where the file is absent or was damaged from outside."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError):
        return None
    except OSError as error:
        raise storage_error(error, path) from error


def replace(source: Path, target: Path) -> None:
    """`os.replace`, tried again for half a second where Windows says that somebody holds the file."""
    for attempt in range(_REPLACE_TRIES):
        try:
            os.replace(source, target)  # noqa: PTH105 (Path.replace says the same, this name says that it is the atomic one)
            return
        except PermissionError:
            if attempt == _REPLACE_TRIES - 1:
                raise
            time.sleep(_REPLACE_PAUSE_S)


def is_disk_full(error: OSError) -> bool:
    """Whether it says that there is no room left, on the disk or for this user."""
    return error.errno in _DISK_FULL


def storage_error(error: OSError, path: Path) -> StorageError:
    """The sentence for an operating system's error at `path`."""
    if is_disk_full(error):
        return StorageError(
            f"The disk is full: {path} could not be written.",
            fix="Free some space; the same command then goes on where it stopped.",
        )
    if isinstance(error, PermissionError):
        return StorageError(
            f"{path} may not be written.",
            cause="Another program holds it, or the folder belongs to another user.",
            fix="Close what has it open or choose another folder, then run the same command again.",
        )
    return StorageError(f"{path} could not be read or written: {error.strerror or error}.")


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes, in lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def open_picture(path: Path) -> Image.Image:
    """A picture fully decoded as RGB, turned upright by its EXIF orientation; of an animated one, the first frame.
    16-bit grey is scaled to 8 bits. Raises `PictureError` for anything else.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PICTURE_PIXELS:
                raise PictureError(
                    path, f"{image.width}×{image.height} pixels are more than {MAX_PICTURE_PIXELS // 1_000_000} MP"
                )
            image.load()
            upright = ImageOps.exif_transpose(image)
            return (_in_8_bits(upright) if upright.mode in DEEP_MODES else upright).convert("RGB")
    except FileNotFoundError:
        raise PictureError(path, "the file does not exist") from None
    except UnidentifiedImageError:
        if path.is_file() and path.stat().st_size == 0:
            raise PictureError(path, "it is empty: not downloaded or not synced yet") from None
        raise PictureError(path, "it is not a picture in a format we know") from None
    except Image.DecompressionBombError as error:
        raise PictureError(path, "it unpacks to far more pixels than any real picture has") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise PictureError(path, f"it is damaged ({error})") from error


def _in_8_bits(image: Image.Image) -> Image.Image:
    """A picture of more than 8 bits a pixel as grey ones of 8. Pillow's own conversion would cut off what is above 255,
    which leaves a white page.
    """
    import numpy as np
    from PIL import Image

    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    # Whole numbers run to 65535 in PNG and TIFF; floating-point ones from 0 to 1 by convention, unless they are more.
    most = float(values.max(initial=0.0))
    white = 65535.0 if image.mode != "F" else 1.0 if most <= 1.0 else 255.0 if most <= 255.0 else 65535.0
    return Image.fromarray(np.clip(values * (255.0 / white), 0, 255).astype(np.uint8))


def picture_files(folder: Path) -> list[Path]:
    """The picture files directly in `folder`, by name; hidden ones are left out."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith("."))


# Windows refuses these names whatever the extension.
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(1, 10)), *(f"lpt{i}" for i in range(1, 10))}
)


def file_stem(text: str) -> str:
    """`text` made into a file name every platform accepts; letters of all scripts stay. Never empty.

    Two different texts may give one stem: callers that need a unique name add a hash.
    """
    stem = re.sub(r'[<>:"/\\|?*\x00-\x1f]+', "-", text).strip(" .-")[:80].strip(" .-")
    if not stem or stem.casefold() in _RESERVED:
        return f"_{stem}" if stem else "_"
    return stem
