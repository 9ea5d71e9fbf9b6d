"""What was read from an install's source, kept on disk until that source changes: reading it takes 200 ms, and every
command would pay them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.errors import StorageError
from orchestrator.files import read_json, write_text


def remembered(folder: Path | None, name: str, code_hash: str, reader: Path, make: Callable[[], Any]) -> Any:
    """The JSON value `make` gives for the code with that hash; from `folder`/kohya where it was kept, else made and
    kept there.

    `reader` is the Python file that does the reading: when it changes, what it had read does not count any more. A
    value that JSON does not give back as it was (a set, a tuple) is not kept; neither is any where the folder may not
    be written. None as folder keeps nothing.
    """
    if folder is None:
        return make()
    file = folder / "kohya" / f"{name}-{code_hash[:12]}.json"
    key = hashlib.sha256(code_hash.encode() + reader.read_bytes()).hexdigest()
    with contextlib.suppress(StorageError):
        kept = read_json(file)
        if isinstance(kept, dict) and kept.get("key") == key and "value" in kept:
            return kept["value"]
    value = make()
    with contextlib.suppress(StorageError, TypeError, ValueError):
        # Without indents: a third of the time to read it.
        text = json.dumps({"key": key, "value": value}, ensure_ascii=False, separators=(",", ":"))
        if json.loads(text)["value"] == value:
            write_text(file, text, durable=False)
    return value
