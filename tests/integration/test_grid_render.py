"""Grids against the sandbox: drawn once, regenerated from the cache, whole again after an interruption."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestrator.errors import WorkspaceError
from orchestrator.files import read_json
from orchestrator.grid import manifest as manifests
from orchestrator.grid.progress import link_or_copy
from orchestrator.grid.render import CANARY, render_grid
from orchestrator.grid.winners import highlight
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.recipe import Recipe
from tests.integration.grid_samples import SMALL, small_grid

PAINTER = "plain"


class Through:
    """A renderer that passes everything on."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer
        self.clean_loads, self.again = 0, 0
        self.asked: list[Recipe] = []

    def render(
        self, recipes: Sequence[Recipe], on_picture: Callable[[Any], None] | None = None, *, as_given: bool = False
    ) -> list[Picture]:
        self.asked += recipes
        return self.renderer.render(recipes, on_picture, as_given=as_given)

    def clean_load(self, recipes: Sequence[Recipe]) -> None:
        self.clean_loads += bool(self.renderer.missing(recipes))
        self.renderer.clean_load(recipes)

    def drawn_again(self, recipe: Recipe) -> bool | None:
        assert not recipe.loras
        self.again += 1
        return self.renderer.drawn_again(recipe)


class StopsAfter(Through):
    """A renderer that is interrupted after so many pictures."""

    def __init__(self, renderer: Renderer, count: int) -> None:
        super().__init__(renderer)
        self.count = count

    def render(
        self, recipes: Sequence[Recipe], on_picture: Callable[[Any], None] | None = None, *, as_given: bool = False
    ) -> list[Picture]:
        self.renderer.render(recipes[: self.count], on_picture, as_given=as_given)
        raise KeyboardInterrupt


class Refuses(Through):
    """A renderer whose server fails one weight."""

    def __init__(self, renderer: Renderer, weight: float) -> None:
        super().__init__(renderer)
        self.weight = weight

    def render(
        self, recipes: Sequence[Recipe], on_picture: Callable[[Any], None] | None = None, *, as_given: bool = False
    ) -> list[Picture]:
        result = []
        for recipe in recipes:
            if recipe.loras and recipe.loras[0].weight == self.weight:
                cached = self.renderer.cache.picture(recipe.key)
                result.append(Picture(cached, recipe, recipe.key, error="out of memory"))
            else:
                result += self.renderer.render([recipe])
            if on_picture:
                on_picture(result[-1])
        return result


def test_a_grid_is_drawn_once_and_regenerated_from_the_cache(renderer: Renderer, ugly_path: Path) -> None:
    grid, folder, seen, through = small_grid(renderer), ugly_path / "grid", [], Through(renderer)
    first = render_grid(grid, through, folder, title="ai_model v2", simulated=True, on_picture=seen.append)
    assert (first.total, first.cached, first.failed, first.left_out) == (6, 0, 0, 2)
    assert len(seen) == 6
    # Asked for first: which of the two requests under way is answered first is the machine's affair.
    assert [bool(recipe.loras) for recipe in through.asked] == [False] * 2 + [True] * 4
    assert (through.clean_loads, through.again, first.residue) == (1, 1, "")
    assert manifests.read(folder).made_with[CANARY] == "the same"
    drawn = {sheet: sheet.stat().st_mtime_ns for sheet in first.sheets}
    assert drawn
    again = render_grid(grid, through, folder, title="ai_model v2", simulated=True)
    assert (again.cached, again.failed) == (6, 0)
    assert {sheet: sheet.stat().st_mtime_ns for sheet in again.sheets} == drawn, "unchanged sheets are left alone"
    assert (through.clean_loads, through.again) == (1, 1), "nothing drawn, nothing to be sure of"


