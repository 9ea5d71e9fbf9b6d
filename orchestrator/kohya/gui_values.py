"""Values of a preset in the kinds sd-scripts wants. Presets of some age hold numbers as text and the like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from orchestrator.kohya.arguments import Argument
from orchestrator.kohya.gui_words import BAD_NUMBER, Note


def truth(value: Any) -> bool:
    """Whether a checkbox is on: true, 1, "True"."""
    return value.strip().lower() in {"true", "1", "yes", "on"} if isinstance(value, str) else bool(value)


def number(value: Any, otherwise: float) -> float:
    """The number in `value`; `otherwise` for what is none (nothing, an empty text, NaN)."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return otherwise
    return found if math.isfinite(found) else otherwise


def is_zero(value: Any) -> bool:
    """Whether the GUI leaves the value out: nothing, "", [], False, 0."""
    return value is None or value in ("", [], (), False)  # 0 == False, in Python as in the GUI's own filter


def typed(key: str, value: Any, argument: Argument) -> tuple[Any, list[Note]]:
    """`value` as `argument` wants it, as the GUI converts it: a text that is no number becomes 0 there."""
    if argument.flag:
        return truth(value), []
    if argument.many:
        parts = value if isinstance(value, (list, tuple)) else str(value).replace('"', "").split()
        return [_one(part, argument.type) for part in parts], []
    if argument.type not in {"int", "float", "int_or_float"}:
        return "" if value is False else str(value), []
    found = number(value, math.nan)
    if not math.isnan(found):
        return _one(found, argument.type), []
    otherwise = BAD_NUMBER.get(key, 0)
    if value == "" or isinstance(value, bool):
        return otherwise, []
    return otherwise, [Note("ambiguous", key, value, f"{otherwise}", "it is no number; the GUI takes this instead")]


def additional(text: str, arguments: Mapping[str, Argument]) -> tuple[dict[str, Any], list[Note]]:
    """`additional_parameters`: the end of the command line, which beats everything before.

    Split at blanks as the GUI does it. As on the command line, a name may be cut off where only one begins so.
    """
    values: dict[str, Any] = {}
    notes: list[Note] = []
    words = text.split()
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        name, equals, joined = word.removeprefix("--").partition("=")
        start = position
        while position < len(words) and not words[position].startswith("--") and not equals:
            position += 1
        rest = [joined] if equals else words[start:position]
        found = _named(name.replace("-", "_"), arguments) if word.startswith("--") else None
        if found is None:
            several = sum(key.startswith(name.replace("-", "_")) for key in arguments if name) > 1
            why = "several arguments begin so" if several else "this sd-scripts has no such argument"
            notes.append(Note("dropped", f"additional_parameters {word}", " ".join(rest), "", why))
        elif problem := _taken(found, rest, values):
            notes.append(Note("dropped", f"additional_parameters {word}", " ".join(rest), "", problem))
        else:
            made = f"{found.name} = {values[found.name]!r}"
            notes.append(Note("converted", f"additional_parameters {word}", " ".join(rest), made))
    return values, notes


def _taken(argument: Argument, rest: list[str], values: dict[str, Any]) -> str:
    """Put the words after an argument into `values`; why that cannot be done otherwise."""
    rest = [part.strip("\"'") for part in rest]
    if argument.flag:
        values[argument.name] = True
        return f"{' '.join(rest)} stands after a switch" if rest else ""
    if not rest or (len(rest) > 1 and not argument.many):
        return "it needs a value" if not rest else "it takes one value"
    if argument.type in {"int", "float", "int_or_float"} and any(math.isnan(number(part, math.nan)) for part in rest):
        return "it needs a number"
    made = [_one(part, argument.type) for part in rest]
    values[argument.name] = made if argument.many else made[0]
    return ""


def _named(name: str, arguments: Mapping[str, Argument]) -> Argument | None:
    if name in arguments:
        return arguments[name]
    begin = [argument for key, argument in arguments.items() if name and key.startswith(name)]
    return begin[0] if len(begin) == 1 else None


def _one(value: Any, kind: str) -> Any:
    if kind == "int":
        return int(number(value, 0))
    if kind == "float":
        return number(value, 0.0)
    if kind == "int_or_float":
        whole = "." not in str(value) and "e" not in str(value).lower()
        found = number(value, 0)
        return int(found) if whole or (isinstance(value, float) and found.is_integer()) else found
    return str(value)
