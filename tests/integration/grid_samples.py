"""A deployed run in the sandbox's LoRA list, and grids over it, small enough to be drawn in a test."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.grid.cells import Grid, plan
from orchestrator.profile.model import Excluded, GridPlan
from orchestrator.render.engine import Renderer
from orchestrator.render.recipe import LoraUse, Recipe

TRIGGER = "ai_model_v2"
STARTER = "ai_model_v2-000040"
SEEDS = (123456789, 2**63 - 1)


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


def small_grid(
    renderer: Renderer, *, name: str = "face", seeds: tuple[int, ...] = SEEDS, weights: tuple[float, ...] = (0.4, 1.0)
) -> Grid:
    """One epoch × two weights × two seeds with a baseline, 128×128; the lower weight left out with `exclude`."""
    server = renderer.server
    entry = next(each for each in server.client.loras() if each.name == STARTER)
    shown = str(entry.metadata["sshs_model_hash"])[:12]

    def make_recipe(prompt: str, seed: int, loras: tuple[LoraUse, ...]) -> Recipe:
        return Recipe(
            prompt=prompt, seed=seed, loras=loras, width=128, height=128, steps=2,
            checkpoint=server.checkpoint, checkpoint_hash=server.checkpoint_hash, server_version=server.version,
        )  # fmt: skip

    grid_plan = GridPlan(
        name=name,
        prompt=f"{TRIGGER}, close-up, </script>",
        seeds=seeds,
        weights=(0.2, *weights),
        exclude=(Excluded(epoch_up_to=40, weight_up_to=0.2),),
    )
    return plan(grid_plan, [Deployed(File(40, "f" * 64), STARTER, shown)], make_recipe, trigger=TRIGGER)
