"""What the rounds cost before anything is drawn."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.evaluation.racing import looks_of, most_pictures
from orchestrator.evaluation.rounds import plan_rounds
from orchestrator.grid.cells import DeployedLora, MakeRecipe
from orchestrator.pictures.price import Price, time_for
from orchestrator.profile.model import Profile
from orchestrator.render.cache import PictureCache


def price_rounds(
    profile: Profile,
    seeds: Sequence[int],
    fresh: Sequence[int],
    loras: Sequence[DeployedLora],
    make_recipe: MakeRecipe,
    cache: PictureCache,
) -> tuple[Price, Price]:
    """(at least, at most): the first look, and the budget or everything there is. Raises `InputError` as `plan_rounds`.

    Which cells go on is not known yet, so pictures that are there already are counted in the first look only.
    """
    plan = profile.evaluation
    places = plan_rounds(plan, seeds, loras, make_recipe, trigger=profile.trigger, fill=profile.fill)
    first = set(seeds[: looks_of(len(seeds), plan.racing)[0]]) if plan.racing.on else set(seeds)
    recipes = {place.recipe.key: place.recipe for place in places if place.seed in first}
    missing = [recipe for key, recipe in recipes.items() if not cache.has(key)]
    least = Price(len(recipes), len(recipes) - len(missing), time_for(missing, cache))
    if not plan.racing.on:
        return least, least
    cells = len({place.cell for place in places}) - 1
    most = most_pictures(cells, len(seeds), len(fresh), len(plan.rounds), plan.racing)
    more = [places[0].recipe] * (most - len(recipes))
    time = time_for([*missing, *more], cache)
    return least, Price(most, least.there, time)
