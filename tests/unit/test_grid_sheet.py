"""Sheets: they always fit, wrap Japanese, and show what has no picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from orchestrator.errors import InputError
from orchestrator.grid.cells import Cell, Grid
from orchestrator.grid.fonts import font, wrap
from orchestrator.grid.layout import MAX_PIXELS, MAX_SIDE, lay_out
from orchestrator.grid.sheet import TEXT_CHUNK, Shown, draw_sheet, write_sheet
from orchestrator.render.recipe import Recipe

RED, BLUE = (200, 30, 40), (30, 60, 200)


def grid(
    seeds: tuple[int, ...] = (1, 2), epochs: tuple[int, ...] = (10, 20), weights: tuple[float, ...] = (0.5, 1.0)
) -> Grid:
    bare = [Cell(None, None, seed, Recipe("x", seed=seed)) for seed in seeds]
    cells = [Cell(e, w, s, Recipe(f"{e} {w}", seed=s)) for e in epochs for w in weights for s in seeds]
    return Grid("face", "miku, close-up", "close-up", "miku", seeds, epochs, weights, (*bare, *cells))


def plain(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (64, 96)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def share(image: Image.Image, colour: tuple[int, int, int]) -> float:
    counts = {value: count for count, value in image.getcolors(image.width * image.height) or []}
    return counts.get(colour, 0) / (image.width * image.height)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 2048),
    st.integers(1, 2048),
    st.integers(1, 30),
    st.integers(1, 100),
    st.integers(1, 12),
    st.integers(16, 2048),
)
def test_a_sheet_never_exceeds_what_viewers_open(
    width: int, height: int, columns: int, rows: int, blocks: int, cell: int
) -> None:
    try:
        layout = lay_out(width, height, columns=columns, rows=rows, blocks=blocks, row_label_chars=8, max_cell=cell)
    except ValueError:
        # only a grid that would be unreadable anyway is refused
        assert columns * blocks * 24 > MAX_SIDE * 0.5 or (rows + 1) * 24 > MAX_SIDE * 0.5
        return
    assert layout.width * layout.height <= MAX_PIXELS
    assert max(layout.width, layout.height) <= MAX_SIDE
    assert max(layout.cell_width, layout.cell_height) <= max(cell, 1)
    assert layout.columns[-1] + layout.cell_width <= layout.width
    assert layout.baseline + layout.cell_height <= layout.height


def test_pictures_failures_and_left_out_cells_are_told_apart(tmp_path: Path) -> None:
    whole = grid()
    shown = {cell: Shown(plain(tmp_path / f"{cell.stem}.png", RED if cell.seed == 1 else BLUE)) for cell in whole.cells}
    image = draw_sheet(whole, (1,), shown, title="Miku", simulated=False)
    assert share(image, RED) > 0.35
    assert share(image, BLUE) == 0
    both = draw_sheet(whole, (1, 2), shown, title="Miku", simulated=True)
    assert share(both, RED) == pytest.approx(share(both, BLUE))
    assert both.width > image.width * 1.5
    shown[whole.cell(10, 0.5, 1)] = Shown(None, "out of memory")
    failed = draw_sheet(whole, (1,), shown, title="Miku", simulated=False)
    assert share(failed, (251, 233, 231)) > 0.05
    shown[whole.cell(10, 0.5, 1)] = Shown(tmp_path / "gone.png")
    assert share(draw_sheet(whole, (1,), shown, title="Miku", simulated=False), (251, 233, 231)) > 0.05


def test_the_title_says_simulated(tmp_path: Path) -> None:
    whole = grid(seeds=(1,), weights=(0.5, 0.6, 0.7, 0.8, 1.0))
    shown = {cell: Shown(plain(tmp_path / f"{cell.stem}.png", RED, (200, 200))) for cell in whole.cells}
    with_word = draw_sheet(whole, (1,), shown, title="Miku", simulated=True)
    without = draw_sheet(whole, (1,), shown, title="Miku", simulated=False)
    title = (0, 0, with_word.width, 70)
    assert with_word.crop(title).tobytes() != without.crop(title).tobytes()
    assert with_word.crop((0, 80, *with_word.size)).tobytes() == without.crop((0, 80, *without.size)).tobytes()


def test_a_sheet_names_its_manifest(ugly_path: Path) -> None:
    path = write_sheet(Image.new("RGB", (8, 8)), ugly_path / "sheet.png", {"manifest": "manifest.json", "grid": "初音"})
    with Image.open(path) as image:
        image.load()
        assert json.loads(image.info[TEXT_CHUNK]) == {"manifest": "manifest.json", "grid": "初音"}


def test_a_grid_too_large_for_any_sheet_is_refused_with_advice() -> None:
    with pytest.raises(InputError) as caught:
        draw_sheet(grid(seeds=(1,), epochs=tuple(range(1, 900))), (1,), {}, title="x", simulated=False)
    assert "viewer" in caught.value.fix


def test_japanese_wraps_between_characters_and_english_at_blanks() -> None:
    assert wrap("初音ミクの、髪", 4, len) == ["初音ミク", "の、髪"]
    assert wrap("looking at the camera", 10, len) == ["looking at", "the camera"]
    assert wrap("anunbreakableword", 6, len) == ["anunbr", "eakabl", "eword"]
    assert wrap("one two three four", 9, len, lines=1) == ["one two…"]


@given(st.text(max_size=60), st.integers(1, 20))
def test_wrapping_loses_no_letter_and_no_line_is_too_wide(text: str, width: int) -> None:
    lines = wrap(text, width, len)
    assert "".join("".join(lines).split()) == "".join(text.split())
    # closing punctuation may hang over by the one character it must not begin a line with
    assert all(len(line) <= max(width, 2) for line in lines)


def test_there_is_a_font_at_any_size_on_any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.grid import fonts

    monkeypatch.setattr(fonts, "_candidates", lambda bold: ("/nowhere/font.ttf",))
    font.cache_clear()
    assert font(40).getlength("epoch 10") > font(10).getlength("epoch 10") * 3
    font.cache_clear()
