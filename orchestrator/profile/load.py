"""TOML → Profile, with every problem at once and its place."""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from orchestrator.errors import ProfileError, WorkspaceError
from orchestrator.files import storage_error
from orchestrator.profile.model import FORMS, Profile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def load_profile(path: Path) -> Profile:
    """The profile in `path`. Raises `ProfileError` naming every problem with its line, `WorkspaceError` when there is
    no such file.
    """
    try:
        # utf-8-sig: Notepad puts a byte order mark in front, which would become part of the first key.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise WorkspaceError(f"There is no {path}.", fix="Make a workspace with `orchestrator init NAME`.") from None
    except UnicodeDecodeError as error:
        raise ProfileError(path, [f"it is not UTF-8 (byte {error.start}): save it as UTF-8 in your editor"]) from None
    except OSError as error:
        raise storage_error(error, path) from error
    return parse_profile(text, path)


def parse_profile(text: str, source: Path | str) -> Profile:
    """The profile in `text`; `source` names it in errors. Raises `ProfileError`."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = " (write Windows paths in 'single quotes')" if re.search(r'"[A-Za-z]:\\', text) else ""
        raise ProfileError(source, [f"not valid TOML: {error}{hint}"]) from None
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        problems = [line for e in error.errors() for line in _problem(e, values, text)]
        raise ProfileError(source, problems) from None


def _problem(error: Any, values: dict[str, Any], text: str) -> list[str]:
    loc: tuple[int | str, ...] = tuple(step for step in error["loc"] if step not in FORMS)
    line = line_of(text, loc)
    place = f"line {line}: {_readable(loc, values)}" if line else _readable(loc, values)
    place = f"{place}: " if place else ""
    if error["type"] == "extra_forbidden":
        known = _fields_at(loc[:-1])
        close = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(sorted(known))}"
        return [f"{place}there is no such key; {hint}"]
    if error["type"] == "missing":
        return [f"{place}must be given"]
    message = str(error["msg"]).removeprefix("Value error, ")
    given = error.get("input")
    shown = f" (it is {given!r})" if isinstance(given, str | int | float | bool) else ""
    return [f"{place}{part}{shown}" for part in message.split("\n")]


def _readable(loc: tuple[int | str, ...], values: Any) -> str:
    """`pictures.close-up.count` rather than `pictures.0.count`: tables of a list by their name where they have one."""
    parts: list[str] = []
    for step in loc:
        values = _step(values, step)
        name = values.get("name") if isinstance(step, int) and isinstance(values, dict) else None
        parts.append(str(name) if name else f"#{step + 1}" if isinstance(step, int) else str(step))
    return ".".join(parts)


def _step(values: Any, step: int | str) -> Any:
    try:
        return values[step]
    except (KeyError, IndexError, TypeError):
        return None


def _fields_at(loc: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Profile
    for step in loc:
        if isinstance(step, str) and step in model.model_fields:
            inner = _model_in(model.model_fields[step].annotation)
            if inner is None:
                return []
            model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)


_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""^\s*("[^"]*"|'[^']*'|[A-Za-z0-9_.-]+)\s*=""")


def line_of(text: str, loc: tuple[int | str, ...]) -> int | None:
    """The line (from 1) where the key or table at `loc` begins, or of the nearest table around it; None when nothing
    matches.

    tomllib tells no positions. This reads headers and keys line by line, which is right for every file that does not
    hide a header inside a multi-line string.
    """
    best: tuple[int, int] | None = None
    here: list[int | str] = []
    counts: dict[tuple[int | str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            here = []
            names = [part.strip().strip("\"'") for part in header[2].split(".")]
            for position, name in enumerate(names):
                here.append(name)
                is_list = header[1] == "[[" and position == len(names) - 1
                if is_list:
                    counts[tuple(here)] = counts.get(tuple(here), -1) + 1
                if tuple(here) in counts:
                    here.append(counts[tuple(here)])
            candidate = tuple(here)
        elif key := _KEY.match(line):
            candidate = (*here, *(part.strip("\"'") for part in key[1].split(".")))
        else:
            continue
        if candidate == loc[: len(candidate)] and (best is None or len(candidate) > best[0]):
            best = (len(candidate), number)
    return best[1] if best else None
