"""A deployed run in the sandbox's LoRA list, and grids over it, small enough to be drawn in a test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.grid.cells import DeployedLora, Grid
from orchestrator.grid.definition import AskedAxis, Definition, Settings, Subject, asked
from orchestrator.grid.planning import plan
from orchestrator.grid.reading import read
from orchestrator.grid.stock import take_stock
from orchestrator.render.engine import Renderer

TRIGGER = "ai_model_v2"
STARTER = "ai_model_v2-000040"
SEEDS = (123456789, 2**63 - 1)
SMALL = Settings(sampler="DPM++ 2M", scheduler="Karras", steps=2, width=128, height=128)
SUBJECT = Subject("ai_model", "v2", "{name}_{version}")


@dataclass(frozen=True)
class File:
    """A LoRA file as the grid sees it."""

    epoch: int
    sha256: str


@dataclass(frozen=True)
class Deployed:
    """A deployed LoRA file as the grid sees it."""

    lora: File
    stem: str
    shown_hash: str


def starter(renderer: Renderer, epoch: int = 40) -> Deployed:
    """The LoRA file that every sandbox has, as an epoch of a run."""
    entry = next(each for each in renderer.server.client.loras() if each.name == STARTER)
    return Deployed(File(epoch, "f" * 64), STARTER, str(entry.metadata["sshs_model_hash"])[:12])


def grid_of(
    renderer: Renderer,
    axes: Iterable[tuple[str, Any]],
    files: Sequence[DeployedLora] = (),
    *,
    root: Path = Path(),
    **more: Any,
) -> Grid:
    """A grid of 128×128 pictures of two steps over axes as (kind, values); `more` are fields of its definition.

    Without `files` the run is that of the starter.
    """
    values = {"name": "face", "prompt": "{trigger}, close-up", "subject": SUBJECT, "settings": SMALL, **more}
    definition = Definition(axes=tuple(_axis(kind, written) for kind, written in axes), **values)
    runs = {definition.subject.version: list(files) or [starter(renderer)]}
    return plan(read(definition), take_stock(read(definition), renderer.server, runs, root))


def _axis(kind: str, written: Any) -> AskedAxis:
    return asked(kind, written if isinstance(written, str) else tuple(written))


def small_grid(
    renderer: Renderer, *, name: str = "face", seeds: tuple[int, ...] = SEEDS, weights: tuple[float, ...] = (0.4, 1.0)
) -> Grid:
    """One epoch × two weights × two seeds with a baseline, 128×128; the lower weight left out with `exclude`."""
    return grid_of(
        renderer,
        [("epoch", (40,)), ("weight", (0.2, *weights)), ("seed", seeds)],
        name=name,
        prompt=f"{TRIGGER}, close-up, </script>",
        exclude=("epoch <= 40 and weight <= 0.2",),
    )


def tiny(**settings: Any) -> Settings:
    """The settings of these grids with some changed."""
    return replace(SMALL, **settings)
