from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.render.recipe import LoraUse, Recipe, canonical, from_dict, has_lora_tag, number

finite = st.floats(min_value=-4, max_value=4, allow_nan=False)
loras = st.builds(
    LoraUse, st.text(min_size=1, max_size=8), st.sampled_from(["a" * 64, "b" * 64]), st.just("a" * 12), finite
)
recipes = st.builds(
    Recipe,
    prompt=st.text(max_size=40),
    negative_prompt=st.text(max_size=10),
    loras=st.lists(loras, max_size=2).map(tuple),
    seed=st.integers(0, 2**63 - 1),
    steps=st.integers(1, 150),
    cfg_scale=st.floats(1, 30),
    checkpoint_hash=st.sampled_from(["", "f3d717ddd8"]),
    denoising_strength=st.none() | st.floats(0, 1),
    init_path=st.none() | st.just(Path("/a/b.png")),
)


@given(recipes)
def test_a_recipe_survives_json_and_keeps_its_key(recipe: Recipe) -> None:
    again = from_dict(recipe.to_dict())
    assert again == recipe
    assert again.key == recipe.key
    assert len(recipe.key) == 64


@given(recipes, st.integers(0, 2**63 - 1))
def test_another_seed_is_another_key(recipe: Recipe, seed: int) -> None:
    assert (recipe.evolve(seed=seed).key == recipe.key) == (seed == recipe.seed)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "b"}, {"negative_prompt": "b"}, {"steps": 29}, {"cfg_scale": 6.5}, {"sampler": "Euler"},
        {"scheduler": "Automatic"}, {"width": 520}, {"height": 520}, {"clip_skip": 2}, {"vae_hash": "x"},
        {"checkpoint_hash": "0" * 10}, {"server_version": "v1.9.0"}, {"init_sha256": "1" * 64},
        {"denoising_strength": 0.5}, {"loras": (LoraUse("s", "c" * 64, "", 1.0),)}, {"mask_sha256": "1" * 64},
        {"settings_hash": "a"},
        {"mask_blur": 5}, {"batch_size": 2}, {"batch_position": 1}, {"alwayson_scripts": '{"ADetailer": {}}'},
    ],
)  # fmt: skip
def test_everything_that_decides_the_picture_is_in_the_key(change: dict[str, object]) -> None:
    assert Recipe(prompt="a").evolve(**change).key != Recipe(prompt="a").key


def test_no_field_was_forgotten_above() -> None:
    tested = {
        "prompt",
        "negative_prompt",
        "steps",
        "cfg_scale",
        "sampler",
        "scheduler",
        "width",
        "height",
        "clip_skip",
        "checkpoint_hash",
    }
    tested |= {"vae_hash", "server_version", "init_sha256", "denoising_strength", "loras", "seed"}
    tested |= {
        "mask_sha256",
        "mask_blur",
        "batch_size",
        "batch_position",
        "alwayson_scripts",
        "settings_hash",
        "options",
    }
    only_tell_where_content_lies = {"checkpoint", "vae", "init_path", "mask_path"}
    assert {f.name for f in dataclasses.fields(Recipe)} == tested | only_tell_where_content_lies


def test_a_renamed_lora_is_the_same_picture_and_a_retrained_one_is_not() -> None:
    recipe = Recipe(prompt="a", loras=(LoraUse("v4-000010", "a" * 64, "a" * 12, 0.8),))
    renamed = recipe.evolve(loras=(LoraUse("other", "a" * 64, "a" * 12, 0.8),))
    retrained = recipe.evolve(loras=(LoraUse("v4-000010", "b" * 64, "b" * 12, 0.8),))
    assert renamed.key == recipe.key
    assert retrained.key != recipe.key


def test_weight_zero_is_no_lora() -> None:
    assert Recipe(prompt="a", loras=(LoraUse("s", "a" * 64, "", 0.0),)).key == Recipe(prompt="a").key


def test_equal_numbers_are_written_equally() -> None:
    assert canonical(Recipe(prompt="a", cfg_scale=6)) == canonical(Recipe(prompt="a", cfg_scale=6.0))


def test_options_of_its_own_change_the_key_and_none_leave_older_keys_as_they_were() -> None:
    plain = Recipe(prompt="a")
    assert "options" not in canonical(plain)
    assert plain.evolve(options='{"eta_ddim": 0.5}').key != plain.key
    # As written before recipes had options: pictures of then must be found.
    assert plain.key == "9ef0abef68a183b6e74e6491e538b62aed4f5c184a5b442c4bb11db67fd66176"


@given(
    prompt=st.text(max_size=20),
    seed=st.integers(0, 2**63 - 1),
    cfg=st.floats(1, 30),
    weight=st.floats(-2, 4),
    denoise=st.none() | st.sampled_from([0, 0.0, 0.5, 1.0]),
    options=st.sampled_from(["", '{"eta_ddim": 1}']),
)
def test_the_key_is_made_from_sorted_json(
    prompt: str, seed: int, cfg: float, weight: float, denoise: float | None, options: str
) -> None:
    recipe = Recipe(
        prompt=prompt, seed=seed, cfg_scale=cfg, denoising_strength=denoise, options=options,
        loras=(LoraUse("s", "a" * 64, "b", weight),), steps=7, width=640,
    )  # fmt: skip
    values = recipe.to_dict()
    for name in ("checkpoint", "vae", "init_path", "mask_path", *(() if options else ("options",))):
        del values[name]
    shown = number(weight)
    values |= {"format": 2, "loras": [{"sha256": "a" * 64, "weight": shown}] if shown != "0" else []}
    values = {name: int(v) if isinstance(v, float) and v == int(v) else v for name, v in values.items()}
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert canonical(recipe) == text


def test_changing_a_field_there_is_not_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="promt"):
        Recipe(prompt="a").evolve(promt="b")


def test_nan_has_no_key() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        _ = Recipe(prompt="a", cfg_scale=math.nan).key


@given(st.floats(-4, 4).map(lambda w: round(w, 6)))
def test_numbers_are_written_without_exponent_and_read_back(value: float) -> None:
    text = number(value)
    assert "e" not in text
    assert float(text) == value


def test_the_tag_stands_in_front() -> None:
    assert (
        Recipe(prompt="a", loras=(LoraUse("v4-000010", "a" * 64, "", 0.8),)).tagged_prompt == "<lora:v4-000010:0.8> a"
    )


@pytest.mark.parametrize(
    ("prompt", "holds"), [("<lora:x:1> a", True), ("a < LoRA :x>", True), ("<lyco:x>", True), ("a <b> lora:", False)]
)
def test_lora_tags_in_prompts_are_seen(prompt: str, holds: bool) -> None:
    assert has_lora_tag(prompt) is holds
