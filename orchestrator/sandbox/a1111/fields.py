"""Request bodies read the way pydantic 1 reads them: `"64"`, 64.7 and "no" are accepted, "maybe" and null
sometimes are not."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from typing import Any

from . import pydantic2
from .dialects import A1111, Dialect
from .facts import table
from .failures import InvalidBody

Problem = dict[str, Any]
_TRUE = {1, "1", "on", "t", "true", "y", "yes"}
_FALSE = {0, "0", "off", "f", "false", "n", "no"}
_NULLABLE = {"StableDiffusionProcessingTxt2Img", "StableDiffusionProcessingImg2Img"}


class _Refused(Exception):
    def __init__(self, msg: str, kind: str, ctx: dict[str, Any] | None = None) -> None:
        super().__init__(msg)
        self.msg, self.kind, self.ctx = msg, kind, ctx


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise _Refused("value is not a valid integer", "type_error.integer") from None


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise _Refused("value is not a valid float", "type_error.float") from None


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return str(value)
    raise _Refused("str type expected", "type_error.str")


def _boolean(value: Any) -> bool:
    plain = value.lower() if isinstance(value, str) else value
    try:
        if plain in _TRUE:
            return True
        if plain in _FALSE:
            return False
    except TypeError:
        pass
    raise _Refused("value could not be parsed to a boolean", "type_error.bool")


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    try:
        return dict(value)
    except (TypeError, ValueError):
        raise _Refused("value is not a valid dict", "type_error.dict") from None


def _array(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    raise _Refused("value is not a valid list", "type_error.list")


_LIMITS: tuple[tuple[str, Callable[[Any, Any], bool], str, str], ...] = (
    ("exclusiveMinimum", operator.le, "greater than", "not_gt"),
    ("minimum", operator.lt, "greater than or equal to", "not_ge"),
    ("maximum", operator.gt, "less than or equal to", "not_le"),
)
_READERS: dict[str, Callable[[Any], Any]] = {
    "integer": _integer,
    "number": _number,
    "string": _string,
    "boolean": _boolean,
    "object": _object,
    "array": _array,
}


def _limits(value: Any, schema: Mapping[str, Any]) -> None:
    if "enum" in schema and value not in schema["enum"]:
        permitted = ", ".join(map(str, schema["enum"]))
        raise _Refused(
            f"unexpected value; permitted: {permitted}",
            "value_error.const",
            {"given": value, "permitted": schema["enum"]},
        )
    for key, wrong, words, kind in _LIMITS:
        if key in schema and wrong(value, schema[key]):
            limit = schema[key]
            raise _Refused(
                f"ensure this value is {words} {limit:g}", f"value_error.number.{kind}", {"limit_value": limit}
            )


def coerce(value: Any, schema: Mapping[str, Any]) -> Any:
    """The value as the server would hold it. Raises ValueError with the server's words if it does not fit."""
    try:
        return _coerce(value, schema)
    except _Refused as refused:
        raise ValueError(f"{refused.msg} (type={refused.kind})") from None


def _coerce(value: Any, schema: Mapping[str, Any], strict: bool = False) -> Any:
    kind = schema.get("type")
    if kind is None:
        return value
    if strict and pydantic2.too_strict(value, kind):
        raise _Refused("not coerced", {"string": "type_error.str"}.get(kind, "type_error.integer"))
    if "enum" in schema:
        _limits(value, schema)
        return value
    value = _READERS[kind](value)
    _limits(value, schema)
    return value


def _field(
    value: Any, schema: Mapping[str, Any], where: list[str | int], problems: list[Problem], dialect: Dialect
) -> Any:
    try:
        value = _coerce(value, schema, dialect.pydantic2)
    except _Refused as refused:
        problem: Problem = {"loc": where, "msg": refused.msg, "type": refused.kind}
        problems.append({**problem, "ctx": refused.ctx} if refused.ctx else problem)
        return None
    items = schema.get("items") or {}
    if schema.get("type") == "array" and items:
        if "$ref" in items:
            name = str(items["$ref"]).rsplit("/", 1)[1]
            return [_read(name, item, [*where, at], problems, dialect) for at, item in enumerate(value)]
        return [_field(item, items, [*where, at], problems, dialect) for at, item in enumerate(value)]
    return value


def _read(name: str, body: Any, where: list[str | int], problems: list[Problem], dialect: Dialect) -> dict[str, Any]:
    if not isinstance(body, dict):
        problems.append({"loc": where, "msg": "value is not a valid dict", "type": "type_error.dict"})
        return {}
    schema = table("schemas", dialect.name)[name]
    values: dict[str, Any] = {}
    for key, prop in schema["properties"].items():
        if key not in body:
            if key in schema["required"]:
                problems.append({"loc": [*where, key], "msg": "field required", "type": "value_error.missing"})
            default = prop.get("default")
            values[key] = default.copy() if isinstance(default, (list, dict)) else default
        elif body[key] is None:
            if name not in _NULLABLE and ("default" in prop or key in schema["required"]):
                problems.append(
                    {"loc": [*where, key], "msg": "none is not an allowed value", "type": "type_error.none.not_allowed"}
                )
            values[key] = None
        else:
            values[key] = _field(body[key], prop, [*where, key], problems, dialect)
    return values


def read_body(name: str, body: Any, dialect: Dialect = A1111) -> dict[str, Any]:
    """All fields of the request called `name` in the API's schema, with its defaults; unknown keys are dropped
    silently.

    Raises:
        InvalidBody: the same list of problems the real server answers with status 422.
    """
    problems: list[Problem] = []
    values = _read(name, body, ["body"], problems, dialect)
    if problems:
        raise InvalidBody(problems, body)
    return values


def read_json(raw: bytes, content_type: str | None) -> Any:
    """The parsed body. Raises InvalidBody for no body, another content type, bad JSON or anything but an object."""
    if not raw:
        raise InvalidBody([{"loc": ["body"], "msg": "field required", "type": "value_error.missing"}])
    subtype = (content_type or "application/json").split(";")[0].strip().lower().partition("/")[2]
    not_a_dict = InvalidBody([{"loc": ["body"], "msg": "value is not a valid dict", "type": "type_error.dict"}])
    if subtype != "json" and not subtype.endswith("+json"):
        raise not_a_dict
    try:
        body = json.loads(raw)
    except json.JSONDecodeError as bad:
        context = {"msg": bad.msg, "doc": bad.doc, "pos": bad.pos, "lineno": bad.lineno, "colno": bad.colno}
        problem = {"loc": ["body", bad.pos], "msg": str(bad), "type": "value_error.jsondecode", "ctx": context}
        raise InvalidBody([problem]) from None
    except ValueError:
        raise http_unreadable() from None
    if not isinstance(body, dict):
        raise not_a_dict
    return body


def http_unreadable() -> InvalidBody:
    """A body that is not even text."""
    return InvalidBody([{"loc": ["body"], "msg": "There was an error parsing the body", "type": "value_error"}])
