"""The viewer in a real browser, opened from the disk."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from orchestrator.grid import manifest as manifests
from orchestrator.grid.render import render_grid
from orchestrator.render.engine import Renderer
from tests.integration.browser import needs_browser, open_page, press
from tests.integration.grid_samples import SEEDS, small_grid

REMEMBER = "document.body.dataset.hash = location.hash;"


@pytest.fixture
def viewer(renderer: Renderer, ugly_path: Path) -> Path:
    """The viewer of a small grid under an ugly path."""
    return render_grid(small_grid(renderer), renderer, ugly_path / "grid", title="初音 <b>", simulated=True).viewer


def remembered(dom: str) -> str:
    found = re.search(r'data-hash="([^"]*)"', dom)
    assert found
    return unquote(found[1]).replace("&amp;", "&").replace("&quot;", '"')


def test_the_page_asks_nothing_of_the_network(viewer: Path) -> None:
    for name in ("index.html", "data.js"):
        text = (viewer.parent / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://", text)
    assert "初音 &lt;b&gt; — simulated" in viewer.read_text(encoding="utf-8")


@needs_browser
def test_every_cell_is_shown_and_the_largest_seed_is_exact(viewer: Path) -> None:
    dom = open_page(viewer)
    assert dom.count('data-state="ready"') == 3
    assert dom.count('data-state="left out"') == 1
    assert "6 of 6 pictures, 2 left out" in dom
    assert f">{SEEDS[1]}</option>" in dom
    assert "without LoRA and without the trigger word.</td>" in dom


@needs_browser
def test_keys_move_by_one_thing_pin_and_keep_the_view_in_the_address(viewer: Path) -> None:
    script = press("Enter", "ArrowRight", "b", "ArrowLeft", "]", "k", "ArrowDown") + REMEMBER
    # the first cell is 0.4: 0.2 is left out; → to 1, pin, ← to 0.4, next seed, shortlist, ↓ to the baseline
    address = remembered(open_page(viewer, fragment='at=[40,0.4,"123456789"]&open=1', script=script))
    assert f'at=[null,null,"{SEEDS[1]}"]' in address
    assert 'pin=[40,1,"123456789"]' in address
    assert f'short=[40,0.4,"{SEEDS[1]}"]' in address
    assert "open=1" in address


@needs_browser
def test_arrows_end_at_the_edge_and_never_step_onto_left_out_cells(viewer: Path) -> None:
    script = press(*["ArrowLeft"] * 3, *["ArrowUp"] * 2, "[") + REMEMBER
    assert 'at=[40,0.4,"123456789"]' in remembered(open_page(viewer, script=script))


@needs_browser
def test_letters_of_an_input_method_and_switched_off_keys_do_nothing(viewer: Path) -> None:
    composing = (
        'document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "k", bubbles: true, isComposing: true}));'
        'document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "k", bubbles: true, keyCode: 229}));'
    )
    assert "short" not in remembered(open_page(viewer, script=composing + REMEMBER))
    assert "short" not in remembered(open_page(viewer, fragment="nokeys=1", script=press("k") + REMEMBER))
    assert "short" in remembered(open_page(viewer, script=press("k") + REMEMBER))


@needs_browser
def test_failed_and_pending_cells_look_different_and_say_why(renderer: Renderer, ugly_path: Path) -> None:
    from dataclasses import replace

    from orchestrator.grid.viewer import write_viewer

    folder = ugly_path / "grid"
    render_grid(small_grid(renderer), renderer, folder, title="t", simulated=True)
    manifest = manifests.read(folder)
    states = {"ready": iter(("failed", "pending"))}
    entries = [
        replace(entry, state=next(states.get(entry.state, iter(())), entry.state), reason="out of memory")  # type: ignore[arg-type]
        if entry.seed == SEEDS[0] and entry.state == "ready"
        else entry
        for entry in manifest.entries
    ]
    dom = open_page(write_viewer(folder, replace(manifest, entries=tuple(entries))))
    assert dom.count('data-state="failed"') == 1
    assert dom.count('data-state="pending"') == 1
    assert "out of memory" in dom
    assert "not made yet" in dom
    assert "They appear here as they come" in dom
