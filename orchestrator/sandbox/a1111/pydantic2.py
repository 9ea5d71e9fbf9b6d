"""What a server with pydantic 2 reads and refuses otherwise than one with pydantic 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_VERSION = "2.8"
_WORDS: dict[str, tuple[str, str]] = {
    "value_error.missing": ("missing", "Field required"),
    "type_error.integer": ("int_parsing", "Input should be a valid integer, unable to parse string as an integer"),
    "type_error.float": ("float_parsing", "Input should be a valid number, unable to parse string as a number"),
    "type_error.str": ("string_type", "Input should be a valid string"),
    "type_error.bool": ("bool_parsing", "Input should be a valid boolean, unable to interpret input"),
    "type_error.dict": ("dict_type", "Input should be a valid dictionary"),
    "type_error.list": ("list_type", "Input should be a valid list"),
    "value_error.jsondecode": ("json_invalid", "JSON decode error"),
    "value_error.const": ("literal_error", "Input should be an allowed value"),
    "value_error.number.not_gt": ("greater_than", "Input should be greater than {limit}"),
    "value_error.number.not_ge": ("greater_than_equal", "Input should be greater than or equal to {limit}"),
    "value_error.number.not_le": ("less_than_equal", "Input should be less than or equal to {limit}"),
}
_FRACTION = "Input should be a valid integer, got a number with a fractional part"


def too_strict(value: Any, kind: str | None) -> bool:
    """Values pydantic 1 would coerce and 2 does not: a number for a text, a fraction for a whole number."""
    if kind == "string":
        return not isinstance(value, str)
    return kind == "integer" and isinstance(value, float) and not value.is_integer()


def problems(found: list[dict[str, Any]], body: Any) -> list[dict[str, Any]]:
    """The list of a 422 answer in its newer form: type, loc, msg, the value sent (`input`), url."""
    return [_problem(one, body) for one in found]


def _problem(one: Mapping[str, Any], body: Any) -> dict[str, Any]:
    kind, words = _WORDS.get(one["type"], (one["type"], one["msg"]))
    sent = _at(body, one["loc"][1:])
    if kind in {"int_parsing", "float_parsing"} and not isinstance(sent, str):
        kind = kind.replace("parsing", "type")
        words = words.partition(",")[0]
        if isinstance(sent, float):
            kind, words = "int_from_float", _FRACTION
    limit = (one.get("ctx") or {}).get("limit_value")
    said: dict[str, Any] = {"type": kind, "loc": one["loc"], "msg": words.format(limit=limit), "input": sent}
    if kind == "json_invalid":
        return {**said, "input": {}, "ctx": {"error": (one.get("ctx") or {}).get("msg", "")}}
    return {**said, "url": f"https://errors.pydantic.dev/{_VERSION}/v/{kind}"}


def _at(body: Any, place: list[str | int]) -> Any:
    """The value sent at this place; for a missing field the object it is missing from."""
    for step in place:
        try:
            body = body[step]
        except (KeyError, IndexError, TypeError):
            return body
    return body
