"""Manifest → sheet → manifest → the same grid again, whatever the grid; and cells that cannot be drawn."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image

from orchestrator.errors import InputError
from orchestrator.grid import manifest as manifests_
from orchestrator.grid.before import keep_before
from orchestrator.grid.crops import crops_of
from orchestrator.grid.embedded import from_file, from_sheet
from orchestrator.grid.layout import WINNER
from orchestrator.grid.manifest import Axis, Manifest
from orchestrator.grid.materials import Materials
from orchestrator.grid.pairs import Side, compare
from orchestrator.grid.regenerate import WithGaps, exactly
from orchestrator.grid.sheet import draw_sheets
from orchestrator.grid.side_by_side import as_one_grid, write_sheets
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.recipe import Recipe
from tests.unit.grid_manifests import manifests


class Everything:
    """Materials that have everything, or say of every recipe that it cannot be drawn."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem

    def bind(self, recipe: Recipe) -> tuple[Recipe, str]:
        return recipe, self.problem


def everything(problem: str = "") -> Materials:
    return cast("Materials", Everything(problem))


def with_pictures(manifest: Manifest, folder: Path) -> Manifest:
    """`manifest` with a picture of its own for every ready cell, 16×16."""
    for number, entry in enumerate(manifest.cells):
        if entry.picture:
            (folder / entry.picture).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (number * 37 % 256, number * 91 % 256, 80)).save(folder / entry.picture)
    return replace(manifest, shared={"width": 16, "height": 16})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)
@given(manifest=manifests())
def test_from_a_sheet_the_same_grid_is_asked_for_as_from_its_manifest(ugly_path: Path, manifest: Manifest) -> None:
    drawn = draw_sheets(ugly_path, with_pictures(manifest, ugly_path))
    manifests_.write(ugly_path, drawn)
    read = from_file(ugly_path / manifests_.MANIFEST_NAME)
    assert read == drawn
    for sheet in drawn.sheets:
        carried = from_sheet(ugly_path / sheet.file)
        assert carried is not None
        for is_made in (lambda recipe: True, lambda recipe: False):
            again = exactly(carried, everything(), is_made)
            keys = [cell.recipe.key if cell.recipe else "" for cell in again.grid.cells]
            assert keys == [entry.key for entry in manifest.cells]
            assert (again.grid.axes, again.grid.x, again.grid.y) == (manifest.axes, manifest.x, manifest.y)
            assert again.problems == {}
            made = sum(bool(key) for key in keys)
            assert (len(again.changes.cells), again.changes.unchanged) in {(0, made), (made, 0)}
        # The pictures come out of the sheet as they went in.
        crop = crops_of(ugly_path / sheet.file, carried)
        # A winner has a frame drawn over it.
        shown = [entry for entry in carried.cells if crop(entry) is not None and entry.at not in carried.highlighted]
        for entry in shown:
            with Image.open(ugly_path / entry.picture) as picture:
                assert crop(entry).tobytes() == picture.convert("RGB").tobytes()  # type: ignore[union-attr]


