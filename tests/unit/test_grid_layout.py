"""Planned sheets: everything has room, nothing lies on anything else, pages divide a grid without losing a cell."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.grid.layout import MAX_PIXELS, MAX_SIDE, Box, fit, lay_out
from orchestrator.grid.page import Block, Page, Place, divided
from orchestrator.grid.sheet import LIMITS, tiled
from tests.unit.sheet_samples import JAPANESE

WORDS = st.sampled_from(
    ["", "epoch 40", "seed 123456789", "DPM++ SDE Karras", JAPANESE, "a_word_without_any_blank_" * 5, "x " * 200]
)


@st.composite
def pages(draw: st.DrawFn, most: int = 6) -> Page:
    """Pages of all shapes: blocks, baselines, captions, heads of any length."""
    columns, rows, blocks = (draw(st.integers(1, n)) for n in (most, most, 3))
    captions = draw(st.booleans())
    word = draw(st.booleans())
    states = st.sampled_from(["ready", "failed", "left out", "pending"])
    state = draw(states)
    lone = draw(st.booleans()) and rows > 1 and not captions
    apart_column = draw(st.booleans()) and columns > 1 and not lone

    def place(block: int, row: int, column: int) -> Place | None:
        if lone and row == rows - 1 and column:
            return None
        name = f"{block}/{row}/{column}"
        return Place(None, state, "out of memory", name, draw(WORDS) if captions else "", row == column, (block,))

    return Page(
        title=draw(WORDS),
        subtitles=(draw(WORDS), draw(WORDS)),
        columns=tuple("" if captions else (draw(WORDS) if word else f"weight {n}") for n in range(columns)),
        rows=tuple("" if captions else (draw(WORDS) if word else f"epoch {n}") for n in range(rows)),
        blocks=tuple(
            Block(
                draw(WORDS), tuple(tuple(place(b, r, c) for c in range(columns)) for r in range(rows))
            )
            for b in range(blocks)
        ),
        across=draw(st.sampled_from(["", "sampler"])),
        down=draw(st.sampled_from(["", "prompt"])),
        apart_column=apart_column,
        apart_row=lone,
        note="Without LoRA." if lone else "",
    )  # fmt: skip


def overlap(a: Box, b: Box) -> bool:
    return a.x < b.right and b.x < a.right and a.y < b.bottom and b.y < a.bottom


@settings(deadline=None, max_examples=40)
@given(pages(), st.integers(16, 700), st.integers(16, 700))
def test_nothing_lies_on_anything_else(page: Page, width: int, height: int) -> None:
    plan = lay_out(page, (width, height))
    boxes = [cell.box for cell in plan.cells]
    assert len(boxes) == sum(place is not None for block in page.blocks for row in block.rows for place in row)
    assert {(box.width, box.height) for box in boxes} == {(width, height)}
    for box in [*boxes, *(label.box for label in plan.labels)]:
        assert box.x >= 0
        assert box.y >= 0
        assert box.right <= plan.width
        assert box.bottom <= plan.height
    assert not any(overlap(a, b) for a, b in itertools.combinations(boxes, 2))
    over = [(label.kind, label.text) for label in plan.labels for box in boxes if overlap(label.box, box)]
    # A head of many lines in tiny cells may be taller than its row.
    assert not [one for one in over if min(width, height) >= 48]
    assert all(label.lines and any(label.lines) for label in plan.labels)


@settings(deadline=None, max_examples=40)
@given(pages(), st.integers(8, 300))
def test_bands_cover_the_sheet_and_cut_no_cell(page: Page, side: int) -> None:
    plan = lay_out(page, (side, side))
    assert plan.bands[0][0] == 0
    assert plan.bands[-1][1] == plan.height
    assert all(first[1] == second[0] for first, second in itertools.pairwise(plan.bands))
    assert all(top < bottom <= top + max(side, 64) for top, bottom in plan.bands)
    for cell in plan.cells:
        assert any(top <= cell.box.y and cell.box.bottom <= bottom for top, bottom in plan.bands)


@settings(deadline=None, max_examples=40)
@given(pages(), st.integers(1, 5), st.integers(1, 5))
def test_divided_pages_hold_every_place_once_and_the_baseline_on_each(page: Page, across: int, down: int) -> None:
    parts = divided(page, across, down)
    assert [(part.page, part.pages) for part in parts] == [(n, len(parts)) for n in range(1, len(parts) + 1)]
    found = Counter(place.label for part in parts for place in part.places)
    assert set(found) == {place.label for place in page.places}
    for label, times in found.items():
        _, row, column = map(int, label.split("/"))
        repeated = (page.apart_row and row == len(page.rows) - 1) or (page.apart_column and column == 0)
        assert times == 1 or repeated
    for part in parts:
        assert part.title == page.title
        assert set(part.columns) <= set(page.columns)
        assert {len(row) for block in part.blocks for row in block.rows} == {len(part.columns)}
        assert not page.apart_row or part.rows[-1] == page.rows[-1]
        assert not page.apart_column or part.columns[0] == page.columns[0]


@settings(deadline=None, max_examples=20)
@given(pages(), st.integers(100, 600), st.integers(700, 3000))
def test_tiled_pages_stay_within_their_format(page: Page, cell: int, side: int) -> None:
    plans = tiled(page, (cell, cell), side, side * side // 2)
    assert all(max(plan.width, plan.height) <= side for plan in plans)
    assert all(plan.width * plan.height <= side * side // 2 for plan in plans)
    if len(plans) > 1:
        assert all(
            f"page {n} of {len(plans)}" in [one.text for one in plan.of("subtitle")] for n, plan in enumerate(plans, 1)
        )


@settings(deadline=None, max_examples=20)
@given(pages(20), st.integers(16, 2048), st.integers(16, 2048), st.integers(64, 512))
def test_an_overview_is_shrunk_until_every_viewer_opens_it(page: Page, width: int, height: int, most: int) -> None:
    plan = fit(page, (width, height), most=most)
    box = plan.cells[0].box
    assert max(box.width, box.height) <= max(most, 1)
    within = plan.width * plan.height <= MAX_PIXELS and max(plan.width, plan.height) <= MAX_SIDE
    assert within or max(box.width, box.height) <= 24


def test_the_limits_of_formats_are_those_of_their_encoders() -> None:
    assert {name: limit.side for name, limit in LIMITS.items()} == {"png": 65_500, "webp": 16_383, "jpeg": 65_500}


def test_long_prompts_get_several_lines_in_smaller_letters_before_they_lose_words() -> None:
    short, long = "epoch 40", "close-up, looking at camera, soft light, " * 12
    rows = tuple((Place(None, "pending"),) for _ in range(2))
    plan = lay_out(Page("t", (), ("",), (short, long), (Block("", rows),)), (160, 160))
    first, second = plan.of("row")
    assert first.text == short
    assert len(second.lines) > 3
    assert second.text == " ".join(long.split())
    assert second.size < plan.text
    endless = lay_out(Page("t", (), ("",), (short, long * 9), (Block("", rows),)), (160, 160)).of("row")[1]
    assert endless.lines[-1].endswith("…")
    assert endless.box.height <= 160
