"""The report: self-contained, readable without JavaScript, honest about what is missing, working in a browser."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

from orchestrator.errors import WorkspaceError
from orchestrator.grid.render import render_grid
from orchestrator.render.engine import Renderer
from orchestrator.report import content as c
from orchestrator.report.write import write_report
from tests.integration.browser import needs_browser, open_page
from tests.integration.browsing import chromium
from tests.integration.grid_samples import small_grid

LARGEST_SEED = 2**63 - 1


class Links(HTMLParser):
    """Every address a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in {"src", "href"} and value]


def picture(folder: Path, name: str, colour: tuple[int, int, int]) -> c.ReportPicture:
    path = folder / f"{name}.png"
    Image.new("RGB", (64, 64), colour).save(path)
    made = {
        "prompt": "miku, <b>bold</b> </script>",
        "seed": LARGEST_SEED,
        "init_path": str(path),
        "cache key": name * 8,
    }
    return c.ReportPicture(path, f"{name} <i>", made)


def interval(mean: float) -> c.Interval:
    return c.Interval(mean, mean - 0.05, mean + 0.05)


def sample(folder: Path, grid: Path | None = None) -> c.ReportContent:
    shots = {name: picture(folder, name, (40 * i, 90, 200 - 40 * i)) for i, name in enumerate(("win", "bare", "train"))}
    cells = (
        c.CellScore(None, None, interval(0.5), interval(0.2), interval(0.9)),
        c.CellScore(
            40, 0.8, interval(0.8), interval(0.8), interval(0.8), 1.0, 2.0, 1.0, 6, may_be_best=True, leader=True
        ),
        c.CellScore(80, 1.0, interval(0.7), interval(0.9), interval(0.3), gated="a face in only 50 % of its pictures"),
    )
    observations = (
        c.Observed(40, 0.8, "arms crossed", 7, shots["win"], 0.8, 0.7, 1.5, True),
        c.Observed(None, None, "arms crossed", 7, shots["bare"], 0.2, 0.9, None, False),
        c.Observed(80, 1.0, "arms crossed", 7, c.ReportPicture(None, "epoch 80", error="out of memory")),
    )
    dataset = c.DatasetSection(
        10, "fingerprint-v3", (c.FindingRow("locked in", "close-up", "tilts by 14°", "it will tilt", "straighten"),),
        (c.GroupRow("close-up", 10, 2, "miku, close-up", 14.2, 2.0, 10, "10 close-up", 512, (shots["train"],)),),
    )  # fmt: skip
    training = c.TrainingSection(
        "finished",
        300,
        0.08,
        tuple((i, 1 / (i + 1)) for i in range(50)),
        (c.LoraFileRow("a.safetensors", 40, "ab" * 32, 9),),
    )
    versions = (c.VersionSection("v3", "miku_v3", dataset, training, (c.GridSection(grid),) if grid else ()),)
    return c.ReportContent(
        title="初音 v4",
        created="22 November 2026",
        simulated=True,
        verdict=c.VerdictSection(
            "Use epoch 40 at weight 0.8.", ("Two cells may be best.",), cells, ("Low weight, other face.",)
        ),
        deciding=(c.DecidingPicture("winner", shots["win"]), c.DecidingPicture("no LoRA", shots["bare"])),
        observations=observations,
        tilt=(c.TiltRow("v3", "training pictures", (13.0, 15.0), "training"),),
        scout=c.ScoutSection(
            "1 of 2 seeds obeyed.",
            ("arms crossed",),
            (c.ScoutedSeed(7, True, (0.9,), shots["bare"]), c.ScoutedSeed(8, False, (None,))),
        ),
        versions=versions,
        not_measured=("Hands.",),
        software=(("orchestrator", "0.1.0"),),
    )


@pytest.fixture
def grid_folder(renderer: Renderer, ugly_path: Path) -> Path:
    """A drawn grid with a name that must be quoted in a link."""
    return render_grid(
        small_grid(renderer, name="face #1 100%"), renderer, ugly_path / "grid", title="v3 face", simulated=True
    ).folder


def test_the_verdict_stands_in_the_first_lines_without_javascript(ugly_path: Path) -> None:
    page = write_report(ugly_path / "report", sample(ugly_path)).read_text(encoding="utf-8")
    body = re.sub(r"<(style|script).*?</\1>", "", page[page.index("<body") :], flags=re.DOTALL)
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).strip()
    assert words.startswith("Simulated.")
    assert words.index("Use epoch 40 at weight 0.8.") < 200
    for expected in (
        "Low weight, other face.",
        "tilts by 14°",
        "fingerprint-v3",
        "out of memory",
        "Hands.",
        "a face in only 50 %",
        "1 of 2 seeds",
    ):
        assert expected in words
    assert "<i>" not in page


