"""What is known of a dataset's pictures: content, size, whether they decode; learned once for each file.

Decoding thirty pictures takes a quarter of a second, as long as everything else that is checked before a start.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import OrchestratorError, PictureError
from orchestrator.files import open_picture, read_json, sha256_file, write_json

NAME = "pictures.json"
_THREADS = 2
#: A file that was written a moment ago may be written again within one tick of its file system's clock (2 s on FAT).
_SETTLED_S = 2.5
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Facts:
    """One picture. `width` and `height` in pixels as sd-scripts sees them (0 = unknown); `problem` says why it cannot
    be trained on, `fix` what to do about it.
    """

    sha256: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""
    fix: str = ""


def of(pictures: Sequence[Path], folder: Path, cache: Path | None = None) -> dict[Path, Facts]:
    """The facts of each picture in `folder`; those of files that have not changed (path, size, time) come from
    `cache`.
    """
    known = _load(cache, folder)
    keys = {picture: _key(picture) for picture in pictures}
    answer = {picture: known[key] for picture, key in keys.items() if key in known}
    new = [picture for picture in pictures if picture not in answer]
    if new:
        with ThreadPoolExecutor(_THREADS) as pool:
            answer.update(zip(new, pool.map(examine, new), strict=True))
    settled = {keys[picture]: facts for picture, facts in answer.items() if _settled(picture)}
    if cache is not None and settled != known:
        _store(cache, folder, settled)
    return answer


def examine(picture: Path) -> Facts:
    """Decode one picture whole."""
    from PIL import Image

    try:
        content = sha256_file(picture)
        open_picture(picture)
        with Image.open(picture) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION, 1) not in {0, 1}
    except PictureError as error:
        why = error.what.split(" cannot be used as a picture: ")[-1].rstrip(".")
        return Facts(problem=why, fix="remove it, or replace it by a whole picture")
    except OSError as error:
        return Facts(problem=f"it cannot be read ({error.strerror or error})", fix="make it readable, or remove it")
    if turned:
        return Facts(
            content, width, height, "only a note in it (EXIF) turns it upright, and sd-scripts does not read that",
            "save it upright, or build the dataset again: `orchestrator dataset build`",
        )  # fmt: skip
    return Facts(content, width, height)


def keep(path: Path, value: Any) -> None:
    """Write a cache; one that cannot be written costs time and nothing else."""
    with contextlib.suppress(OrchestratorError, OSError, UnicodeError):
        write_json(path, value, durable=False)


def kept(path: Path) -> dict[str, Any]:
    """What `keep` wrote; nothing where it cannot be read."""
    with contextlib.suppress(OrchestratorError):
        value = read_json(path)
        return value if isinstance(value, dict) else {}
    return {}


def _key(picture: Path) -> str:
    try:
        facts = picture.stat()
    except OSError:
        return ""
    return f"{picture.parent.name}/{picture.name}|{facts.st_size}|{facts.st_mtime_ns}"


def _settled(picture: Path) -> bool:
    try:
        return time.time() - picture.stat().st_mtime > _SETTLED_S
    except OSError:
        return False


def _load(cache: Path | None, folder: Path) -> dict[str, Facts]:
    entries = {} if cache is None else kept(cache / NAME).get(str(folder.absolute()), {})
    try:
        return {key: Facts(**facts) for key, facts in entries.items()}
    except (AttributeError, TypeError):  # of another release
        return {}


def _store(cache: Path, folder: Path, facts: dict[str, Facts]) -> None:
    # One entry a dataset: what was learned of pictures that are gone goes with it.
    others = {name: entry for name, entry in kept(cache / NAME).items() if Path(name).is_dir()}
    keep(cache / NAME, {**others, str(folder.absolute()): {key: asdict(f) for key, f in facts.items()}})
