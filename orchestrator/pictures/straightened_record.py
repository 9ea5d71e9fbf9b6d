"""Where straightened pictures came from: a manifest in their folder, as picture sets have one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.files import read_json, sha256_file, write_json
from orchestrator.pictures.keeping import MANIFEST
from orchestrator.pictures.straighten import Straightened


def record(folder: Path, done: Sequence[tuple[Path, Straightened]]) -> None:
    """Write down for each (source, result) in `folder` what it was made of; what stands there of others stays.

    Raises `StorageError`.
    """
    new = [_entry(source, one) for source, one in done if one.angle]
    if not new:
        return
    before = read_json(folder / MANIFEST)
    listed = before.get("pictures") if isinstance(before, dict) else None
    entries = {str(entry.get("file")): entry for entry in listed or () if isinstance(entry, dict)}
    entries |= {entry["file"]: entry for entry in new}
    head = {name: value for name, value in before.items() if name != "pictures"} if isinstance(before, dict) else {}
    write_json(folder / MANIFEST, {**head, "pictures": [entries[file] for file in sorted(entries)]})


def _entry(source: Path, one: Straightened) -> dict[str, Any]:
    return {
        "file": one.path.name,
        "sha256": sha256_file(one.path),
        "source": str(source),
        "source_sha256": sha256_file(source),
        "straightened_deg": one.angle,
    }
