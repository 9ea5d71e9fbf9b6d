"""The --config_file of sd-scripts: checked by us, because sd-scripts checks nothing in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import Problem
from orchestrator.kohya import reason, toml_file
from orchestrator.kohya.arguments import Argument
from orchestrator.kohya.known import nearest

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def check(values: Mapping[str, Any], arguments: Mapping[str, Argument]) -> list[Problem]:
    """Every problem of `values`; empty when sd-scripts will understand all of it. The place is the argument's name.

    A problem found here is one that sd-scripts would ignore in silence (unknown key) or stumble over minutes later
    (wrong type, values that exclude each other).
    """
    problems: list[Problem] = []
    for key, value in values.items():
        argument = arguments.get(key)
        if argument is None:
            near = _near(key.replace("-", "_"), arguments, cutoff=0.6)
            problems.append(Problem(key, f"this sd-scripts has no such argument{near}", "correct it or leave it out"))
        elif value is not None:
            problems += _value_problems(value, argument)
    wrong = {problem.place for problem in problems}
    # What is of the wrong kind is said once.
    # Only the scripts with a T5 can cache its outputs and train another text encoder.
    clashes = reason.clashes(values, caches_all_texts="t5xxl" not in arguments)
    return problems + [problem for problem in clashes if problem.place not in wrong]


def write(path: Path, values: Mapping[str, Any]) -> Path:
    """Write the configuration file, sorted by key, UTF-8 without a byte order mark. Raises `InputError`,
    `StorageError`.
    """
    if path.suffix != ".toml":
        raise ValueError("sd-scripts adds .toml to any other name")
    return toml_file.write(path, ordered(values))


def ordered(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values in the order of the file."""
    return dict(sorted(values.items()))


def _value_problems(value: Any, argument: Argument) -> list[Problem]:
    if argument.flag:
        right = isinstance(value, bool)
        return [] if right else [Problem(argument.name, f"must be true or false, not {value!r}", "without quotes")]
    if argument.many:
        if not isinstance(value, (list, tuple)):
            example = _EXAMPLES[argument.type] if argument.type in {"int", "float"} else '"name=value"'
            return [Problem(argument.name, "must be a list", f"such as [{example}]")]
        if len({bool if isinstance(v, bool) else type(v) for v in value}) > 1:
            # The old TOML library of sd-scripts refuses such an array altogether.
            return [
                Problem(
                    argument.name,
                    "all values of the list must be of one kind",
                    "write all of them as whole numbers, or all with a decimal point",
                )
            ]
        return [problem for item in value for problem in _item_problems(item, argument)][:1]
    return _item_problems(value, argument)


def _item_problems(value: Any, argument: Argument) -> list[Problem]:
    fits, words = _TYPES.get(argument.type, (lambda _: True, ""))
    if not fits(value):
        return [Problem(argument.name, f"must be {words}, not {value!r}", _instead(argument, value))]
    if argument.choices is not None and value not in argument.choices:
        choices = [str(choice) for choice in argument.choices if choice is not None]
        near = _near(str(value), choices, cutoff=0.5)
        return [Problem(argument.name, f"{value!r} is none of {', '.join(choices)}{near}", "choose one of them")]
    return []


def _near(name: str, names: Collection[str], *, cutoff: float) -> str:
    near = nearest(name, names, cutoff=cutoff)
    return f"; {near}" if near else ""


def _instead(argument: Argument, value: Any) -> str:
    # The dataset file wants numbers where this one wants text.
    if argument.name == "resolution":
        sides = value if isinstance(value, (list, tuple)) else [value]
        return f'write "{",".join(map(str, sides))}", or [dataset] resolution'
    if (
        isinstance(value, str)
        and argument.type in {"int", "float", "int_or_float"}
        and _NUMBER.fullmatch(value.strip())
    ):
        return f"write {value.strip()} without quotes"
    if argument.type == "int_or_float" and isinstance(value, float) and value.is_integer():
        return f"write {int(value)} for so many steps"
    return f"such as {_EXAMPLES.get(argument.type, '...')}"


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_steps_or_share(value: Any) -> bool:
    # A float is taken as a share of the whole run: 100.0 would be a hundred times the run.
    return _is_int(value) or (isinstance(value, float) and 0.0 <= value < 1.0)


#: As they stand in a profile.
_EXAMPLES = {"str": '"text"', "Path": "'C:\\folder\\file'", "int": "4", "float": "1e-4", "int_or_float": "100, or 0.1"}
_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "str": (lambda v: isinstance(v, str), "text in quotes"),
    "Path": (lambda v: isinstance(v, (str, Path)), "a path in quotes"),
    "int": (_is_int, "a whole number"),
    "float": (_is_number, "a number"),
    "int_or_float": (_is_steps_or_share, "a whole number of steps, or a share of the run between 0 and 1"),
}
