"""What is wrong with a request, in words: all problems of it in one error, a line each."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from orchestrator.a1111.pictures import NotAPicture
from orchestrator.errors import InputError, PictureError


def refusal(kind: type[BaseModel], error: ValidationError) -> InputError:
    """One error for all problems of a request; a `PictureError` when the one problem is a picture."""
    problems = error.errors(include_url=False)
    pictures = [one for one in problems if _is_picture(one)]
    if len(problems) == len(pictures) == 1:
        return PictureError(_picture_name(pictures[0]), _reason(pictures[0]))
    lines = "\n".join(f"  {_line(kind, one)}" for one in problems)
    return InputError(
        f"{kind.__name__} cannot be sent to A1111:\n{lines}", fix="Nothing was sent. Correct what is named."
    )


def _line(kind: type[BaseModel], problem: Any) -> str:
    path = ".".join(str(step) for step in problem["loc"]) or "the request"
    if problem["type"] == "extra_forbidden":
        known = list(kind.model_fields)
        close = difflib.get_close_matches(path, known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else "a field of a fork or an extension goes under `extra`."
        return f"{path}: A1111 has no such field and would ignore it in silence; {hint}"
    if problem["type"] == "missing":
        return f"{path}: it is needed"
    if _is_picture(problem):
        return f"{_picture_name(problem)}: {_reason(problem)}"
    if problem["type"] == "value_error":
        return f"{path}: {_reason(problem)}"
    field = kind.model_fields.get(str(problem["loc"][0])) if problem["loc"] else None
    rule = field.description if field and field.description else problem["msg"]
    return f"{path}: {_short(problem['input'])} does not do: {rule}"


def _short(value: Any) -> str:
    # What was given may be a whole picture.
    text = repr(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:37]}…"


def _reason(problem: Any) -> str:
    return str(problem["ctx"]["error"])


def _is_picture(problem: Any) -> bool:
    return isinstance(problem.get("ctx", {}).get("error"), NotAPicture)


def _picture_name(problem: Any) -> Path | str:
    given = problem["input"]
    return given if isinstance(given, Path) else ".".join(str(step) for step in problem["loc"])
