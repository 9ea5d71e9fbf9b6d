"""/openapi.json of the routes served, from the same tables that read the requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .dialects import A1111, Dialect
from .facts import table
from .routing import Route


def _reference(name: str) -> dict[str, Any]:
    if name.startswith("["):
        return {"type": "array", "items": _reference(name[1:-1])}
    return {"$ref": f"#/components/schemas/{name}"}


def _operation(route: Route) -> dict[str, Any]:
    answer: dict[str, Any] = _reference(route.response) if route.response else {}
    content = {"application/json": {"schema": answer}}
    operation: dict[str, Any] = {"responses": {"200": {"description": "Successful Response", "content": content}}}
    if route.request is not None:
        body: dict[str, Any] = _reference(route.request) if route.request else {"type": "object", "title": "Req"}
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}, "required": True}
    return operation


def _component(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    component: dict[str, Any] = {"title": name, "type": "object", "properties": schema["properties"]}
    return {**component, "required": schema["required"]} if schema["required"] else component


def openapi(routes: Sequence[Route], dialect: Dialect = A1111) -> dict[str, Any]:
    """An OpenAPI 3 document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    components = {name: _component(name, schema) for name, schema in table("schemas", dialect.name).items()}
    for name, kinds in (("Options", "options"), ("Flags", "flags")):
        components[name] = {
            "title": name,
            "type": "object",
            "properties": {key: {"title": key} for key in table(kinds, dialect.name)},
        }
    return {
        "openapi": "3.1.0" if dialect.pydantic2 else "3.0.2",
        "info": {"title": "FastAPI", "version": "0.1.0"},
        "paths": paths,
        "components": {"schemas": components},
    }
