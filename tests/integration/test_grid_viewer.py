"""The viewer in a real browser, opened from the disk and used as a person does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from orchestrator.grid.manifest import At, Axis, State
from orchestrator.grid.viewer import DATA_NAME, write_data, write_viewer
from tests.integration.browsing import Visit, chromium, visiting
from tests.integration.viewer_samples import EPOCHS, SEEDS, WEIGHTS, manifest_of, write_grid

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BREAKING = "</script><img src=x onerror=window.pwned=1>\u2028<!-- {{x}} ${x} '\""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    with visiting(browser) as visit:
        yield visit


def states(at: At) -> tuple[State, str]:
    """Left out at the upper left, one cell failed and one not made yet at the lower right."""
    if at[:2] == (0, 0):
        return "left out", "epoch <= 20 and weight <= 0.4"
    if at == (3, 2, 0):
        return "failed", "out of memory"
    return ("pending", "") if at == (3, 3, 0) else ("ready", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four epochs × four weights × two seeds, with a baseline and every state, under an ugly path."""
    folder = tmp_path_factory.mktemp("viewer") / "it's a 'grid' #1 100% é 初音"
    write_grid(folder, manifest_of((EPOCHS, WEIGHTS, SEEDS), state=states, highlighted=((2, 2, 0),)))
    return folder


@pytest.fixture
def grid(folder: Path, visit: Visit) -> Visit:
    """The viewer of `folder`."""
    return visit.go(folder / "index.html")


@pytest.fixture(scope="module")
def finder(browser: Browser, folder: Path) -> Iterator[Visit]:
    """The viewer of `folder` in a window that is only asked."""
    with visiting(browser) as visit:
        yield visit.go(folder / "index.html")


def cell(visit: Visit, label: str) -> Any:
    return visit.page.locator(f'.cell[aria-label^="{label}"]').first


def values(visit: Visit, name: str) -> Any:
    return visit.ask("(name) => JSON.parse(new URLSearchParams(location.hash.slice(1)).get(name))", name)


def test_everything_comes_from_the_folder_and_the_page_could_not_ask_for_more(folder: Path, grid: Visit) -> None:
    assert all(url.startswith((folder.as_uri(), "data:")) for url in grid.requests)
    assert any("/pictures/" in url or "/thumbnails/" in url for url in grid.requests)
    assert grid.ask("fetch('https://example.com').then(() => 'asked', () => 'refused')") == "refused"
    assert any("Content Security Policy" in words for words in grid.complaints)
    grid.complaints.clear()


def test_states_look_different_and_are_counted(grid: Visit) -> None:
    assert grid.page.inner_text("#summary") == "30 of 32 pictures"
    assert grid.page.inner_text("#counts").split("\n") == ["1 failed", "1 to come", "2 left out"]
    seen = {}
    for state, words in {"failed": "out of memory", "pending": "not made yet", "left out": "epoch <= 20"}.items():
        empty = grid.page.locator(f'.cell[data-state="{state}"] .empty').first
        assert words in empty.inner_text()
        seen[empty.evaluate("(e) => getComputedStyle(e).background + getComputedStyle(e).border")] = state
    assert len(seen) == 3
    assert "◆" in cell(grid, "epoch 60, weight 0.8, seed 123456789").inner_text()


def test_every_cell_is_named_for_those_who_hear_and_one_of_them_is_in_the_tab_order(grid: Visit) -> None:
    assert grid.ask("document.querySelectorAll('#grid .cell[tabindex=\"0\"]').length") == 1
    assert grid.ask("[...document.querySelectorAll('#grid .cell')].every((cell) => cell.ariaLabel)")
    roles = grid.ask("[...new Set([...document.querySelectorAll('#grid [role]')].map((e) => e.role))].sort()")
    assert roles == ["columnheader", "gridcell", "presentation", "row", "rowheader"]
    assert grid.page.get_attribute("#grid", "aria-rowcount") == "5"


