"""One page as text: a template with the shared look, and a policy that lets it load nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_HERE = Path(__file__).parent


def look() -> str:
    """The style sheet of all pages."""
    return (_HERE / "page.css").read_text(encoding="utf-8")


def render(
    templates: Path, name: str, content: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]] | None = None
) -> str:
    """The page of `templates`/`name`.html, with `name`.css after the shared look and `name`.js at its end.

    Whatever `content` holds is escaped. The page's own style and script are named by their hash, so that nothing a
    picture's name or a caption smuggles in can run or load anything.
    """
    style = look() + _text(templates / f"{name}.css")
    script = _text(templates / f"{name}.js")
    environment = Environment(
        loader=FileSystemLoader([templates, _HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters or {})
    return environment.get_template(f"{name}.html").render(
        **content,
        style=Markup(style),
        script=Markup(script),
        policy=policy(style, script),
        for_script=for_script,
    )


def policy(style: str, script: str) -> str:
    """The Content-Security-Policy of a page that holds all it shows."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def for_script(value: Any) -> Markup:
    """`value` as JSON inside a <script type="application/json">; no text in it can end that element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"
