"""Manifests as hypothesis makes them: any axes, any states, recipes and all."""

from __future__ import annotations

import json
from itertools import product

from hypothesis import strategies as st

from orchestrator.grid.cells import Cell, Grid
from orchestrator.grid.manifest import Axis, Entry, Manifest
from orchestrator.render.recipe import LoraUse, Recipe

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
digits = st.text("0123456789abcdef", min_size=64, max_size=64)
uses = st.builds(
    LoraUse,
    stem=words,
    sha256=digits,
    shown_hash=st.text("0123456789abcdef", min_size=12, max_size=12),
    weight=st.floats(-2, 4, allow_nan=False).map(lambda value: round(value, 3)),
)
recipes = st.builds(
    Recipe,
    prompt=words,
    negative_prompt=st.just("") | words,
    loras=st.lists(uses, max_size=2).map(tuple),
    seed=st.integers(0, 2**63 - 1),
    steps=st.integers(1, 150),
    cfg_scale=st.floats(1, 30, allow_nan=False),
    checkpoint_hash=st.just("f3d717ddd8"),
    server_version=st.sampled_from(["A1111 v1.10.0", "A1111 v1.10.1"]),
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """A grid of one to three axes of one to three values, the first one a LoRA axis with a baseline."""
    names = draw(st.lists(words, min_size=1, max_size=3, unique=True))
    axes = tuple(
        Axis(
            "weight" if k == 0 else "steps",
            name,
            tuple(draw(st.lists(words, min_size=1, max_size=3, unique=True))),
            lora=k == 0,
        )
        for k, name in enumerate(names)
    )
    places = list(product([None, *range(len(axes[0].values))], *(range(len(axis.values)) for axis in axes[1:])))
    cells = []
    for at in places:
        recipe = draw(st.none() | recipes)
        state = "left out" if recipe is None else draw(st.sampled_from(["ready", "failed", "pending"]))
        cells.append(
            Entry(
                at=at,
                label=f"cell {at}",
                state=state,
                picture=f"pictures/{len(cells)}.png" if state == "ready" else "",
                key=recipe.key if recipe else "",
                reason="" if state == "ready" else draw(words),
                # as JSON has it: lists, no tuples
                recipe=json.loads(json.dumps(recipe.to_dict())) if recipe else None,
                seconds=draw(st.none() | st.floats(0, 100)),
            )
        )
    return Manifest(
        name=draw(words),
        title=draw(words),
        simulated=draw(st.booleans()),
        definition={"name": draw(words)},
        axes=axes,
        x=0,
        y=1 if len(axes) > 1 else -1,
        baseline=True,
        shared={},
        cells=tuple(cells),
        highlighted=tuple(draw(st.lists(st.sampled_from(places), max_size=2))),
        made_with={"orchestrator": "0.1.0", "server": "A1111 v1.10.1"},
    )


def grid_of(manifest: Manifest) -> Grid:
    """The grid a manifest was written from."""
    from orchestrator.grid.embedded import recipe_of

    return Grid(
        name=manifest.name,
        definition=manifest.definition,
        axes=manifest.axes,
        x=manifest.x,
        y=manifest.y,
        baseline=manifest.baseline,
        cells=tuple(
            Cell(entry.at, entry.label, recipe_of(manifest, entry), entry.reason if entry.recipe is None else "")
            for entry in manifest.cells
        ),
    )