def test_a_walk_by_keys(grid: Visit) -> None:
    assert grid.here == "epoch 20, weight 0.6, seed 123456789"  # 0.4 is left out
    grid.press("ArrowLeft")
    assert grid.here == "no LoRA, seed 123456789"  # over the left-out one, into the column without LoRA
    grid.press("ArrowLeft", "ArrowUp")
    assert grid.here == "no LoRA, seed 123456789"  # no wrapping round
    grid.press("End", "ArrowDown", "Home", "ArrowRight")
    assert grid.here == "epoch 40, weight 0.4, seed 123456789"
    grid.press("Enter")
    assert grid.page.inner_text("#large-label") == "epoch 40, weight 0.4, seed 123456789"
    grid.press("ArrowRight", "]", "Escape")
    assert grid.here == f"epoch 40, weight 0.6, seed {SEEDS.values[1]}"  # the largest seed is exact
    assert grid.ask("document.activeElement.ariaLabel") == grid.here
    grid.press("[", "0")
    assert grid.here == "no LoRA, seed 123456789"
    grid.press("0")
    assert grid.here == "epoch 40, weight 0.6, seed 123456789"
    grid.press("Control+End")
    assert grid.here == "epoch 80, weight 1, seed 123456789"


def test_keys_of_input_methods_of_the_browser_and_switched_off_ones_do_nothing(grid: Visit) -> None:
    grid.ask("document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'k', bubbles: true, isComposing: true}))")
    grid.ask("document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'k', bubbles: true, keyCode: 229}))")
    grid.press("Alt+k", "?")
    grid.page.uncheck("#keys-on")
    grid.press("Escape", "k")
    assert grid.page.inner_text("#star-count") == "0"
    grid.press("ArrowRight")  # arrows are no letters
    assert grid.here == "epoch 20, weight 0.8, seed 123456789"
    grid.page.reload()
    grid.press("k")
    assert grid.page.inner_text("#star-count") == "0"
    # AltGr, by which many keyboards write brackets, looks like Ctrl and Alt
    graph = "{key: ']', bubbles: true, ctrlKey: true, altKey: true, modifierAltGraph: true}"
    grid.ask(f"View.keys = true, document.body.dispatchEvent(new KeyboardEvent('keydown', {graph}))")
    assert SEEDS.values[1] in grid.here


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("epoch>=60 weight=0.6,0.8", 8),
        ("weight:0.6-0.8 seed=123456789", 8),
        ("epoch!=20 -weight=1 -nolora", 18),
        ("s:failed", 1),
        ("s:left-out", 2),
        ("nolora", 2),
        ("winner", 1),
        ('"looking at camera" epoch=40', 8),
        ("memory", 1),
        ("seed=9223372036854775807 epoch<40", 3 + 1),
    ],
)
def test_what_filters_find(finder: Visit, text: str, count: int) -> None:
    script = "(text) => { const { names, problems } = Filter.matches(text); return [names.size, problems]; }"
    assert finder.ask(script, text) == [count, []]


def test_a_filter_hides_lines_keeps_arrows_inside_and_names_what_it_cannot_read(grid: Visit) -> None:
    grid.press("f")
    grid.page.keyboard.type("epoch>=60 weight=0.6,1 s:ready")
    grid.press("Enter")
    assert grid.ask("[...document.querySelectorAll('.rowhead')].map((e) => e.textContent)") == ["60", "80"]
    assert grid.ask("[...document.querySelectorAll('.colhead')].map((e) => e.textContent)") == ["0.6", "1"]
    assert "7 of 34 cells match" in grid.page.inner_text("#filter-said")
    grid.press("End", "ArrowDown")
    assert grid.here == "epoch 60, weight 1, seed 123456789"  # below it is one not made yet
    grid.press("g")
    assert grid.page.locator(".cell").count() == 7
    assert "epoch 80 · weight 1 · 9223372036854775807" in grid.page.inner_text("#grid")
    grid.page.fill("#filter", "epok>=60")
    assert "there is no axis “epok”; there are epoch, weight, seed" in grid.page.inner_text("#filter-said")
    grid.page.fill("#filter", "star")
    assert "No cell matches" in grid.page.inner_text("#grid")
    grid.page.fill("#filter", "")
    grid.settled()
    assert grid.page.locator(".cell").count() == 34


