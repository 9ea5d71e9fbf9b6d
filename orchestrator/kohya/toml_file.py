"""TOML files as sd-scripts will read them.

sd-scripts reads with `toml` 0.10.2, which refuses some valid TOML and whose own writer crashes on some texts. So we
write with `tomli_w`, and before anything is started read the text back with exactly that library and compare.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import toml
import tomli_w

from orchestrator.errors import InputError
from orchestrator.files import write_text


def write(path: Path, values: Mapping[str, Any]) -> Path:
    """Write `values` to `path`, proven to read back the same. Raises `InputError`, `StorageError`."""
    text = dumps(values)
    try:
        read_back = toml.loads(text)
    except Exception as error:  # toml 0.10.2 raises IndexError and others besides its own error
        raise InputError(
            f"sd-scripts could not read {path.name} back ({error}).",
            cause="One of the values holds characters or a list that its TOML reader does not accept.",
            fix="Use plain text and lists of one kind of value in [training.extra].",
        ) from error
    if not _same(read_back, values):
        changed = ", ".join(sorted(key for key in values if not _same(read_back.get(key), values[key])))
        raise InputError(
            f"sd-scripts would read another value than the one written for: {changed}.",
            fix="Use plainer text in these values of the profile.",
        )
    return write_text(path, text)


def dumps(values: Mapping[str, Any]) -> str:
    """The TOML text of `values`; keys with None are left out, for TOML has no word for it.

    Tables get headers of their own: `toml` 0.10.2 fails on an inline table inside an array of several lines, which is
    how `tomli_w` likes to write them.
    """
    return "\n".join(_blocks(values, ""))


def _blocks(values: Mapping[str, Any], place: str) -> Iterator[str]:
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    arrays = {key: value for key, value in values.items() if _is_table_array(value)}
    plain = {key: _plain(v) for key, v in values.items() if v is not None and key not in tables and key not in arrays}
    if plain:
        yield tomli_w.dumps(plain)
    for key, table in tables.items():
        header = f"{place}{_header(key)}"
        yield "\n".join([f"[{header}]", *_blocks(table, f"{header}.")])
    for key, array in arrays.items():
        header = f"{place}{_header(key)}"
        for table in array:
            yield "\n".join([f"[[{header}]]", *_blocks(table, f"{header}.")])


def _is_table_array(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _header(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return value


def _same(read: Any, written: Any) -> bool:
    written = _plain(written)
    if isinstance(written, Mapping):
        kept = {key: value for key, value in written.items() if value is not None}
        return (
            isinstance(read, Mapping) and read.keys() == kept.keys() and all(_same(read[k], v) for k, v in kept.items())
        )
    if isinstance(written, list):
        return isinstance(read, list) and len(read) == len(written) and all(map(_same, read, written))
    if isinstance(written, float) and math.isnan(written):
        return isinstance(read, float) and math.isnan(read)
    return type(read) is type(written) and bool(read == written)
