"""Makes the pictures of the docs from a played demo: `python3 docs/pictures/make.py FOLDER` (chromium, playwright)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"


def grid(demo: Path) -> None:
    """The face grid of v4 at one seed."""
    with Image.open(demo / "grids" / "v4 face" / "sheet-seed-123456789.png") as sheet:
        small = sheet.convert("RGB")
        small.thumbnail((1100, 1100), Image.Resampling.LANCZOS)
        small.save(HERE / "grid.jpg", quality=84, optimize=True)


def ramp(demo: Path) -> None:
    """The sheet of the ramp in how-to/make-pictures.md, drawn in the demo's workspace."""
    (sheet,) = demo.glob("pictures/ramp */sheet/sheet.png")
    with Image.open(sheet) as image:
        small = image.convert("RGB")
        small.thumbnail((1200, 1200), Image.Resampling.LANCZOS)
        small.save(HERE / "ramp.jpg", quality=78, optimize=True)


def report(demo: Path) -> None:
    """The top of the report, as a browser shows it."""
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "report.png"
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={folder}/profile",
        ]
        page = (demo / "reports" / "v4" / "index.html").absolute().as_uri()
        subprocess.run([CHROMIUM, *flags, f"--screenshot={shot}", "--window-size=1200,1500", page], check=True)
        with Image.open(shot) as image:
            image.convert("RGB").save(HERE / "report.jpg", quality=84, optimize=True)


def viewer(demo: Path) -> None:
    """The viewer of the face grid of v4: the grid, two cells compared, and a phone."""
    from playwright.sync_api import sync_playwright

    page_of = (demo / "grids" / "v4 face" / "index.html").absolute().as_uri()
    shots = {
        "viewer": ((1280, 860), "light", "", ("ArrowDown", "ArrowRight", "k", "ArrowDown")),
        "viewer-compare": ((1280, 760), "dark", "", ("End", "ArrowDown", "ArrowDown", "c", "m", "+", "+")),
        "viewer-phone": ((390, 760), "dark", "", ("ArrowDown",)),
    }
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, ((width, height), scheme, fragment, keys) in shots.items():
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            page = context.new_page()
            page.goto(page_of + fragment)
            for key in keys:
                page.keyboard.press(key)
            page.wait_for_selector("#grid[data-settled='1']")
            page.wait_for_timeout(1000)  # pictures decode beside the page
            page.screenshot(path=f"{folder}/{name}.png")
            with Image.open(f"{folder}/{name}.png") as image:
                image.convert("RGB").save(HERE / f"{name}.jpg", quality=82, optimize=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    grid(Path(sys.argv[1]))
    ramp(Path(sys.argv[1]))
    report(Path(sys.argv[1]))
    viewer(Path(sys.argv[1]))