def test_stars_and_notes_stay_go_out_and_come_in(browser: Browser, folder: Path, tmp_path: Path) -> None:
    with visiting(browser) as one:
        one.go(folder / "index.html").press("k", "ArrowRight", "n")
        one.page.keyboard.type("good hands <b>, K?")
        one.press("Escape", "Escape")
        one.page.reload()
        one.settled()
        assert one.page.inner_text("#star-count") == "1"
        one.press("s")
        assert "good hands <b>, K?" in one.page.inner_text("#marks-list")
        assert "Firefox and Safari tie them to where this page lies" in one.page.inner_text("#marks-where")
        with one.page.expect_download() as download:
            one.page.click("#marks-export")
        download.value.save_as(tmp_path / "marks.json")
        one.press("Escape", "u")
        assert one.page.inner_text("#star-count") == "1"  # undo reaches back to this visit only
    written = json.loads((tmp_path / "marks.json").read_text(encoding="utf-8"))
    assert written["marks"][0]["cell"] == {"epoch": "20", "seed": "123456789", "weight": "0.6"}
    with visiting(browser) as other:
        other.go(folder / "index.html").press("ArrowRight", "k", "s")
        # of the cell that both have marked, the newer mark stays
        other.page.set_input_files("#marks-file", tmp_path / "marks.json")
        other.page.wait_for_selector("#toast.shown")
        assert "1 of 2 taken in; for the others there was a newer one here" in other.page.inner_text("#toast")
        (tmp_path / "bad.json").write_text('{"format": 1, "marks": [{"cell": {"epoch": "9"}, "star": "yes"}, 3, null]}')
        other.page.set_input_files("#marks-file", tmp_path / "bad.json")
        other.until("document.querySelector('#toast').textContent.includes('does not have')")
        (tmp_path / "bad.json").write_text("<html>")
        other.page.set_input_files("#marks-file", tmp_path / "bad.json")
        other.until("document.querySelector('#toast').textContent.includes('not JSON')")
        other.press("Escape")
        assert other.page.inner_text("#star-count") == "2"
        other.press("ArrowLeft", "k", "u", "u")
        assert other.page.inner_text("#star-count") == "1"


def test_a_star_on_a_picture_that_was_drawn_anew_since_says_so(tmp_path: Path, visit: Visit) -> None:
    manifest = manifest_of((EPOCHS, WEIGHTS))
    page = write_grid(tmp_path, manifest)
    visit.go(page).press("k")
    write_viewer(tmp_path, replace(manifest, cells=tuple(replace(one, key="f" * 64) for one in manifest.cells)))
    visit.page.reload()
    visit.settled()
    visit.press("i")
    assert "made on an earlier picture" in visit.page.inner_text("#details")


def test_v_shows_the_reference_while_it_is_held(grid: Visit) -> None:
    grid.press("b", "ArrowRight", "Enter")
    shown = "document.querySelector('#panes img').getAttribute('src')"
    own = grid.ask(shown)
    grid.page.keyboard.down("v")
    assert grid.page.inner_text("#large-label") == "held: epoch 20, weight 0.6, seed 123456789"
    assert grid.ask(shown) != own
    grid.page.keyboard.up("v")
    assert grid.ask(shown) == own
    grid.page.keyboard.down("d")  # the epoch after
    assert grid.page.inner_text("#large-label") == "held: epoch 40, weight 0.8, seed 123456789"
    grid.page.keyboard.up("d")
    grid.press("ArrowLeft", "b", "ArrowRight", "Escape")  # not pinned any more: what is drawn without LoRA
    grid.page.keyboard.down("v")
    grid.settled()
    bare = cell(grid, "no LoRA, seed 123456789").locator("img").get_attribute("src")
    assert cell(grid, grid.here).locator("img").get_attribute("src") == bare
    grid.page.keyboard.up("v")
    grid.settled()
    assert cell(grid, grid.here).locator("img").get_attribute("src") != bare


TRANSFORMS = "[...document.querySelectorAll('#panes img')].map((image) => image.style.transform)"


def test_comparing_links_zoom_and_place_and_arrows_move_one_of_them(grid: Visit) -> None:
    grid.press(" ", "ArrowDown", " ", "ArrowRight", " ", "c")
    assert grid.page.locator(".pane").count() == 3
    before = grid.ask(TRANSFORMS)
    assert len(set(before)) == 1
    grid.page.mouse.move(300, 400)
    grid.page.mouse.wheel(0, -400)
    grid.page.mouse.down()
    grid.page.mouse.move(260, 370)
    grid.page.mouse.up()
    after = grid.ask(TRANSFORMS)
    assert after != before
    assert len(set(after)) == 1
    zoom = grid.page.get_attribute("#panes", "data-zoom")
    grid.press("2", "ArrowRight")
    assert grid.page.locator(".pane.active .label").inner_text() == "2 epoch 40, weight 0.8, seed 123456789"
    assert grid.page.get_attribute("#panes", "data-zoom") == zoom
    grid.press("c")
    assert grid.page.locator(".label").first.inner_text() == "1 epoch 40, weight 0.8, seed 123456789"
    assert len(values(grid, "compare")) == 3
    grid.press("Escape")
    assert not grid.page.locator("#large").is_visible()


