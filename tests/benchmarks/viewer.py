"""The viewer with 2,000 cells of 512×512 in Chromium: first paint, and scrolling through all of it.

Every cell has a picture file and a thumbnail of its own, so that the browser has to decode each of them. Needs chromium
and playwright.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from orchestrator.grid import manifest as manifests
from orchestrator.grid.manifest import Axis
from orchestrator.grid.thumbnails import thumbnail_name, thumbnails
from orchestrator.grid.viewer import write_viewer
from tests.integration.browser import PROGRAM
from tests.integration.viewer_samples import manifest_of

LIMIT_PAINT_MS, LIMIT_TASK_MS = 1000, 100
EPOCHS = Axis("epoch", "epoch", tuple(str(2 * n) for n in range(1, 51)), lora=True)
WEIGHTS = Axis("weight", "weight", tuple(f"{n / 40:g}" for n in range(1, 41)), lora=True)
SEEDS = Axis("seed", "seed", ("123456789",))

# Longtask entries are reported from 50 ms on.
WATCH = """() => {
  window.tasks = [];
  const note = (list) => tasks.push(...list.getEntries().map((entry) => entry.duration));
  new PerformanceObserver(note).observe({type: "longtask", buffered: true});
}"""
# To the end and back, some rows with every frame, as a fast wheel does.
SCROLL = """async ([step, sideways]) => {
  const grid = document.querySelector("#grid"), frames = [];
  const [place, room, whole] = sideways ? ["scrollLeft", "clientWidth", "scrollWidth"]
    : ["scrollTop", "clientHeight", "scrollHeight"];
  let last = performance.now();
  const drawn = (done) => (now) => { frames.push(now - last); last = now; done(); };
  const frame = () => new Promise((done) => requestAnimationFrame(drawn(done)));
  for (const way of [1, -1]) {
    const end = () => (way > 0 ? grid[place] + grid[room] >= grid[whole] - 1 : grid[place] <= 0);
    while (!end()) { grid[place] += way * step; await frame(); }
  }
  frames.sort((a, b) => a - b);
  const at = (share) => frames[Math.floor(frames.length * share)];
  return {count: frames.length, median: at(0.5), slow: at(0.99), nodes: grid.querySelectorAll("*").length};
}"""


def grid_of_two_thousand(folder: Path) -> Path:
    """The viewer of 2,000 cells and a baseline; pixels of 24 pictures under names of their own."""
    manifest = manifest_of((EPOCHS, WEIGHTS, SEEDS), side=512)
    sources = [folder / "sources" / f"{n}.png" for n in range(24)]
    (folder / "sources").mkdir(parents=True)
    gradient = Image.radial_gradient("L").resize((512, 512)).convert("RGB")
    for number, source in enumerate(sources):
        noise = Image.effect_noise((512, 512), 40).convert("RGB")
        Image.blend(noise, gradient.rotate(15 * number), 0.7).save(source)
    with thumbnails(folder / "sources") as want:
        for number, source in enumerate(sources):
            want(f"{number:024x}", source)
    for name in ("pictures", "thumbnails"):
        (folder / name).mkdir()
    for number, cell in enumerate(manifest.cells):
        source = number % len(sources)
        os.link(sources[source], folder / cell.picture)
        os.link(folder / "sources" / thumbnail_name(f"{source:024x}"), folder / thumbnail_name(cell.key))
    manifests.write(folder, manifest)
    return write_viewer(folder, manifest)


def first_paint(page: Page, address: str) -> dict[str, Any]:
    """Milliseconds until the first paint, and until every visible cell has its picture."""
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("#grid[data-settled='1']")
    # the page's policy forbids Playwright's own way of waiting
    while not page.evaluate("[...document.querySelectorAll('#grid img')].every((image) => image.complete)"):
        time.sleep(0.01)
    painted = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    return {"paint": page.evaluate(painted), "all": page.evaluate("performance.now()")}


def scroll(page: Page, address: str) -> tuple[dict[str, Any], float]:
    """Frames while everything is scrolled through, and the longest task in ms (0: none of 50 or more)."""
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("#grid[data-settled='1']")
    page.evaluate(WATCH)
    down, across = page.evaluate(SCROLL, [600, False]), page.evaluate(SCROLL, [600, True])
    page.wait_for_timeout(300)
    frames = {**down, "count": down["count"] + across["count"], "slow": max(down["slow"], across["slow"])}
    return frames, max(page.evaluate("tasks"), default=0)


def main() -> None:
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        started = time.perf_counter()
        address = grid_of_two_thousand(Path(name)).as_uri()
        megabytes = (Path(name) / "data.js").stat().st_size / 1e6
        print(f"2,001 cells written in {time.perf_counter() - started:.1f} s, data.js {megabytes:.2f} MB")
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        opened = [first_paint(page, address) for _ in range(3)]
        paint, everything = (max(one[what] for one in opened) for what in ("paint", "all"))
        print(
            f"first paint {paint:.0f} ms (slowest of 3)   limit {LIMIT_PAINT_MS}   {paint / LIMIT_PAINT_MS:.2f} of it; "
            f"all visible pictures after {everything:.0f} ms"
        )
        for size in (176, 96, 48, 320):
            frames, longest = scroll(page, f"{address}#size={size}")
            task = f"{longest:.0f}" if longest else "under 50"
            print(
                f"cells of {size:3} px: {frames['count']} frames, median {frames['median']:.0f} ms, 99 % within "
                f"{frames['slow']:.0f} ms, {frames['nodes']} nodes; longest task {task} ms   limit {LIMIT_TASK_MS}   "
                f"{longest / LIMIT_TASK_MS:.2f} of it"
            )
        browser.close()


if __name__ == "__main__":
    main()