def test_recipes_that_cannot_be_drawn_are_failed_pictures_and_not_asked_for(ugly_path: Path) -> None:
    asked: list[Recipe] = []

    class Draws:
        def render(
            self, recipes: Sequence[Recipe], on_picture: Callable[[Any], None] | None = None, *, as_given: bool = False
        ) -> list[Picture]:
            asked.extend(recipes)
            return [Picture(ugly_path, recipe, recipe.key) for recipe in recipes]

    one, other = Recipe("a"), Recipe("b")
    gaps = WithGaps(cast("Renderer", Draws()), PictureCache(ugly_path), {other.key: "LoRA missing: x"})
    told: list[Picture] = []
    pictures = gaps.render([other, one], told.append)
    assert asked == [one]
    assert [(picture.recipe.prompt, picture.error) for picture in pictures] == [("b", "LoRA missing: x"), ("a", "")]
    assert [picture.error for picture in told] == ["LoRA missing: x"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(manifest=manifests())
def test_what_cannot_be_drawn_is_said_of_every_cell(manifest: Manifest) -> None:
    again = exactly(manifest, everything("LoRA missing: x"), lambda recipe: False)
    assert set(again.problems.values()) <= {"LoRA missing: x"}
    for change in again.changes.cells:
        assert "cannot be drawn: LoRA missing: x" in str(change.reasons[-1])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(manifest=manifests())
def test_a_grid_is_kept_as_it_was_and_compared_to_itself(ugly_path: Path, manifest: Manifest) -> None:
    with tempfile.TemporaryDirectory(dir=ugly_path) as name:  # every example is another grid
        kept_and_compared(Path(name), manifest)


def kept_and_compared(folder: Path, manifest: Manifest) -> None:
    manifest = with_pictures(manifest, folder)
    kept = keep_before(folder, manifest)
    assert keep_before(folder, manifest) == kept, "the same is kept once"
    then = manifests_.read(kept)
    assert [(e.state, e.key, e.picture) for e in then.cells] == [(e.state, e.key, e.picture) for e in manifest.cells]
    for entry in then.cells:
        if entry.picture:
            assert (kept / entry.picture).read_bytes() == (folder / entry.picture).read_bytes()
    if all(entry.recipe is None for entry in manifest.cells):
        return
    sides = [
        Side(name, one, lambda entry, root=root: root / entry.picture if entry.picture else None)
        for name, one, root in (("before", then, kept), ("now", manifest, folder))
    ]
    found = compare(*sides)
    ready = [entry for entry in manifest.cells if entry.picture]
    assert sum(pair.difference == 0 for pair in found.pairs) == len(ready)
    assert len(found.pairs) == sum(entry.recipe is not None for entry in manifest.cells)


def test_two_grids_as_one_for_the_viewer_keep_each_its_recipes(ugly_path: Path) -> None:
    from tests.unit.test_grid_changes import manifest as make

    old, new = make(), make()
    cells = [replace(entry, recipe={**(entry.recipe or {}), "prompt": "other"}) for entry in old.cells]
    # The prompt is shared in one and the cells' own in the other.
    shared = replace(
        new, shared={"prompt": "mine"}, cells=tuple(replace(e, recipe=_without(e.recipe, "prompt")) for e in new.cells)
    )
    for name in ("old", "new"):
        with_pictures(new, ugly_path / name)
    sides = [
        Side(name, one, lambda entry, name=name: ugly_path / name / entry.picture)
        for name, one in (("old", replace(old, cells=tuple(cells))), ("new", shared))
    ]
    joined = as_one_grid(compare(*sides), ugly_path / "both", title="old | new")
    assert (joined.axes[-1].values, len(joined.cells)) == (("old", "new"), 2 * len(new.cells))
    prompts = {(entry.at[-1], (joined.recipe_of(entry) or {})["prompt"]) for entry in joined.cells}
    assert prompts == {(0, "other"), (1, "mine")}
    assert all((ugly_path / "both" / entry.picture).is_file() for entry in joined.cells)


def test_what_was_kept_is_not_replaced_by_pictures_of_today(ugly_path: Path) -> None:
    from tests.unit.test_grid_changes import manifest as make

    old = with_pictures(make(), ugly_path)
    name = next(entry.picture for entry in old.cells if entry.picture)
    kept = keep_before(ugly_path, old)
    then = (kept / name).read_bytes()
    # Killed after the first new picture: the manifest is still that of before.
    (ugly_path / name).unlink()
    (ugly_path / name).write_bytes(b"drawn today")
    assert keep_before(ugly_path, old) == kept
    assert (kept / name).read_bytes() == then


def test_a_sheet_older_than_its_folder_shows_none_of_the_pictures_of_today(ugly_path: Path) -> None:
    from orchestrator.grid.origin import find_ours
    from orchestrator.workspace import Workspace
    from tests.unit.test_grid_changes import manifest as make

    folder = Workspace(ugly_path).grid("face")
    old = with_pictures(make(), folder)
    manifests_.write(folder, old)
    sheet = folder / draw_sheets(folder, old).sheets[0].file
    named = [entry for entry in old.cells if entry.picture]
    trained_again = replace(named[0], key="f" * 64)
    manifests_.write(folder, replace(old, cells=(trained_again, *(e for e in old.cells if e.at != trained_again.at))))
    found = find_ours(str(sheet), Workspace(ugly_path))
    assert found.folder == folder
    assert found.picture(found.manifest.cell(named[0].at)) is None
    assert found.picture(found.manifest.cell(named[1].at)) == folder / named[1].picture


def test_each_grid_brings_its_own_winners_and_its_own_spelling(ugly_path: Path) -> None:
    from tests.unit.sheet_samples import grid

    words = [Axis("replace", "hat", ("hat", "Hat"))]
    one = grid(ugly_path / "one", words, x=0, y=-1, highlighted=[(0,)])
    two = grid(ugly_path / "two", [replace(words[0], values=("Hat", "hat"))], x=0, y=-1, highlighted=[(0,)])
    sides = [
        Side(name, made, lambda entry, name=name: ugly_path / name / entry.picture)
        for name, made in (("one", one), ("two", two))
    ]
    found = compare(*sides)
    assert {(pair.at, pair.at_before) for pair in found.pairs} == {((0,), (1,)), ((1,), (0,))}
    both = as_one_grid(found, ugly_path / "both", title="one | two")
    assert set(both.highlighted) == {(1, 0), (0, 1)}
    (sheet,) = write_sheets(found, ugly_path / "both", title="one | two")
    with Image.open(sheet) as image:
        green = tuple(bytes.fromhex(WINNER[1:]))
        # Not the legend at the foot.
        above = [(x, y) for x in range(image.width) for y in range(image.height * 2 // 3)]
        columns = {place[0] for place in above if image.getpixel(place) == green}
    # Four pictures in a row, one | two of each word: the second word's first and the first word's second are framed.
    assert min(columns) > image.width // 5
    assert max(columns) < image.width * 4 // 5


def _without(recipe: Any, name: str) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key != name}


def test_grids_with_nothing_in_common_are_not_compared(ugly_path: Path) -> None:
    from tests.unit.test_grid_changes import manifest as make

    one = Side("one", make(), lambda entry: None)
    axes = tuple(replace(axis, name=f"{axis.name} of another") for axis in make().axes)
    with pytest.raises(InputError, match="varies epoch and two does not"):
        compare(one, Side("two", replace(make(), axes=axes), lambda entry: None))
    axes = tuple(replace(axis, values=tuple(f"{value}0" for value in axis.values)) for axis in make().axes)
    with pytest.raises(InputError, match="no cell in common"):
        compare(one, Side("two", replace(make(), axes=axes), lambda entry: None))


def test_pieces_of_a_sheet_are_not_guessed(ugly_path: Path) -> None:
    from tests.unit.test_grid_changes import manifest as make

    manifest = replace(make(), cells=make().cells[:3])
    Image.new("RGB", (100, 100)).save(ugly_path / "other.png")
    for path in (ugly_path / "other.png", ugly_path / "nothing.png"):
        assert crops_of(path, manifest)(manifest.cells[0]) is None
