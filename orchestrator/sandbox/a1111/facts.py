"""Lists and tables of the servers, read once from the JSON files beside this module.

`NAME.json` is A1111 1.10.1's; `NAME-DIALECT.json` says in what a fork differs: a whole list of its own, or for options
and request schemas the entries it adds, changes, or (null) has not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any


@cache
def table(name: str, dialect: str = "a1111") -> Any:
    """The content of one table. Shared between callers: copy before changing it."""
    plain = _read(name)
    own = _read(f"{name}-{dialect}") if dialect != "a1111" else None
    if own is None:
        return plain
    merge = _MERGE.get(name)
    return own if merge is None else merge(plain, own)


def _read(name: str) -> Any:
    file = resources.files(__package__).joinpath("data", f"{name}.json")
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _entries(plain: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**plain, **own}.items() if value is not None}


def _schemas(plain: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    changed = {
        name: {**plain[name], "properties": _entries(plain[name]["properties"], properties)}
        for name, properties in own.items()
    }
    return {**plain, **changed}


def _samplers(plain: list[dict[str, Any]], own: list[str]) -> list[dict[str, Any]]:
    known = {entry["name"]: entry for entry in plain}
    return [known.get(name) or {"name": name, "aliases": [], "options": {}} for name in own]


def _schedulers(plain: list[dict[str, Any]], own: list[list[str]]) -> list[dict[str, Any]]:
    known = {entry["name"]: entry for entry in plain}
    unknown = {"aliases": None, "default_rho": -1.0, "need_inner_model": False}
    return [known.get(name) or {"name": name, "label": label, **unknown} for name, label in own]


_MERGE: dict[str, Callable[[Any, Any], Any]] = {
    "options": _entries,
    "schemas": _schemas,
    "samplers": _samplers,
    "schedulers": _schedulers,
}
