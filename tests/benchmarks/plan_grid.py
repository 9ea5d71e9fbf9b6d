"""Planning 100,000 cells: recipes, keys and the order of drawing; beside what hashing the same texts alone costs."""

from __future__ import annotations

import hashlib
import resource
import sys
import time

from orchestrator.grid.cells import Grid
from orchestrator.grid.definition import AskedAxis, Definition, Settings, Subject
from orchestrator.grid.order import drawing_order, loads
from orchestrator.grid.planning import plan
from orchestrator.grid.reading import read
from orchestrator.grid.stock import Stock
from orchestrator.render.recipe import LoraUse, Recipe, canonical

LIMIT_S = 2.0
_EPOCHS = range(1, 51)
_SUBJECT = Subject("ai_model", "v4", "{name}_{version}")
_PROMPT = (
    "{trigger}, upper body, looking at camera, hand raised, red hair, (soft light:1.1), photo of a woman in a garden"
)
_NEGATIVE = "(worst quality:2), (low quality:2), (normal quality:2), lowres, bad anatomy, bad hands, text, watermark"

#: A LoRA grid of the usual kind, and one whose cells share less.
GRIDS = {
    "epoch × weight × seed": (
        AskedAxis("epoch", "1-50"), AskedAxis("weight", "0.05-1.0 (+0.05)"), AskedAxis("seed", "1-100"),
    ),
    "steps × CFG × sampler × words × seed": (
        AskedAxis("steps", "10-40 (+1)"), AskedAxis("cfg", "2-12 [20]"),
        AskedAxis("sampler", "Euler a, DDIM, UniPC, Heun"),
        AskedAxis("replace", "red hair, black hair, blue hair, green hair"), AskedAxis("seed", "1-10"),
    ),
}  # fmt: skip


def stock() -> Stock:
    """A run of fifty epochs."""
    base = Recipe(
        prompt="", checkpoint_hash="49d6e35fbc", checkpoint="v1-5.safetensors [49d6e35fbc]",
        server_version="A1111 v1.10.1", settings_hash="0123456789ab", vae="Automatic",
    )  # fmt: skip
    files = {e: LoraUse(f"ai_model_v4-{e:06d}-abcdef", f"{e:064x}", f"{e:012x}", 1.0) for e in _EPOCHS}
    return Stock(base, lambda sampler, scheduler: (sampler, scheduler), {"v4": files})


def planned(axes: tuple[AskedAxis, ...]) -> tuple[Grid, list[Recipe], dict[str, float]]:
    """The grid, its order, and the seconds of each part."""
    definition = Definition(
        name="large", axes=axes, prompt=_PROMPT, negative_prompt=_NEGATIVE, subject=_SUBJECT, settings=Settings(),
        exclude=("epoch <= 3 and weight <= 0.2",) if axes[0].kind == "epoch" else ("steps < 12 and cfg > 10",),
    )  # fmt: skip
    there = stock()
    times = [time.perf_counter()]
    grid = plan(read(definition), there)
    times.append(time.perf_counter())
    for cell in grid.cells:
        if cell.recipe is not None:
            _ = cell.recipe.key
    times.append(time.perf_counter())
    order = drawing_order(grid)
    times.append(time.perf_counter())
    names = ("plan", "key", "order")
    return grid, order, {name: b - a for name, a, b in zip(names, times, times[1:], strict=False)}


def main() -> None:
    """Print the figures beside their limit."""
    for name, axes in GRIDS.items():
        best: dict[str, float] = {}
        for _ in range(3):
            grid, order, seconds = planned(axes)
            if not best or sum(seconds.values()) < sum(best.values()):
                best = seconds
        texts = [canonical(recipe).encode() for recipe in order]
        started = time.perf_counter()
        for text in texts:
            hashlib.sha256(text).hexdigest()
        hashing = time.perf_counter() - started
        total = sum(best.values())
        parts = ", ".join(f"{part} {value:.2f} s" for part, value in best.items())
        print(f"{name}: {len(grid.cells):,} cells, {len(order):,} pictures, {loads(order).loras} LoRA loads")
        print(f"  {total:.2f} s ({parts}); limit {LIMIT_S:g} s, ratio {total / LIMIT_S:.2f}")
        print(f"  hashing the same texts alone: {hashing:.2f} s, ratio {total / hashing:.1f}")
    scale = 1 if sys.platform == "darwin" else 1024
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
