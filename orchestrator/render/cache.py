"""Pictures by recipe: `pictures/ab/abcdef….png` with the bytes as A1111 sent them, and the proof beside as `.json`.

The proof is written first and the picture last, so a picture that is there is a proven one; whatever happens in between
leaves no picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.files import read_json, write_bytes, write_json


@dataclass(frozen=True)
class PictureCache:
    """The cache in `folder` (a workspace's `cache`)."""

    folder: Path

    def picture(self, key: str) -> Path:
        """Where the picture of a recipe key lies, or would."""
        return self.folder / "pictures" / key[:2] / f"{key}.png"

    def has(self, key: str) -> bool:
        """Whether the picture is there and whole enough to be one (an interrupted copy from outside may be empty)."""
        try:
            return self.picture(key).stat().st_size > 0
        except OSError:
            return False

    def proof(self, key: str) -> dict[str, Any]:
        """What is recorded beside the picture; empty when the record is gone."""
        return self.proof_of(self.picture(key))

    @staticmethod
    def proof_of(path: Path) -> dict[str, Any]:
        """What is recorded beside the picture at `path`."""
        value = read_json(path.with_suffix(".json"))
        return value if isinstance(value, dict) else {}

    def put(self, key: str, picture: bytes, record: dict[str, Any]) -> Path:
        """Keep a proven picture. Raises `StorageError`."""
        path = self.picture(key)
        write_json(path.with_suffix(".json"), record)
        return write_bytes(path, picture)
