"""The options store with its traps: a wrong-typed value is taken, and then reading all of them fails."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from . import disk, fields
from .dialects import A1111, Dialect
from .facts import table
from .failures import ServerError


class Options:
    """Values set by somebody live in `_set`; everything else is its default. Saved as config.json in the
    server's home."""

    def __init__(self, path: Path, dialect: Dialect = A1111) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known = table("options", dialect.name)
        self._set: dict[str, Any] = {}
        if path.is_file():
            stored = json.loads(path.read_text(encoding="utf-8"))
            self._set = {key: value for key, value in stored.items() if key in self._known}

    def get(self, key: str) -> Any:
        """The value in force, whatever its type. An option this server has not got acts as A1111's default."""
        if key in self._set:
            return self._set[key]
        known = self._known.get(key) or table("options").get(key)
        return known["default"] if known else None

    def put(self, key: str, value: Any) -> Any:
        """Set one value; returns the one before. Raises the server's KeyError for an unknown key, and checks
        nothing else."""
        if key not in self._known:
            raise ServerError("KeyError", repr(key))
        with self._lock:
            before = self.get(key)
            self._set[key] = value
        return before

    def stands(self, key: str) -> bool:
        """Whether somebody has set it, now or in config.json. Only such an option is restored after a request that
        overrode it: on any other the override stays, for everybody's requests."""
        return key in self._set

    def fresh_choice(self) -> Any:
        """The checkpoint of a config.json that no server has saved yet; taken out, as if it had never been chosen."""
        return self._set.pop("sd_model_checkpoint") if list(self._set) == ["sd_model_checkpoint"] else None

    def save(self) -> None:
        """Write config.json."""
        with self._lock:
            text = json.dumps(self._set, indent=4, ensure_ascii=False)
        disk.write_whole(self._path, text.encode())

    def everything(self) -> dict[str, Any]:
        """All options the server lists, typed as the API types them (a whole number somebody set comes back as 2.0).

        Raises:
            ServerError: ValidationError while any value has a wrong type.
        """
        answer: dict[str, Any] = {}
        problems: list[str] = []
        for key, schema in self._known.items():
            if schema.get("hidden"):
                continue
            value = self.get(key)
            if key in self._set and value is not None:
                try:
                    value = fields.coerce(value, schema)
                except ValueError as wrong:
                    problems.append(f"response -> {key}\n  {wrong}")
            answer[key] = value
        if problems:
            plural = "" if len(problems) == 1 else "s"
            listed = "\n".join(problems)
            raise ServerError("ValidationError", f"{len(problems)} validation error{plural} for Options\n{listed}")
        return answer
