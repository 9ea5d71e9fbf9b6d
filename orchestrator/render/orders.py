"""Recipes → requests, in the order that costs least."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from orchestrator.a1111.models import Generated
from orchestrator.render.recipe import Recipe


@dataclass
class Order:
    """One request: a single picture, or all pictures of a batch. It counts what went wrong with it so far."""

    recipes: tuple[Recipe, ...]
    failures: int = 0
    lost: int = 0
    returned: int = 0
    #: The answer that may have been cut off; drawn again, it must come out the same to be believed.
    doubtful: Generated | None = None

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The LoRA files (sha256) it needs loaded, with checkpoint and VAE before them: what is dear to change."""
        first = self.recipes[0]
        return (first.checkpoint_hash, first.vae, *(use.sha256 for use in first.loras))

    @property
    def is_img2img(self) -> bool:
        """Whether it starts from a picture."""
        return bool(self.recipes[0].init_sha256)


def orders(recipes: Iterable[Recipe], *, as_given: bool = False) -> list[Order]:
    """The requests that draw `recipes`, in the cheapest order; a batch is asked for whole even if one picture is
    missing. With `as_given` they stay in their order, which somebody has thought about.

    Checkpoint and VAE outermost, then LoRA file, its weight, the prompt, the seed. Measured on 1.10.1: another LoRA
    file costs twice another weight, so this is 1.8 times faster than LoRA innermost. Pictures without LoRA come first:
    residue of a LoRA that was taken out has been reported, and the baseline must be free of it.
    """
    asked: dict[str, Order] = {}
    for recipe in recipes:
        if recipe.batch_size == 1:
            asked[recipe.key] = Order((recipe,))
            continue
        first = recipe.evolve(seed=recipe.seed - recipe.batch_position, batch_position=0)
        if first.key not in asked:
            members = (first.evolve(seed=first.seed + k, batch_position=k) for k in range(recipe.batch_size))
            asked[first.key] = Order(tuple(members))
    return list(asked.values()) if as_given else sorted(asked.values(), key=_cost_of_change)


def _cost_of_change(order: Order) -> tuple[object, ...]:
    recipe = order.recipes[0]
    weights = tuple(use.weight for use in recipe.loras)
    strength = -1.0 if recipe.denoising_strength is None else recipe.denoising_strength
    return (order.files, weights, recipe.prompt, recipe.seed, recipe.init_sha256, strength)