def test_residue_of_a_lora_is_told(renderer: Renderer, ugly_path: Path) -> None:
    grid, folder = small_grid(renderer), ugly_path / "grid"

    class LeavesResidue(Through):
        """The baseline's picture in the cache is another one: as a server draws it that was not clean."""

        def drawn_again(self, recipe: Recipe) -> bool | None:
            path = self.renderer.cache.picture(recipe.key)
            with Image.open(path) as image:
                image.convert("RGB").point(lambda value: value ^ 1).save(path)
            return super().drawn_again(recipe)

    result = render_grid(grid, LeavesResidue(renderer), folder, title="t", simulated=True)
    assert "has stayed in the webui's model" in result.residue
    assert manifests.read(folder).made_with[CANARY] == "other pixels"


def test_the_manifest_leads_from_every_cell_to_bytes_recipe_and_proof(renderer: Renderer, ugly_path: Path) -> None:
    grid, folder = small_grid(renderer), ugly_path / "grid"
    render_grid(grid, renderer, folder, title="t", simulated=True, server_version="A1111 v1.10.1")
    manifest = manifests.read(folder)
    assert manifests.from_dict(manifests.to_dict(manifest)) == manifest
    assert manifest.made_with["server"] == "A1111 v1.10.1"
    assert len(manifest.cells) == len(grid.cells)
    for cell, entry in zip(grid.cells, manifest.cells, strict=True):
        assert (cell.at, cell.label) == (entry.at, entry.label)
        if cell.recipe is None:
            assert (entry.state, entry.picture) == ("left out", "")
            continue
        assert entry.key == cell.recipe.key
        assert manifest.recipe_of(entry) == cell.recipe.to_dict()
        proof = read_json((folder / entry.picture).with_suffix(".json"))
        assert str(proof["proof"]["seed"]) == manifest.value_of(entry, "seed")
        assert entry.seconds == proof["seconds"]
        assert (folder / entry.picture).read_bytes() == renderer.cache.picture(entry.key).read_bytes()


def test_after_an_interruption_the_same_call_goes_on(renderer: Renderer, ugly_path: Path) -> None:
    grid, folder = small_grid(renderer), ugly_path / "grid"
    with pytest.raises(KeyboardInterrupt):
        render_grid(grid, StopsAfter(renderer, 2), folder, title="t", simulated=True)
    half = manifests.read(folder)
    assert (half.count("ready"), half.count("pending")) == (2, 4)
    assert half.summary == "2 of 6 pictures, 4 not made yet, 2 left out"
    assert (folder / "index.html").is_file()
    whole = render_grid(grid, renderer, folder, title="t", simulated=True)
    assert (whole.cached, whole.failed) == (2, 0)
    assert manifests.read(folder).count("pending") == 0


def test_a_kill_leaves_no_manifest_that_says_another_recipe_of_a_picture(renderer: Renderer, ugly_path: Path) -> None:
    folder = ugly_path / "grid"

    class Killed(Through):
        def render(self, recipes: Sequence[Recipe], *_: Any, **__: Any) -> list[Picture]:
            # What lies there when the process is gone from one moment to the next.
            self.left = manifests.find(folder)
            raise KeyboardInterrupt

    for steps in (2, 3):
        grid = small_grid(renderer, seeds=(5,), settings=replace(SMALL, steps=steps))
        killed = Killed(renderer)
        with pytest.raises(KeyboardInterrupt):
            render_grid(grid, killed, folder, title="t", simulated=True)
        assert killed.left is not None
        assert [entry.key for entry in killed.left.cells if entry.key] == [r.recipe.key for r in grid.cells if r.recipe]
        assert render_grid(grid, renderer, folder, title="t", simulated=True).failed == 0


def test_a_winner_is_not_carried_over_to_another_picture(renderer: Renderer, ugly_path: Path) -> None:
    folder = ugly_path / "grid"
    for steps, winners in ((2, ((0, 2, 0),)), (3, ())):
        grid = small_grid(renderer, seeds=(5,), settings=replace(SMALL, steps=steps))
        render_grid(grid, renderer, folder, title="t", simulated=True)
        known = manifests.read(folder)
        if winners:
            manifests.write(folder, replace(known, highlighted=winners))
        else:
            assert known.highlighted == ()


