"""TOML files as sd-scripts will read them.

sd-scripts reads with `toml` 0.10.2, which refuses some valid TOML and whose own writer crashes on some texts. So we
write with `tomli_w`, and before anything is started read the text back with exactly that library and compare.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import toml
import tomli_w

from orchestrator.errors import InputError
from orchestrator.files import storage_error, write_text

#: First words of a file's first line; behind them the sha256 of all that follows.
_SEAL = "# Written by orchestrator from lora.toml; changes made here are lost. sha256 "


def write(path: Path, values: Mapping[str, Any]) -> Path:
    """Write `values` to `path` under a seal (`edited`), proven to read back the same. Raises `InputError`,
    `StorageError`.
    """
    body = text(values)
    write_text(path, f"{_SEAL}{_digest(body)}\n{body}")
    verify(path, values)
    return path


def text(values: Mapping[str, Any]) -> str:
    """The TOML text of `values`, proven to give the same values in sd-scripts' reader. Raises `InputError` where no
    text would.
    """
    body = dumps(values)
    try:
        body.encode("utf-8")
        read_back = toml.loads(body)
    except Exception as error:  # toml 0.10.2 raises IndexError and others besides its own error
        raise InputError(
            f"sd-scripts could not read its configuration back ({error}).",
            cause="One of the values holds characters or a list that its TOML reader does not accept.",
            fix="Use plain text and lists of one kind of value in [training.extra].",
        ) from error
    if changed := differences(values, read_back):
        raise InputError(
            f"sd-scripts would read another value than the one written for: {', '.join(changed)}.",
            fix="Use plainer text in these values of the profile.",
        )
    return body


def verify(path: Path, values: Mapping[str, Any]) -> None:
    """Prove, key by key, that sd-scripts will read `values` from the file at `path` as it lies on the disk now.

    Raises `InputError` naming what differs, `StorageError` when the file cannot be read.
    """
    changed = differences(values, read(path))
    if changed:
        raise InputError(
            f"{path} does not hold what was meant for sd-scripts; these differ: {', '.join(changed)}.",
            cause="The file was changed after it was written.",
            fix="Run the same command again: it is written anew.",
        )


def read(path: Path) -> dict[str, Any]:
    """What sd-scripts reads from a TOML file. Raises `InputError`, `StorageError`."""
    try:
        with path.open(encoding="utf-8") as stream:
            values: dict[str, Any] = toml.load(stream)
            return values
    except OSError as error:
        raise storage_error(error, path) from error
    except Exception as error:  # see `text`
        raise InputError(
            f"sd-scripts could not read {path} ({error}).", fix="Delete the file and run the same command again."
        ) from error


def differences(meant: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """The keys, sorted and with dots for tables, whose value or type differs; None stands for a key left out."""
    return sorted(_differences(meant, found, ""))


def edited(path: Path) -> bool | None:
    """Whether a file of `write` was changed afterwards; None = it carries no seal to tell by. Raises `StorageError`."""
    try:
        content = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise storage_error(error, path) from error
    # Line ends and a byte order mark change with the way a file is copied; sd-scripts stumbles over the mark.
    first, _, body = content.replace("\r\n", "\n").partition("\n")
    if not first.lstrip("\ufeff").startswith(_SEAL):
        return None
    return first != f"{_SEAL}{_digest(body)}"


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


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8")).hexdigest()


def _is_table_array(value: Any) -> TypeGuard[list[Mapping[str, Any]]]:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _header(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return value


def _differences(meant: Mapping[str, Any], found: Mapping[str, Any], place: str) -> Iterator[str]:
    kept = {key: value for key, value in meant.items() if value is not None}
    for key in {*kept, *found}:
        ours, theirs = kept.get(key), found.get(key)
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            yield from _differences(ours, theirs, f"{place}{key}.")
        elif _is_table_array(ours) and _is_table_array(theirs) and len(ours) == len(theirs):
            for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
                yield from _differences(one, other, f"{place}{key}[{number}].")
        elif key not in kept or key not in found or not _same(theirs, ours):
            yield f"{place}{key}"


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
