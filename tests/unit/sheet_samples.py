"""Grids on disk with plain pictures, for tests of sheets."""

from __future__ import annotations

import colorsys
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from orchestrator.grid import manifest as manifests
from orchestrator.grid.manifest import At, Axis, Entry, Manifest, State

EPOCHS = Axis("epoch", "epoch", ("20", "40", "80"), True)
WEIGHTS = Axis("weight", "weight", ("0.6", "0.8"), True)
SEEDS = Axis("seed", "seed", ("123456789", "123123123"))
JAPANESE = (
    "初音ミク、全身、夕焼けの海辺に立つ少女、風になびく長い髪、白いワンピース、麦わら帽子、逆光、繊細な光、高精細"
)


def colour(number: int) -> tuple[int, int, int]:
    """A colour of its own for every cell, none of them one that sheets draw with."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.37 % 1, 0.6 + number % 3 * 0.13, 0.7)
    return round(red * 255), round(green * 255), round(blue * 255)


def grid(
    folder: Path,
    axes: Sequence[Axis],
    *,
    x: int = 1,
    y: int = 0,
    size: tuple[int, int] = (64, 48),
    states: Mapping[At, tuple[State, str]] | None = None,
    highlighted: Sequence[At] = (),
    baseline: bool = True,
    title: str = "miku_v4: faces",
) -> Manifest:
    """A grid with a picture of one colour for every cell, written into `folder`."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    places: list[At] = list(itertools.product(*(range(len(axis.values)) for axis in axes)))
    if baseline and any(axis.lora for axis in axes):
        bare = itertools.product(*([None] if axis.lora else range(len(axis.values)) for axis in axes))
        places = [*bare, *places]
    cells = []
    for number, at in enumerate(places):
        state, reason = (states or {}).get(at, ("ready", ""))
        picture = f"pictures/{number:03d}.png" if state == "ready" else ""
        if picture:
            Image.new("RGB", size, colour(number)).save(folder / picture)
        words = [f"{axis.name} {axis.values[i]}" for axis, i in zip(axes, at, strict=True) if i is not None]
        label = ", ".join((["no LoRA"] if None in at else []) + words)
        recipe = {"prompt": "miku, close-up", "init_path": "C:/secret/init.png"}
        cells.append(Entry(at, label, state, picture, f"key-{number}", reason, recipe=recipe))
    shared = {"width": size[0], "height": size[1], "steps": 28, "cfg_scale": 6.0, "sampler": "Euler a", "scheduler": ""}
    made = Manifest(
        "faces", title, False, {"prompt": "{trigger}, close-up"}, tuple(axes), x, y, baseline, shared, tuple(cells),
        tuple(highlighted),
    )  # fmt: skip
    manifests.write(folder, made)
    return made
