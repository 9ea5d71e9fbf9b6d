"""Grids on disk for the viewer: a manifest with the states one asks for, and a picture file for every cell."""

from __future__ import annotations

import colorsys
import hashlib
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from orchestrator.grid import manifest as manifests
from orchestrator.grid.manifest import At, Axis, Entry, Manifest, SheetEntry, State
from orchestrator.grid.thumbnails import thumbnails
from orchestrator.grid.viewer import write_viewer

#: What is drawn for a place: a picture of that many pixels a side.
Paint = Callable[[At, int], Image.Image]
#: The state of a place and its reason.
States = Callable[[At], tuple[State, str]]

EPOCHS = Axis("epoch", "epoch", ("20", "40", "60", "80"), lora=True)
WEIGHTS = Axis("weight", "weight", ("0.4", "0.6", "0.8", "1"), lora=True)
SEEDS = Axis("seed", "seed", ("123456789", "9223372036854775807"))


def flat(at: At, side: int) -> Image.Image:
    """A colour of its own for every place."""
    hue = int(hashlib.sha256(repr(at).encode()).hexdigest()[:8], 16) / 2**32
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.55, 0.85))
    return Image.new("RGB", (side, side), (red, green, blue))


def manifest_of(
    axes: Sequence[Axis],
    *,
    title: str = "ai_model_v4: faces",
    prompt: str = "ai_model_v4, close-up, looking at camera, smile",
    state: States = lambda at: ("ready", ""),
    x: int = 1,
    y: int = 0,
    side: int = 64,
    highlighted: tuple[At, ...] = (),
) -> Manifest:
    """A grid over `axes` with a baseline where one of them is a LoRA axis."""
    baseline = any(axis.lora for axis in axes)
    indexes = [range(len(axis.values)) for axis in axes]
    bare = [[None] if axis.lora else range(len(axis.values)) for axis in axes]
    places: list[At] = list(itertools.product(*bare)) if baseline else []
    places += list(itertools.product(*indexes))
    return Manifest(
        name="faces",
        title=title,
        simulated=True,
        definition={},
        axes=tuple(axes),
        x=x,
        y=y,
        baseline=baseline,
        shared={
            "negative_prompt": "lowres, bad anatomy", "steps": 28, "cfg_scale": 6.0, "sampler": "DPM++ 2M",
            "scheduler": "Karras", "width": side, "height": side, "clip_skip": 1, "checkpoint": "anything.safetensors",
            "checkpoint_hash": "a" * 64, "server_version": "A1111 v1.10.1", "init_path": None,
        },
        cells=tuple(_entry(axes, at, prompt, *state(at)) for at in places),
        highlighted=highlighted,
        sheets=(SheetEntry("sheet-1.png", (None,) * len(axes)),),
        made_with={"orchestrator": "1", "server": "A1111 v1.10.1"},
    )  # fmt: skip


def _entry(axes: Sequence[Axis], at: At, prompt: str, state: State, reason: str) -> Entry:
    named = [f"{a.name} {a.values[i]}" for a, i in zip(axes, at, strict=True) if i is not None]
    label = ", ".join(["no LoRA", *named] if None in at else named)
    name = "_".join("no-lora" if i is None else f"{i:04d}" for i in at)
    value = {a.kind: a.values[i] for a, i in zip(axes, at, strict=True) if i is not None}
    lora = {"stem": f"ai_model_v4-{int(value.get('epoch', 80)):06d}-3fa2c1", "sha256": "b" * 64, "shown_hash": "c" * 12}
    recipe = {
        "prompt": prompt.replace("ai_model_v4, ", "") if None in at else prompt,
        "seed": int(value.get("seed", 123456789)),
        "loras": [] if None in at else [{**lora, "weight": float(value.get("weight", 0.8))}],
    }
    return Entry(
        at,
        label,
        state,
        picture=f"pictures/{name} #1.png" if state == "ready" else "",
        key="" if state == "left out" else hashlib.sha256(repr((at, recipe)).encode()).hexdigest(),
        reason=reason,
        recipe=None if state == "left out" else recipe,
        seconds=4.2 if state == "ready" else None,
    )


def write_grid(folder: Path, manifest: Manifest, paint: Paint = flat) -> Path:
    """Write the grid with pictures, thumbnails, a sheet and its viewer; the page."""
    side = int(manifest.shared["width"])
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    with thumbnails(folder) as want:
        for entry in manifest.cells:
            if entry.picture:
                paint(entry.at, side).save(folder / entry.picture, compress_level=1)
                want(entry.key, folder / entry.picture)
    flat((), 8).save(folder / "sheet-1.png")
    manifests.write(folder, manifest)
    return write_viewer(folder, manifest)
