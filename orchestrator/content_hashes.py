"""Hashes of files by path, size and time: a thousand pictures need not be read again to learn that none has changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from orchestrator.errors import OrchestratorError
from orchestrator.files import read_json, sha256_file, write_text

#: A file that was written a moment ago may be written again within one tick of its file system's clock (2 s on FAT).
_SETTLED_S = 2.5
#: More paths than this are not remembered: the oldest go.
_MOST = 50_000


class ContentHashes:
    """The sha256 of files, remembered below `cache`. Use as a context manager: what is new is written at its end."""

    def __init__(self, cache: Path) -> None:
        self._file = cache / "hashes.json"
        known: object = None
        with contextlib.suppress(OrchestratorError):
            known = read_json(self._file)
        self._known: dict[str, str] = known if isinstance(known, dict) else {}
        self._new = False

    def __enter__(self) -> ContentHashes:
        return self

    def __exit__(self, *_: object) -> None:
        if self._new:
            text = json.dumps(dict(list(self._known.items())[-_MOST:]), separators=(",", ":"))
            # A cache that cannot be written costs time and nothing else.
            with contextlib.suppress(OrchestratorError, OSError):
                write_text(self._file, text, durable=False)

    def of(self, path: Path) -> str:
        """The sha256 of the file's bytes. Raises OSError."""
        facts = os.stat(path)  # noqa: PTH116 (half the time of Path.stat, for a thousand files)
        # Not the path itself: a cache names no folders of anybody's.
        place = hashlib.blake2b(os.fsencode(path), digest_size=12).hexdigest()
        key = f"{place}|{facts.st_size}|{facts.st_mtime_ns}|{facts.st_ino}"
        found = self._known.get(key)
        if isinstance(found, str):
            return found
        digest = sha256_file(path)
        if time.time() - facts.st_mtime > _SETTLED_S:
            self._known[key] = digest
            self._new = True
        return digest