def test_two_cells_are_wiped_and_subtracted(grid: Visit) -> None:
    grid.press("Enter", "c")
    labels = grid.page.locator(".label").all_inner_texts()
    assert labels == ["1 no LoRA, seed 123456789", "2 epoch 20, weight 0.6, seed 123456789"]
    grid.press("m")
    over = grid.page.locator(".pane:not(.under) .room")
    assert "50%" in over.evaluate("(e) => getComputedStyle(e).clipPath")
    grid.page.fill("#wipe", "25")
    assert "25%" in over.evaluate("(e) => getComputedStyle(e).clipPath")
    grid.press("m")
    pane = grid.page.locator(".pane:not(.under)")
    assert pane.evaluate("(e) => getComputedStyle(e).mixBlendMode") == "difference"
    # the same picture twice is black all over
    grid.ask("View.compare = [View.here().name, View.here().name], Large.draw()")
    grid.page.wait_for_timeout(100)
    pixels = grid.page.locator("#panes").screenshot()
    grid.press("Escape")
    assert grid.page.locator(".pane").count() == 1  # back to the picture it began with
    middle = Image.open(BytesIO(pixels)).convert("L").crop((20, 20, 1200, 600))
    assert middle.getextrema() == (0, 0)


def test_axes_change_places_and_hidden_values_outlive_a_reload(grid: Visit) -> None:
    heads = "[...document.querySelectorAll('.colhead')].map((e) => e.textContent)"
    grid.press("t")
    assert grid.ask(heads) == ["no LoRA", "20", "40", "60", "80"]
    grid.press("l")
    grid.page.select_option('select[data-spot="place 2"]', "y")  # the seed to the rows, the weight to the pages
    assert grid.page.input_value('select[data-spot="place 1"]') == "page"
    grid.page.select_option('select[data-spot="place 1"]', "y2")
    grid.page.click('button[data-spot="value 0 1"]')
    grid.page.click('button[data-spot="value 0 3"]')
    grid.press("Escape")
    assert grid.ask(heads) == ["no LoRA", "20", "60"]
    assert grid.page.inner_text("#layout-open") == "Layout, 2 hidden"
    assert grid.page.locator(".banner").all_inner_texts()[:2] == ["weight 0.4", "weight 0.6"]
    grid.page.reload()
    grid.settled()
    assert grid.ask(heads) == ["no LoRA", "20", "60"]
    assert values(grid, "hide") == {"epoch": ["40", "80"]}
    assert grid.page.locator(".banner").all_inner_texts()[:2] == ["weight 0.4", "weight 0.6"]
    grid.press("l")
    for spot in ("value 0 0", "value 0 2"):
        grid.page.click(f'button[data-spot="{spot}"]')
    assert grid.page.inner_text("#toast") == "One value has to stay"
    grid.page.click('[data-do="resetLayout"]')
    assert grid.ask(heads) == ["no LoRA", "0.4", "0.6", "0.8", "1"]


def test_the_address_means_the_same_in_a_grid_that_grew(tmp_path: Path, visit: Visit) -> None:
    visit.go(write_grid(tmp_path, manifest_of((EPOCHS, WEIGHTS)))).press("End", "ArrowDown", "b")
    grown = replace(EPOCHS, values=("10", *EPOCHS.values))
    write_grid(tmp_path, manifest_of((grown, WEIGHTS)))
    visit.page.reload()
    visit.settled()
    assert visit.here == "epoch 40, weight 1"
    assert cell(visit, "epoch 40, weight 1").get_attribute("class").split()[-1] == "here"
    assert values(visit, "pin") == ["40", "1"]