def test_everything_it_refers_to_is_in_the_folder(grid_folder: Path, ugly_path: Path, tmp_path: Path) -> None:
    written = write_report(ugly_path / "report", sample(ugly_path, grid_folder))
    sent = tmp_path / "sent"
    shutil.move(written.parent, sent)
    for page in (sent / "index.html", *sent.glob("grids/*/index.html")):
        links = Links()
        links.feed(page.read_text(encoding="utf-8"))
        files = [link for link in links.found if not link.startswith(("#", "data:"))]
        assert files
        for link in files:
            assert (page.parent / unquote(link)).is_file(), link
    data = (next(sent.glob("grids/*/data.js"))).read_text(encoding="utf-8")
    shown = re.findall(r'"picture":"([^"]+)"', data)
    assert len(shown) == 6
    assert all((next(sent.glob("grids/*")) / name).is_file() for name in shown)
    for path in sent.rglob("*"):
        if path.suffix in {".html", ".js", ".json"}:
            text = path.read_text(encoding="utf-8")
            assert str(ugly_path) not in text and str(tmp_path) not in text, (
                f"{path.name} names a place on this machine"
            )
            assert not re.search(r"""(src|href)=["']?https?:""", text)


def test_report_json_holds_numbers_and_provenance(ugly_path: Path) -> None:
    data = json.loads(
        (write_report(ugly_path / "report", sample(ugly_path)).with_name("report.json")).read_text(encoding="utf-8")
    )
    assert data["simulated"] is True
    assert data["verdict"]["cells"][1]["utility"] == {"mean": 0.8, "low": 0.75, "high": pytest.approx(0.85)}
    assert data["observations"][0]["picture"]["provenance"]["seed"] == LARGEST_SEED
    assert data["observations"][0]["picture"]["provenance"]["init_path"] == "win.png"
    assert (ugly_path / "report" / data["observations"][0]["picture"]["file"]).is_file()
    assert data["observations"][2]["picture"]["error"] == "out of memory"


def test_written_again_only_what_changed_is_encoded(ugly_path: Path) -> None:
    folder = ugly_path / "report"
    write_report(folder, sample(ugly_path))
    mine = folder / "pictures" / "mine.txt"
    mine.write_text("mine", encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in folder.glob("pictures/*.webp")}
    fewer = replace(sample(ugly_path), versions=())
    write_report(folder, fewer)
    after = {path: path.stat().st_mtime_ns for path in folder.glob("pictures/*.webp")}
    assert len(after) == len(before) - 2, "the copies of the training picture are gone"
    assert after.items() <= before.items()
    assert mine.is_file()


def test_a_picture_that_cannot_be_read_is_shown_as_missing(ugly_path: Path) -> None:
    whole = sample(ugly_path)
    (ugly_path / "win.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (ugly_path / "bare.png").unlink()
    page = write_report(ugly_path / "report", whole).read_text(encoding="utf-8")
    assert page.count('class="missing"') >= 5
    assert "win.png" in page
    assert "bare.png cannot be read" in page


def test_a_report_of_nothing_yet_says_so(ugly_path: Path) -> None:
    page = write_report(ugly_path / "report", c.ReportContent("初音 v1", "today", False)).read_text(encoding="utf-8")
    assert "No verdict yet" in page
    assert "Simulated" not in page


def test_a_folder_without_a_grid_is_named(ugly_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="no grid"):
        write_report(ugly_path / "report", sample(ugly_path, ugly_path / "nothing"))


@needs_browser
def test_a_click_leads_to_how_the_picture_was_made(ugly_path: Path) -> None:
    page = write_report(ugly_path / "report", sample(ugly_path))
    dom = open_page(page, script='document.querySelector("[data-record]").click();')
    dialog = dom[dom.index("<dialog") : dom.index("</dialog>")]
    assert 'open=""' in dialog
    assert str(LARGEST_SEED) in dialog
    assert "&lt;b&gt;bold&lt;/b&gt; &lt;/script&gt;" in dialog
    assert "winwin" in dialog
    assert '<svg class="chart"' in dom


@needs_browser
def test_a_number_leads_to_its_pictures(ugly_path: Path) -> None:
    page = write_report(ugly_path / "report", sample(ugly_path))
    dom = open_page(page, fragment="cell-40-0.8")
    opened = re.search(r'<details id="cell-40-0.8"[^>]*>', dom)
    assert opened
    assert "open" in opened[0]
    closed = re.search(r'<details id="cell-80-1"[^>]*>', dom)
    assert closed
    assert "open" not in closed[0]
    targets = set(re.findall(r'href="#(cell-[^"]+)"', dom))
    assert targets
    assert targets <= {*re.findall(r'id="(cell-[^"]+)"', dom)}, "no number leads nowhere"


@needs_browser
def test_the_viewer_inside_the_report_shows_every_cell(grid_folder: Path, ugly_path: Path) -> None:
    page = write_report(ugly_path / "report", sample(ugly_path, grid_folder))
    with chromium() as browser:
        tab = browser.new_page()
        tab.goto(next(page.parent.glob("grids/*/index.html")).as_uri())
        tab.wait_for_selector("#grid[data-settled='1']")
        # Two of the baseline and four others lie on one page, and the footer says the state of the cell it is about.
        assert tab.locator('[data-state="ready"]').count() == 6 + 1
        dom = tab.content()
    assert "6 of 6 pictures<" in dom
    assert ">2 left out<" in dom
