"""Grids against the sandbox: drawn once, regenerated from the cache, whole again after an interruption."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestrator.errors import WorkspaceError
from orchestrator.files import read_json
from orchestrator.grid import manifest as manifests
from orchestrator.grid.render import link_or_copy, render_grid
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.recipe import Recipe
from tests.integration.grid_samples import small_grid


class StopsAfter:
    """A renderer that is interrupted after so many pictures."""

    def __init__(self, renderer: Renderer, count: int) -> None:
        self.renderer, self.count = renderer, count

    def render(self, recipes: Sequence[Recipe], on_picture: Callable[[Any], None] | None = None) -> list[Picture]:
        self.renderer.render(recipes[: self.count], on_picture)
        raise KeyboardInterrupt


class Refuses:
    """A renderer whose server fails one weight."""

    def __init__(self, renderer: Renderer, weight: float) -> None:
        self.renderer, self.weight = renderer, weight

    def render(self, recipes: Sequence[Recipe], on_picture: Callable[[Any], None] | None = None) -> list[Picture]:
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
    grid, folder, seen = small_grid(renderer), ugly_path / "grid", []
    first = render_grid(grid, renderer, folder, title="ai_model v2", simulated=True, on_picture=seen.append)
    assert (first.total, first.cached, first.failed, first.left_out) == (6, 0, 0, 2)
    assert len(seen) == 6
    assert [sheet.name for sheet in first.sheets] == [
        f"sheet-seed-{grid.seeds[0]}.png", f"sheet-seed-{grid.seeds[1]}.png", "sheet-all-seeds.png",
    ]  # fmt: skip
    drawn = {sheet: sheet.stat().st_mtime_ns for sheet in first.sheets}
    again = render_grid(grid, renderer, folder, title="ai_model v2", simulated=True)
    assert (again.cached, again.failed) == (6, 0)
    assert {sheet: sheet.stat().st_mtime_ns for sheet in again.sheets} == drawn, "unchanged sheets are left alone"


def test_the_manifest_leads_from_every_cell_to_bytes_recipe_and_proof(renderer: Renderer, ugly_path: Path) -> None:
    grid, folder = small_grid(renderer), ugly_path / "grid"
    render_grid(grid, renderer, folder, title="t", simulated=True)
    manifest = manifests.read(folder)
    assert manifests.from_dict(manifests.to_dict(manifest)) == manifest
    assert len(manifest.entries) == len(grid.cells)
    for cell, entry in zip(grid.cells, manifest.entries, strict=True):
        assert (cell.epoch, cell.weight, cell.seed) == (entry.epoch, entry.weight, entry.seed)
        if cell.recipe is None:
            assert (entry.state, entry.picture) == ("left out", "")
            continue
        assert entry.key == cell.recipe.key
        recipe = manifest.recipe_of(entry)
        assert recipe == cell.recipe.to_dict() | {"loras": recipe["loras"]}
        assert read_json((folder / entry.picture).with_suffix(".json"))["proof"]["seed"] == cell.seed
        assert (folder / entry.picture).read_bytes() == renderer.cache.picture(entry.key).read_bytes()
    with Image.open(folder / manifest.sheets[0].file) as sheet:
        sheet.load()
        assert '"simulated": true' in sheet.info["orchestrator grid"]


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


def test_a_failed_cell_stops_nothing_and_is_drawn_when_it_succeeds(renderer: Renderer, ugly_path: Path) -> None:
    grid, folder = small_grid(renderer, seeds=(5,)), ugly_path / "grid"
    result = render_grid(grid, Refuses(renderer, 1.0), folder, title="t", simulated=True)
    assert (result.failed, result.total) == (1, 3)
    failed = next(entry for entry in manifests.read(folder).entries if entry.state == "failed")
    assert (failed.weight, failed.reason, failed.picture) == (1.0, "out of memory", "")
    before = result.sheets[0].read_bytes()
    mended = render_grid(grid, renderer, folder, title="t", simulated=True)
    assert (mended.failed, mended.cached) == (0, 2)
    assert mended.sheets[0].read_bytes() != before


def test_a_smaller_grid_takes_away_its_old_pictures_and_nothing_else(renderer: Renderer, ugly_path: Path) -> None:
    folder = ugly_path / "grid"
    render_grid(small_grid(renderer), renderer, folder, title="t", simulated=True)
    kept = folder / "pictures" / "mine.png"
    kept.write_bytes(b"mine")
    render_grid(small_grid(renderer, seeds=(123456789,)), renderer, folder, title="t", simulated=True)
    names = {path.name for path in (folder / "pictures").iterdir()}
    drawn = [Path(e.picture) for e in manifests.read(folder).entries if e.picture]
    assert names == {"mine.png", *(p.name for p in drawn), *(p.with_suffix(".json").name for p in drawn)}
    assert not (folder / "sheet-all-seeds.png").exists()


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


def test_a_damaged_manifest_is_no_grid(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 1, "name"', encoding="utf-8")
    with pytest.raises(WorkspaceError, match="no grid"):
        manifests.read(tmp_path)
