"""The --config_file of sd-scripts: checked by us, because sd-scripts checks nothing in it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.kohya import toml_file
from orchestrator.kohya.arguments import Argument


def check(values: Mapping[str, Any], arguments: Mapping[str, Argument]) -> list[str]:
    """Every problem of `values`, as `key: what is wrong`; empty when sd-scripts will understand all of it.

    A problem found here is one that sd-scripts would ignore in silence (unknown key) or stumble over minutes later
    (wrong type).
    """
    problems: list[str] = []
    for key, value in values.items():
        argument = arguments.get(key)
        if argument is None:
            problems.append(f"{key}: this sd-scripts has no such argument{_did_you_mean(key, arguments)}")
        elif value is not None:
            problems += [f"{key}: {problem}" for problem in _value_problems(value, argument)]
    return problems


def write(path: Path, values: Mapping[str, Any]) -> Path:
    """Write the configuration file, sorted by key, UTF-8 without a byte order mark. Raises `InputError`,
    `StorageError`.
    """
    if path.suffix != ".toml":
        raise ValueError("sd-scripts adds .toml to any other name")
    return toml_file.write(path, dict(sorted(values.items())))


def _did_you_mean(key: str, arguments: Mapping[str, Argument]) -> str:
    near = difflib.get_close_matches(key.replace("-", "_").lower(), arguments, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _value_problems(value: Any, argument: Argument) -> list[str]:
    if argument.flag:
        return [] if isinstance(value, bool) else ["must be true or false"]
    if argument.many:
        if not isinstance(value, (list, tuple)):
            return [f"must be a list, such as [{_example(argument)}]"]
        if len({bool if isinstance(v, bool) else type(v) for v in value}) > 1:
            return ["all values of the list must be of one kind (all whole numbers, or all with a decimal point)"]
        return [problem for item in value for problem in _item_problems(item, argument)][:1]
    return _item_problems(value, argument)


def _item_problems(value: Any, argument: Argument) -> list[str]:
    fits, words = _TYPES.get(argument.type, (lambda _: True, ""))
    if not fits(value):
        return [f"must be {words}, not {value!r}"]
    if argument.choices is not None and value not in argument.choices:
        near = difflib.get_close_matches(
            str(value), [str(c) for c in argument.choices if c is not None], n=1, cutoff=0.5
        )
        hint = f"; did you mean {near[0]}?" if near else ""
        return [f"{value!r} is none of {', '.join(str(c) for c in argument.choices if c is not None)}{hint}"]
    return []


def _example(argument: Argument) -> str:
    return {"int": "1, 2", "float": "1e-4, 5e-5"}.get(argument.type, '"name=value"')


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_steps_or_share(value: Any) -> bool:
    # A float is taken as a share of the whole run: 100.0 would be a hundred times the run.
    return _is_int(value) or (isinstance(value, float) and 0.0 <= value < 1.0)


_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "str": (lambda v: isinstance(v, str), "text in quotes"),
    "Path": (lambda v: isinstance(v, (str, Path)), "a path in quotes"),
    "int": (_is_int, "a whole number"),
    "float": (_is_number, "a number"),
    "int_or_float": (_is_steps_or_share, "a whole number of steps, or a share of the run between 0 and 1"),
}
