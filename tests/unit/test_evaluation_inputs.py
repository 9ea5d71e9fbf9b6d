"""What the kept seeds and the verdict are tied to."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.evaluation.inputs import fingerprint
from orchestrator.profile.model import Profile
from orchestrator.render.recipe import LoraUse, Recipe

WORLD: dict[str, Any] = {
    "subject": {"name": "miku", "version": "v2"},
    "scouting": {"candidates": 3, "keep": 2},
    "evaluation": {"rounds": [{"name": "up", "prompt": "{trigger}, hand raised", "expects": "hand raised"}]},
}


def made_from(steps: int = 20, checkpoint: str = "c0ffee", server: str = "1", **changes: Any) -> str:
    def make(prompt: str, seed: int, loras: tuple[LoraUse, ...]) -> Recipe:
        return Recipe(prompt, seed=seed, steps=steps, checkpoint_hash=checkpoint, server_version=server)

    return fingerprint(Profile.model_validate({**WORLD, **changes}), make)


def test_the_same_rounds_have_the_same_fingerprint() -> None:
    assert made_from() == made_from()
    assert made_from(server="2") == made_from()
    assert made_from(evaluation={**WORLD["evaluation"], "weights": [0.3]}) == made_from()


ROUND = WORLD["evaluation"]["rounds"][0]


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 21},
        {"checkpoint": "decade"},
        {"scouting": {"candidates": 4, "keep": 2}},
        {"evaluation": {"rounds": [{**ROUND, "prompt": "{trigger}, hand raised, smiling"}]}},
        {"evaluation": {"rounds": [{**ROUND, "expects": "arms crossed"}]}},
        {"evaluation": {"rounds": [ROUND, {**ROUND, "name": "again"}]}},
    ],
)
def test_everything_that_decides_the_pictures_changes_it(changes: dict[str, Any]) -> None:
    assert made_from(**changes) != made_from()