def test_a_failed_cell_stops_nothing_and_is_drawn_when_it_succeeds(renderer: Renderer, ugly_path: Path) -> None:
    grid, folder = small_grid(renderer, seeds=(5,)), ugly_path / "grid"
    result = render_grid(grid, Refuses(renderer, 1.0), folder, title="t", simulated=True)
    assert (result.failed, result.total) == (1, 3)
    manifest = manifests.read(folder)
    failed = next(entry for entry in manifest.cells if entry.state == "failed")
    assert (manifest.value_of(failed, "weight"), failed.reason, failed.picture) == ("1", "out of memory", "")
    before = result.sheets[0].read_bytes()
    mended = render_grid(grid, renderer, folder, title="t", simulated=True)
    assert (mended.failed, mended.cached) == (0, 2)
    assert mended.sheets[0].read_bytes() != before


def test_a_smaller_grid_takes_away_its_old_pictures_and_nothing_else(renderer: Renderer, ugly_path: Path) -> None:
    folder = ugly_path / "grid"
    first = render_grid(small_grid(renderer), renderer, folder, title="t", simulated=True)
    kept = folder / "pictures" / "mine.png"
    kept.write_bytes(b"mine")
    second = render_grid(small_grid(renderer, seeds=(123456789,)), renderer, folder, title="t", simulated=True)
    names = {path.name for path in (folder / "pictures").iterdir() if path.is_file()}
    drawn = [Path(e.picture) for e in manifests.read(folder).cells if e.picture]
    assert names == {"mine.png", *(p.name for p in drawn), *(p.with_suffix(".json").name for p in drawn)}
    assert {path for path in folder.glob("sheet*") if path.is_file()} == set(second.sheets) != set(first.sheets)


def test_winners_stay_with_their_values(renderer: Renderer, ugly_path: Path) -> None:
    folder = ugly_path / "grid"
    render_grid(small_grid(renderer, seeds=(1, 2)), renderer, folder, title="t", simulated=True)
    manifest = manifests.read(folder)
    manifests.write(folder, replace(manifest, highlighted=((0, 2, 1), (0, 1, 0))))
    render_grid(small_grid(renderer, seeds=(2,)), renderer, folder, title="t", simulated=True)
    assert manifests.read(folder).highlighted == ((0, 2, 0),), "the other one's seed is gone"


def test_the_winner_of_a_verdict_is_marked_in_every_page(renderer: Renderer, ugly_path: Path) -> None:
    folder = ugly_path / "grid"
    first = render_grid(small_grid(renderer), renderer, folder, title="t", simulated=True)
    before = first.sheets[0].read_bytes()
    assert not highlight(folder, 40, 1.0, {"another training's file"})
    assert not highlight(folder, 20, 1.0, {"f" * 64})
    assert highlight(folder, 40, 1.0, {"f" * 64})
    assert manifests.read(folder).highlighted == ((0, 2, 0), (0, 2, 1))
    assert first.sheets[0].read_bytes() != before
    assert not highlight(folder, 40, 1.0, {"f" * 64}), "a second time is no work"
    again = render_grid(small_grid(renderer), renderer, folder, title="t", simulated=True)
    assert again.cached == again.total
    assert manifests.read(folder).highlighted == ((0, 2, 0), (0, 2, 1))


def test_pictures_are_copied_where_the_disk_has_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "a.png", tmp_path / "b" / "b.png"
    source.write_bytes(b"picture")
    assert link_or_copy(source, target).samefile(source)
    assert link_or_copy(source, target).read_bytes() == b"picture", "a second time is no work"

    def no_links(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "link", no_links)
    source.unlink()
    source.write_bytes(b"another")
    assert link_or_copy(source, target).read_bytes() == b"another"
    assert not target.samefile(source)
    assert sorted(path.name for path in target.parent.iterdir()) == ["b.png"]


@pytest.mark.parametrize(
    "text",
    ['{"format": 1, "name"', '{"format": 2}', "[]", '{"format": 3, "axes": 1}'],
)
def test_a_damaged_manifest_is_no_grid(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(WorkspaceError, match="no grid"):
        manifests.read(tmp_path)
