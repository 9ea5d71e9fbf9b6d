"""Makes the pictures of the docs from a played demo: `python3 docs/pictures/make.py FOLDER` (needs chromium)."""

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


if __name__ == "__main__":
    grid(Path(sys.argv[1]))
    ramp(Path(sys.argv[1]))
    report(Path(sys.argv[1]))
