"""The viewer: a page that works from the disk, beside the pictures it shows.

The page is `index.html` with style and behaviour in it; the cells come as a script of their own, `data.js`, because
pages opened from the disk may not fetch anything. Nothing is asked of the network; the page's own policy forbids it.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orchestrator.files import write_text
from orchestrator.grid.manifest import Entry, Manifest, without_paths
from orchestrator.grid.thumbnails import SIDE, existing, thumbnail_name
from orchestrator.workspace import PROFILE_NAME

VIEWER_NAME = "index.html"
DATA_NAME = "data.js"
#: In the order in which they build on each other.
_SCRIPTS = (
    "model", "view", "notes", "filter", "layout", "cell", "table", "stage", "details", "large", "panels", "keys", "app",
)  # fmt: skip


def write_viewer(folder: Path, manifest: Manifest, thumbnails: Mapping[str, str] | None = None) -> Path:
    """Write `index.html` and its data into `folder`. Pictures are named relative to it. Raises `StorageError`.

    `thumbnails` names the small copy of a picture by the picture's name, both relative to `folder`; without it, those
    are used that `orchestrator.grid.thumbnails` made there.
    """
    write_data(folder, manifest, thumbnails)
    return write_text(folder / VIEWER_NAME, page(manifest))


def write_data(folder: Path, manifest: Manifest, thumbnails: Mapping[str, str] | None = None) -> Path:
    """Write the cells as they stand; an open viewer with pending cells reads them again every few seconds."""
    if thumbnails is None:
        there = existing(folder)
        names = {entry.picture: thumbnail_name(entry.key) for entry in manifest.cells if entry.picture}
        thumbnails = {picture: name for picture, name in names.items() if name in there}
    # Where the folder is a workspace's own, the page can name commands on it.
    own = folder.parent.name == "grids" and (folder.parent.parent / PROFILE_NAME).is_file()
    return write_text(folder / DATA_NAME, data_script(manifest, thumbnails, folder.name if own else ""))


def data_script(manifest: Manifest, thumbnails: Mapping[str, str], folder: str = "") -> str:
    """The script that hands the grid to the page; `folder` is its name among the workspace's grids."""
    values = {**_for_script(manifest, thumbnails), "folder": folder}
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    # U+2028/9 end a line in older JavaScript, and "</" would end an inlined script.
    text = text.replace("</", "<\\/").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"window.GRID = {text};\nif (window.showGrid) window.showGrid();\n"


def _for_script(manifest: Manifest, thumbnails: Mapping[str, str]) -> dict[str, Any]:
    axes = [{"name": axis.name, "values": axis.values, "lora": axis.lora} for axis in manifest.axes]
    width, height = _box(manifest)
    return {
        "id": identity(manifest),
        "name": manifest.name,
        "title": _title(manifest),
        "summary": manifest.summary,
        "axes": axes,
        "x": manifest.x,
        "y": manifest.y,
        "box": {"width": width, "height": height},
        "thumbnailSide": SIDE,
        "shared": _sendable(manifest.shared),
        "highlighted": manifest.highlighted,
        "cells": [_cell(entry, thumbnails.get(entry.picture, "")) for entry in manifest.cells],
    }


def identity(manifest: Manifest) -> str:
    """What stars and notes are kept under in a browser: they outlive cells that come and folders that move."""
    names = [manifest.name, manifest.title, sorted(axis.name for axis in manifest.axes)]
    return hashlib.sha256(json.dumps(names).encode("utf-8")).hexdigest()[:16]


def _cell(entry: Entry, thumbnail: str) -> dict[str, Any]:
    values = {
        "picture": _address(entry.picture),
        "thumb": _address(thumbnail),
        "key": entry.key,
        "reason": entry.reason,
        "seconds": entry.seconds,
        "recipe": None if entry.recipe is None else _sendable(entry.recipe),
    }
    return {"at": entry.at, "label": entry.label, "state": entry.state, **{k: v for k, v in values.items() if v}}


def _address(name: str) -> str:
    # Only what lies in the folder or beside it: `//host/…` from a manifest of somebody else would be another computer.
    return quote(name.lstrip("/\\"))


def _sendable(recipe: Mapping[str, Any]) -> dict[str, Any]:
    # JavaScript's numbers end at 2^53 and seeds at 2^63.
    kept = without_paths(recipe)
    return {key: str(value) if type(value) is int and abs(value) >= 2**53 else value for key, value in kept.items()}


def _box(manifest: Manifest) -> tuple[int, int]:
    """The smallest size that all pictures fit into."""
    sizes = [manifest.shared, *(entry.recipe or {} for entry in manifest.cells)]
    width = max((int(recipe["width"]) for recipe in sizes if recipe.get("width")), default=1)
    height = max((int(recipe["height"]) for recipe in sizes if recipe.get("height")), default=1)
    return width, height


def _title(manifest: Manifest) -> str:
    return f"{manifest.title} — simulated" if manifest.simulated else manifest.title


def page(manifest: Manifest) -> str:
    """The page itself: structure, style and behaviour in one file; for readers without JavaScript the numbers, the axes
    and links to the sheets.
    """
    style = _read("viewer.css")
    script = "\n".join(_read(f"{name}.js") for name in _SCRIPTS)
    sheets = "".join(
        f'<li><a href="{html.escape(_address(sheet.file))}">{html.escape(manifest.words_of(sheet))}</a></li>'
        for sheet in manifest.sheets
    )
    axes = "".join(
        f"<dt>{html.escape(axis.name)}</dt><dd>{html.escape(', '.join(axis.values))}</dd>" for axis in manifest.axes
    )
    parts = {
        "policy": html.escape(_policy(style, script)),
        "title": html.escape(_title(manifest)),
        "summary": html.escape(manifest.summary),
        "example": "s:failed",
        "axes": axes,
        "sheet-items": sheets,
        "no-sheets": "" if manifest.sheets else " hidden",
        "style": style,
        "script": script,
    }
    # Split, not replaced one after the other: a title may hold what looks like another part's place.
    pieces = _read("page.html").split("<!--")
    filled = [parts[name] + rest for name, _, rest in (piece.partition("-->") for piece in pieces[1:])]
    return pieces[0] + "".join(filled)


def _policy(style: str, script: str) -> str:
    # `file:` beside 'self': browsers differ in whether a page from the disk may call its neighbours its own.
    own = "'self' file:"
    return (
        f"default-src 'none'; img-src {own} data:; script-src {own} {_digest(script)}; style-src {_digest(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _read(name: str) -> str:
    return (resources.files("orchestrator.grid") / "viewer_files" / name).read_text(encoding="utf-8")
