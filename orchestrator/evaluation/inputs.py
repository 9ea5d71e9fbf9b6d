"""What an evaluation was made from, so that results of other rounds, settings or files are not taken for its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from orchestrator.evaluation.rounds import Place
from orchestrator.grid.cells import MakeRecipe
from orchestrator.grid.prompts import baseline_prompt
from orchestrator.profile.model import Profile


def fingerprint(profile: Profile, make_recipe: MakeRecipe) -> str:
    """The sha256 (64 hex digits) over the rounds, how their seeds are scouted, and all that decides their pictures.

    Prompts, generation settings and the checkpoint's hash come in through the recipes without LoRA, as scouting draws
    them. A1111's version is left out: an update does not move seeds.
    """
    rounds = []
    for round_ in profile.evaluation.rounds:
        prompt = profile.fill(round_.prompt)
        # The prompt with the trigger word is what the cells are drawn with.
        recipes = [make_recipe(text, 0, ()) for text in (baseline_prompt(prompt, profile.trigger), prompt)]
        rounds.append(
            [round_.name, round_.expects, *(recipe.evolve(server_version="").key for recipe in recipes)],
        )
    decisive = {"rounds": rounds, "scouting": profile.scouting.model_dump(mode="json")}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def lora_files(places: Sequence[Place]) -> tuple[str, ...]:
    """The sha256 of every LoRA file the places are drawn with, sorted."""
    return tuple(sorted({use.sha256 for place in places for use in place.recipe.loras}))
