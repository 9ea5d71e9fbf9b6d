"""Which scripts a server has: A1111's own, two extensions, and what the forks build in or change."""

from __future__ import annotations

from functools import cache
from typing import Any

from . import extensions
from .dialects import Dialect, Name
from .facts import table

EXTENSIONS = ("adetailer", "controlnet")
_BUILT_IN: dict[Name, tuple[str, ...]] = {
    "a1111": (),
    "forge": ("freeu integrated", "kohya hrfix integrated", "never oom integrated"),
    "reforge": ("freeu for reforge", "kohya hrfix for reforge", "never oom for reforge"),
    "classic": ("freeu integrated", "never oom integrated"),
}
"""Names of the kind seen there; how many and which differs from version to version."""
_PLOT = "x/y/z plot"
_PLOT_ARGUMENTS = (
    *(f"{letter}_{part}" for letter in "xyz" for part in ("type", "values", "values_dropdown")),
    *("draw_legend", "include_lone_images", "include_sub_grids", "no_fixed_seeds"),
    *("vary_seeds_x", "vary_seeds_y", "vary_seeds_z", "margin_size", "csv_mode"),
)
_AFTER = "draw_legend"
_MORE = {
    "draw_individual_labels": ("Draw individual labels", False),
    "skip_final_grid": ("Skip final grid generation", False),
    "items_per_grid": ("Items per grid", 0),
}
"""reForge's further arguments, which come after the legend: name -> (label, default)."""


def plot_arguments(dialect: Dialect) -> tuple[str, ...]:
    """Names of the x/y/z plot's arguments in their order: 18, on reForge 21."""
    if dialect.name != "reforge":
        return _PLOT_ARGUMENTS
    at = _PLOT_ARGUMENTS.index(_AFTER) + 1
    return (*_PLOT_ARGUMENTS[:at], *_MORE, *_PLOT_ARGUMENTS[at:])


@cache
def listed(dialect: Dialect) -> dict[str, list[str]]:
    """GET /scripts."""
    more = [*_BUILT_IN[dialect.name], *EXTENSIONS]
    return {kind: [*names, *more] for kind, names in table("scripts").items()}


@cache
def entries(dialect: Dialect) -> list[dict[str, Any]]:
    """GET /script-info, with `@axes`, `@samplers` and `@checkpoints` where choices depend on the server."""
    own = [{**entry, "args": _arguments(entry, dialect)} for entry in table("script-info")]
    for name in (*_BUILT_IN[dialect.name], *EXTENSIONS):
        args = extensions.script_info(name) if name in EXTENSIONS else []
        own += [{"name": name, "is_alwayson": True, "is_img2img": img2img, "args": args} for img2img in (False, True)]
    return own


def _arguments(entry: dict[str, Any], dialect: Dialect) -> list[dict[str, Any]]:
    args: list[dict[str, Any]] = entry["args"]
    if entry["name"] != _PLOT or dialect.name != "reforge":
        return args
    at = _PLOT_ARGUMENTS.index(_AFTER) + 1
    more = [{**args[at], "label": label, "value": value} for label, value in _MORE.values()]
    return [*args[:at], *more, *args[at:]]
