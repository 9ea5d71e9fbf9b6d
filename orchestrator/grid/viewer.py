"""The viewer: a page that works from the disk, beside the pictures it shows."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from orchestrator.files import write_text
from orchestrator.grid.manifest import Manifest, to_dict

VIEWER_NAME = "index.html"
DATA_NAME = "data.js"


def write_viewer(folder: Path, manifest: Manifest) -> Path:
    """Write `index.html` and its data into `folder`. Pictures are named relative to it. Raises `StorageError`.

    The data comes as a script, not as JSON to fetch: pages opened from the disk may not fetch anything.
    """
    write_data(folder, manifest)
    return write_text(folder / VIEWER_NAME, page(manifest))


def write_data(folder: Path, manifest: Manifest) -> Path:
    """Write the cells as they stand; an open viewer with pending cells reads them again every few seconds."""
    return write_text(folder / DATA_NAME, data_script(manifest))


def data_script(manifest: Manifest) -> str:
    """The script that hands the manifest to the page."""
    text = json.dumps(_for_script(manifest), ensure_ascii=False, separators=(",", ":"))
    # U+2028/9 end a line in older JavaScript, and "</" would end an inlined script.
    text = text.replace("</", "<\\/").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"window.GRID = {text};\nif (window.showGrid) window.showGrid();\n"


def _for_script(manifest: Manifest) -> dict[str, Any]:
    # JavaScript's numbers end at 2^53 and seeds at 2^63: as numbers, two seeds could become one.
    values = to_dict(manifest)
    values["seeds"] = [str(seed) for seed in manifest.seeds]
    for entry in values["entries"]:
        entry["seed"] = str(entry["seed"])
        if entry["recipe"] is not None:
            entry["recipe"] = _sendable(entry["recipe"])
    return {**values, "shared": _sendable(manifest.shared), "summary": manifest.summary}


def _sendable(recipe: Mapping[str, Any]) -> dict[str, Any]:
    # A viewer may be sent away: no paths of this machine.
    kept = {key: value for key, value in recipe.items() if not key.endswith("_path")}
    return {**kept, "seed": str(kept["seed"])} if "seed" in kept else kept


def page(manifest: Manifest) -> str:
    """The page itself: structure, style and behaviour in one file, with the sheets linked for readers without
    JavaScript.
    """
    files = resources.files("orchestrator.grid") / "viewer_files"
    read = {name: (files / name).read_text(encoding="utf-8") for name in ("page.html", "viewer.css", "viewer.js")}
    title = f"{manifest.title} — simulated" if manifest.simulated else manifest.title
    sheets = " ".join(
        f'<a href="{html.escape(sheet.file)}">{html.escape(_seeds(sheet.seeds))}</a>' for sheet in manifest.sheets
    )
    parts = {
        "title": html.escape(title),
        "sheets": sheets,
        "style": read["viewer.css"],
        "script": read["viewer.js"],
    }
    text = read["page.html"]
    for name, value in parts.items():
        text = text.replace(f"<!--{name}-->", value)
    return text


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else "all seeds side by side"
