"""Grids in files from elsewhere: whatever was written comes back, whatever is wrong is one sentence with its cure."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from orchestrator.errors import InputError
from orchestrator.grid import manifest as manifests_
from orchestrator.grid.embedded import TEXT_CHUNK, from_file, from_sheet, from_text, picture_of, recipe_of
from orchestrator.grid.manifest import Axis, Entry, Manifest
from orchestrator.render.recipe import LoraUse, Recipe
from tests.unit.grid_manifests import manifests

RECIPE = Recipe("a", loras=(LoraUse("x-000010-abcdef", "ab" * 32, "ab" * 6, 0.8),), init_path=Path("/etc/passwd"))


def small(**changes: Any) -> dict[str, Any]:
    entry = Entry((0,), "seed 1", "ready", "pictures/1.png", RECIPE.key, recipe=RECIPE.to_dict())
    manifest = Manifest("g", "t", False, {}, (Axis("seed", "seed", ("1",)),), 0, -1, False, {}, (entry,))
    return json.loads(json.dumps(manifests_.to_dict(manifest))) | changes


def why(text: str) -> str:
    with pytest.raises(InputError) as raised:
        from_text(text, "sheet.png")
    assert raised.value.fix
    assert "\n" not in raised.value.what
    assert len(raised.value.what) < 300
    return raised.value.what


def with_cell(**changes: Any) -> str:
    values = small()
    values["cells"][0] |= changes
    return json.dumps(values)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(manifest=manifests())
def test_a_manifest_comes_back_from_a_sheet_and_from_its_file(ugly_path: Path, manifest: Manifest) -> None:
    manifests_.write(ugly_path, manifest)
    assert from_file(ugly_path / manifests_.MANIFEST_NAME) == manifest
    info = PngImagePlugin.PngInfo()
    info.add_itxt(TEXT_CHUNK, json.dumps(manifests_.to_dict(manifest), ensure_ascii=False), zip=True)
    Image.new("RGB", (4, 4)).save(ugly_path / "sheet.png", pnginfo=info)
    found = from_sheet(ugly_path / "sheet.png")
    assert found == manifest
    for entry in found.cells:
        recipe = recipe_of(found, entry)
        assert (recipe.key if recipe else "") == entry.key


def test_a_picture_without_a_grid(ugly_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(ugly_path / "a.png")
    assert from_sheet(ugly_path / "a.png") is None


def test_other_formats() -> None:
    assert "a newer orchestrator wrote it (format 4)" in why(json.dumps(small(format=4)))
    assert "an earlier orchestrator" in why(json.dumps(small(format=2)))
    # the reference in sheets of before
    assert "an earlier orchestrator" in why('{"manifest": "manifest.json", "grid": "g", "seeds": [1]}')
    assert "describes no grid" in why(json.dumps(small(format="3")))
    assert "describes no grid" in why("[]")


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "pictures/../../x", "C:\\x.png", "C:x.png", "\\\\host\\x"])
def test_a_picture_outside_of_the_folder(name: str) -> None:
    assert "outside of its folder" in why(with_cell(picture=name))


def test_a_link_out_of_the_folder_is_not_followed(ugly_path: Path) -> None:
    (ugly_path / "secret.png").write_bytes(b"x")
    folder = ugly_path / "grid"
    (folder / "pictures").mkdir(parents=True)
    entry = Entry((0,), "a", "ready", "pictures/1.png")
    assert picture_of(folder, entry) is None
    try:
        (folder / "pictures" / "1.png").symlink_to(ugly_path / "secret.png")
    except OSError:
        pytest.skip("no links here")
    assert picture_of(folder, entry) is None
    (folder / "pictures" / "1.png").unlink()
    (folder / "pictures" / "1.png").write_bytes(b"x")
    assert picture_of(folder, entry) == folder / "pictures" / "1.png"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 100_000,
        '{"a":' * 5_000 + "1" + "}" * 5_000,
        json.dumps(small(), ensure_ascii=False)[:-3],
        json.dumps(small(x=7)),
        json.dumps(small(x=True)),
        json.dumps(small(axes=[{"kind": "seed"}])),
        json.dumps(small(axes="seed")),
        json.dumps(small(title=7)),
        json.dumps(small(cells={"0": 1})),
        json.dumps(small(shared=[1])),
        json.dumps(small(surprise=1)),
        with_cell(at=[9]),
        with_cell(at=[0, 0]),
        with_cell(at=["0"]),
        with_cell(state="done"),
        with_cell(recipe="a"),
        with_cell(seconds=float("nan")),
    ],
)
def test_text_that_describes_no_grid_we_can_read(text: str) -> None:
    why(text)


def test_more_parts_than_any_grid_are_refused_before_they_are_built() -> None:
    assert "more parts than any grid" in why('{"cells":[' + "[]," * 700_000 + "[]]}")
    assert "more parts than any grid" in why('{"cells":[' + "1," * 4_100_000 + "1]}")


def test_a_million_wrong_parts_are_one_sentence_in_bounded_memory() -> None:
    for text in (
        json.dumps(small(cells=[])).replace('"cells": []', '"cells": [' + "{}," * 200_000 + "{}]"),
        json.dumps(small(made_with={})).replace('"made_with": {}', '"made_with": {' + '"a": 1,' * 200_000 + '"b": 1}'),
        with_cell(recipe={**small()["cells"][0]["recipe"], "loras": [RECIPE.to_dict()["loras"][0]] * 100}),
    ):
        tracemalloc.start()
        try:
            why(text)
            assert tracemalloc.get_traced_memory()[1] < 200 << 20
        finally:
            tracemalloc.stop()


def test_a_recipe_brings_no_path_of_another_machine() -> None:
    manifest = from_text(json.dumps(small()), "sheet.png")
    recipe = recipe_of(manifest, manifest.cells[0])
    assert recipe is not None
    assert recipe.init_path is None
    assert recipe.key == RECIPE.key


@pytest.mark.parametrize(
    "change",
    [
        {"steps": "x"}, {"loras": [{"stem": "a"}]}, {"loras": 7}, {"newer_field": 1}, {"cfg_scale": None},
        {"prompt": ["a"]}, {"seed": 1.5},
    ],
)  # fmt: skip
def test_a_recipe_that_cannot_be_read(change: dict[str, Any]) -> None:
    told = why(with_cell(recipe={**small()["cells"][0]["recipe"], **change}))
    assert "the recipe of 'seed 1' cannot be read" in told


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(small())), json_values)
def test_no_value_in_any_place_leads_to_anything_but_one_sentence(name: str, value: Any) -> None:
    try:
        manifest = from_text(json.dumps(small(**{name: value})), "sheet.png")
    except InputError as error:
        assert error.fix
    else:
        for entry in manifest.cells:
            assert (recipe_of(manifest, entry) is None) == (entry.recipe is None)
