"""Routes and fields of the simulated server against the real one's own description, where that is at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator.sandbox.a1111.app import ROUTES
from orchestrator.sandbox.a1111.facts import table

FACTS = Path(os.environ.get("ORCHESTRATOR_FACTS") or Path(__file__).parents[3] / "shared" / "facts") / "a1111"
needs_facts = pytest.mark.skipif(not (FACTS / "openapi.json").is_file(), reason="no captured openapi.json at hand")
NOT_SIMULATED = {
    ("POST", "/sdapi/v1/create/embedding"),
    ("POST", "/sdapi/v1/create/hypernetwork"),
    ("POST", "/sdapi/v1/train/embedding"),
    ("POST", "/sdapi/v1/train/hypernetwork"),
}


def _captured(name: str) -> Any:
    return json.loads((FACTS / name).read_text(encoding="utf-8"))


def _operations(api: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(method.upper(), path): op for path, methods in api["paths"].items() for method, op in methods.items()}


def _named(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    return f"[{_named(schema['items'])}]" if schema.get("type") == "array" else ""


@needs_facts
def test_every_route_exists_in_the_real_server_with_the_same_schemas() -> None:
    real = _operations(_captured("openapi.json"))
    for route in (route for route in ROUTES if route.own):
        operation = real[route.method, route.path]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        assert (route.request is None) == (body is None), route.path
        assert (route.request or "") == _named(body or {}), route.path
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
        expected = _named(answer)
        assert expected in {route.response or "", "Options", "Flags"}, route.path


@needs_facts
def test_no_route_of_the_real_api_is_missing() -> None:
    served = {(route.method, route.path) for route in ROUTES}
    real = {key for key in _operations(_captured("openapi.json")) if key[1].startswith("/sdapi/v1/")}
    assert real - served == NOT_SIMULATED


@needs_facts
def test_every_field_has_the_real_type_default_and_need() -> None:
    real = _captured("openapi.json")["components"]["schemas"]
    for name, schema in table("schemas").items():
        if name == "TaggerInterrogateRequest":
            continue
        assert schema["required"] == real[name].get("required", []), name
        expected = {
            key: {part: value for part, value in prop.items() if part not in {"title", "description"}}
            for key, prop in real[name]["properties"].items()
        }
        assert schema["properties"] == expected, name


@needs_facts
def test_options_flags_and_tables_have_the_real_keys() -> None:
    real = _captured("openapi.json")["components"]["schemas"]
    options = table("options")
    assert list(options) == list(_captured("options.json"))
    for key, prop in real["Options"]["properties"].items():
        assert options[key]["type"] == prop.get("type"), key
        if not key.endswith("_explanation") and key != "settings_in_ui":
            assert options[key]["default"] == prop.get("default"), key
    assert list(table("flags")) == list(_captured("cmd-flags.json"))
    for name in ("samplers", "schedulers", "upscalers", "scripts", "latent-upscale-modes"):
        assert table(name) == _captured(f"{name}.json"), name
    axes = _captured("xyz_axis_index_v1.10.1.json")
    assert {kind: {label: at for at, label in enumerate(table("plot-axes")[kind])} for kind in axes} == axes


def test_request_tables_hold_what_the_handlers_read() -> None:
    for route in ROUTES:
        for name in filter(None, (route.request, (route.response or "").strip("[]"))):
            assert name in table("schemas"), (route.path, name)