def test_zoom_keeps_the_cell_where_it_is(grid: Visit) -> None:
    grid.press("ArrowDown", "ArrowDown")
    middle = """() => { const r = document.querySelector('.cell.here').getBoundingClientRect();
      return [r.x + r.width / 2, r.y + r.height / 2, r.width]; }"""
    _, y, width = grid.ask(middle)
    grid.press("+", "+", "+")
    larger = grid.ask(middle)
    assert larger[2] > width * 1.5
    grid.press("-")
    again = grid.ask(middle)
    # at the left edge it cannot stay: there is nothing to scroll to
    assert abs(again[1] - y) < 12
    assert f"size={round(again[2])}" in grid.page.url
    grid.page.keyboard.down("Control")
    grid.page.mouse.move(700, 500)
    under = grid.ask("document.elementFromPoint(700, 500).closest('.cell').ariaLabel")
    grid.page.mouse.wheel(0, -120)
    grid.page.keyboard.up("Control")
    grid.settled()
    assert grid.ask("document.elementFromPoint(700, 500).closest('.cell').ariaLabel") == under


@pytest.fixture(scope="module")
def thousands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 cells of which eight have pictures: what counts here is the page."""
    epochs = Axis("epoch", "epoch", tuple(str(n) for n in range(1, 51)), lora=True)
    weights = Axis("weight", "weight", tuple(f"{n / 40:g}" for n in range(1, 41)), lora=True)

    def state(at: At) -> tuple[State, str]:
        return ("ready", "") if at[0] == 49 and (at[1] or 0) > 31 else ("failed", "out of memory")

    return write_grid(tmp_path_factory.mktemp("thousands"), manifest_of((epochs, weights), state=state))


def test_of_two_thousand_cells_only_those_in_sight_are_on_the_page(thousands: Path, visit: Visit) -> None:
    visit.go(thousands, "size=120")
    assert visit.page.inner_text("#summary") == "8 of 2,001 pictures"
    assert visit.ask("document.querySelectorAll('#grid *').length") < 2500
    visit.page.mouse.move(640, 400)
    visit.press("Control+End")
    assert visit.here == "epoch 50, weight 1"
    assert cell(visit, "epoch 50, weight 1").is_visible()
    assert visit.ask("document.querySelectorAll('#grid *').length") < 2500
    # headers stay in sight, and above their cells
    head = visit.page.locator(".colhead", has_text=re.compile("^1$")).bounding_box()
    box = cell(visit, "epoch 50, weight 1").bounding_box()
    assert head and box
    assert abs(head["x"] - box["x"]) < 1
    assert head["y"] < box["y"]
    visit.ask("document.querySelector('#grid').scrollTo(0, 0)")
    visit.settled()
    # far away now, but still what Tab comes back to
    assert visit.ask("document.querySelector('#grid .cell[tabindex=\"0\"]').ariaLabel").startswith("epoch 50, weight 1")


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Browser, folder: Path) -> None:
    with visiting(browser, viewport={"width": 390, "height": 760}, has_touch=True, is_mobile=True) as phone:
        phone.go(folder / "index.html")
        assert phone.ask("document.documentElement.scrollWidth") == 390
        assert phone.ask("document.querySelector('#grid').clientHeight") > 400
        assert phone.ask("document.querySelectorAll('.cell img').length") >= 8
        cell(phone, "epoch 40, weight 0.4").tap()
        for kind, x in (("pointerdown", 300), ("pointerup", 100)):  # a swipe to the left
            event = (
                f"{{pointerId: 1, pointerType: 'touch', isPrimary: true, clientX: {x}, clientY: 400, bubbles: true}}"
            )
            phone.ask(f"document.querySelector('#panes').dispatchEvent(new PointerEvent('{kind}', {event}))")
        assert phone.page.inner_text("#large-label") == "epoch 40, weight 0.6, seed 123456789"
        phone.page.locator('#large [data-do="details"]').tap()
        assert phone.page.locator("#note").is_visible()
        assert phone.ask("document.documentElement.scrollWidth") == 390


# WCAG 2.2, "contrast ratio" and "relative luminance"
CONTRAST = """(names) => {
  const light = (name) => {
    const probe = document.body.appendChild(document.createElement('i'));
    probe.style.color = `var(${name})`;
    const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
    const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    probe.remove();
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [a, b] = names.map(light).sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_in_light_and_dark(browser: Browser, folder: Path, scheme: Any) -> None:
    with visiting(browser, color_scheme=scheme) as visit:
        visit.go(folder / "index.html")
        dark = visit.ask("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 30)"
        assert dark == (scheme == "dark")
        pairs = [("--ink", "--paper"), ("--soft", "--paper"), ("--soft", "--card"), ("--bad", "--bad-paper")]
        for pair in [*pairs, ("--accent", "--card"), ("--pin", "--card"), ("--star", "--card"), ("--winner", "--card")]:
            least = 3.0 if pair[0] == "--star" else 4.5  # a sign, not words
            assert visit.ask(CONTRAST, list(pair)) >= least, pair
        other = "light" if dark else "dark"
        visit.press("l")
        visit.page.select_option("#theme", other)
        assert (visit.ask("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 30)") != dark


def test_words_from_anywhere_stay_words(tmp_path: Path, visit: Visit) -> None:
    prompts = Axis("prompt", "prompt " + BREAKING, ("smile", BREAKING))
    seeds = Axis("seed", "seed", ("1", "2"))
    manifest = manifest_of(
        (prompts, seeds), x=1, y=0, title="faces " + BREAKING, prompt=BREAKING,
        state=lambda at: ("failed", BREAKING) if at == (1, 1) else ("ready", ""),
    )  # fmt: skip
    visit.go(write_grid(tmp_path, manifest))
    assert visit.page.title().startswith("faces </script><img src=x onerror")
    visit.press("ArrowDown", "n")
    visit.page.keyboard.type(BREAKING.replace("\u2028", ""))
    visit.press("Escape", "Escape", "k", "s", "Escape", "l", "Escape", "t", "t", "g", "c", "Escape", "?", "Escape")
    assert BREAKING.partition("\u2028")[0] in visit.here
    visit.page.fill("#filter", '"</script>"')
    visit.settled()
    assert visit.ask("window.pwned") is None
    assert visit.page.locator("img[src=x]").count() == 0
    data = (tmp_path / DATA_NAME).read_text(encoding="utf-8")
    assert "</script" not in data
    assert "\u2028" not in data


def test_pictures_appear_while_they_are_drawn_and_the_view_stays(tmp_path: Path, visit: Visit) -> None:
    manifest = manifest_of((EPOCHS, WEIGHTS))
    waiting = [replace(one, state="pending", picture="") if one.at[0] == 2 else one for one in manifest.cells]
    page = write_grid(tmp_path, manifest)
    write_viewer(tmp_path, replace(manifest, cells=tuple(waiting)))
    visit.page.clock.install()
    visit.page.goto(page.as_uri() + "#x=weight&y=epoch&size=140")
    visit.page.clock.run_for(500)
    visit.press("ArrowDown", "k")
    assert visit.page.locator('.cell[data-state="pending"]').count() == 4
    grown = manifest_of((replace(EPOCHS, values=("10", *EPOCHS.values)), WEIGHTS))
    write_grid(tmp_path, grown)
    write_data(tmp_path, grown)
    visit.page.clock.run_for(4500)
    visit.until("!document.querySelector('.cell[data-state=\"pending\"]')")
    visit.page.clock.run_for(500)
    assert visit.here == "epoch 40, weight 0.4"
    assert visit.page.inner_text("#star-count") == "1"
    assert visit.page.locator(".rowhead").first.inner_text() == "10"


def test_without_javascript_there_are_the_numbers_and_the_sheets(browser: Browser, folder: Path) -> None:
    with visiting(browser, java_script_enabled=False) as visit:
        visit.page.goto((folder / "index.html").as_uri())
        words = visit.page.inner_text("body")
        assert "30 of 32 pictures, 1 failed, 1 not made yet, 2 left out" in words
        assert "0.4, 0.6, 0.8, 1" in words
        visit.page.click(".plain a")
        assert visit.page.url.endswith("sheet-1.png")


def test_prompt_settings_and_commands_are_copied(tmp_path: Path, browser: Browser) -> None:
    (tmp_path / "lora.toml").touch()
    page = write_grid(tmp_path / "grids" / "v4 faces", manifest_of((EPOCHS, WEIGHTS, SEEDS), state=states))
    with visiting(browser, permissions=["clipboard-read", "clipboard-write"]) as visit:
        visit.go(page).press("b", "ArrowRight", "p")
        read = "navigator.clipboard.readText()"
        prompt = "<lora:ai_model_v4-000020-3fa2c1:0.8> ai_model_v4, close-up, looking at camera, smile"
        assert visit.ask(read) == prompt
        visit.press("i")
        visit.page.get_by_role("button", name="Copy for A1111").click()
        assert visit.ask(read) == (
            f"{prompt}\nNegative prompt: lowres, bad anatomy\n"
            "Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6, Seed: 123456789, Size: 64x64, "
            "Model hash: aaaaaaaaaa"
        )
        visit.page.get_by_role("button", name="Copy command").nth(1).click()
        first, second = "epoch=20,weight=0.6,seed=123456789", "epoch=20,weight=0.8,seed=123456789"
        assert visit.ask(read) == f'orchestrator grid difference "v4 faces" "{first}" "{second}"'
        from orchestrator.grid.addresses import read_cell
        from orchestrator.grid.manifest import read as read_manifest

        assert read_cell(second, read_manifest(page.parent)) == (0, 2, 0)


def test_files_that_are_gone_are_said_to_be_gone(tmp_path: Path, browser: Browser) -> None:
    page = write_grid(tmp_path, manifest_of((EPOCHS, WEIGHTS)))
    first, *_ = sorted((tmp_path / "pictures").glob("0000_*"))
    first.unlink()
    for thumbnail in (tmp_path / "thumbnails").iterdir():
        thumbnail.unlink()
    with visiting(browser, quiet=False) as visit:
        visit.go(page)
        visit.until("document.querySelectorAll('.cell .failed').length === 1")
        assert f"The file is not there any more: pictures/{first.name}" in visit.page.inner_text(".cell .failed")
        assert cell(visit, "epoch 20, weight 0.6").locator("img").get_attribute("src").endswith("%20%231.png")
        assert all("ERR_FILE_NOT_FOUND" in words for words in visit.complaints)


def test_one_axis_fills_the_width_and_other_axes_than_lora_need_no_baseline(tmp_path: Path, visit: Visit) -> None:
    samplers = Axis("sampler", "sampler", ("Euler a", "DPM++ 2M", "UniPC", "DDIM"))
    visit.go(write_grid(tmp_path, manifest_of((samplers,), x=0, y=-1)), "size=400")
    assert visit.page.locator(".caption").all_inner_texts() == list(samplers.values)
    boxes = [box.bounding_box() for box in visit.page.locator(".cell").all()]
    assert [box["y"] for box in boxes if box] == sorted(box["y"] for box in boxes if box)
    assert boxes[3] and boxes[0] and boxes[3]["y"] > boxes[0]["y"]  # three to a row
    visit.press("ArrowDown")
    assert visit.here == "sampler DDIM"
    visit.press("0")
    assert visit.page.inner_text("#toast") == "This grid has nothing without LoRA"


def test_a_lora_axis_on_the_pages_turns_to_what_is_drawn_without_it(tmp_path: Path, visit: Visit) -> None:
    prompts = Axis("prompt", "prompt", ("smile", "sad"))
    visit.go(write_grid(tmp_path, manifest_of((EPOCHS, prompts, SEEDS), x=2, y=1)), "x=seed&y=prompt")
    assert visit.page.locator(".cell").count() == 4
    visit.press("0")
    assert visit.here == "no LoRA, prompt smile, seed 123456789"
    assert all(
        text.startswith("no LoRA")
        for text in visit.ask("[...document.querySelectorAll('.cell')].map((e) => e.ariaLabel)")
    )
    visit.press("]")
    assert visit.here.startswith("epoch 40")


def test_a_name_in_the_hash_that_is_not_there_is_passed_over(folder: Path, visit: Visit) -> None:
    fragment = (
        'x=nonsense&y=epoch&at=["1","2"]&hide={"epoch":["20","40","60","80"]}&size=NaN&pin=[[]]&compare=[1]&q=&mode=x'
    )
    visit.go(folder / "index.html", fragment)
    assert visit.page.locator(".cell").count() > 4
    assert visit.ask("View.pin") is None


def test_no_paths_of_this_machine_and_no_other_computer_are_in_the_data(tmp_path: Path) -> None:
    manifest = manifest_of((EPOCHS, WEIGHTS))
    first, *others = manifest.cells
    away = replace(first, picture="//elsewhere/share/x.png")
    shared = {**manifest.shared, "init_path": "/home/somebody/x.png"}
    write_viewer(tmp_path, replace(manifest, shared=shared, cells=(away, *others)))
    text = (tmp_path / DATA_NAME).read_text(encoding="utf-8")
    assert "somebody" not in text
    assert '"picture":"elsewhere/share/x.png"' in text
