"""A headless browser that opens a page from the disk and hands back what it became."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next((found for name in _NAMES if (found := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no chromium on this machine")
_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--enable-logging=stderr", "--v=0",
    "--virtual-time-budget=2000", "--window-size=1280,1000",
)  # fmt: skip


def open_page(page: Path, *, fragment: str = "", script: str = "") -> str:
    """The page's DOM after `script` ran at its end. Fails the test when the page reports an error or misses a file."""
    if script:
        text = page.read_text(encoding="utf-8").replace("</body>", f"<script>{script}</script></body>")
        page = page.with_name(f"tried-{page.name}")
        page.write_text(text, encoding="utf-8")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        address = page.resolve().as_uri() + (f"#{fragment}" if fragment else "")
        done = subprocess.run(
            [str(PROGRAM), *_QUIET, f"--user-data-dir={profile}", "--dump-dom", address],
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
    said = done.stderr.decode("utf-8", "replace")
    complaints = [line for line in said.splitlines() if "CONSOLE" in line]
    assert not complaints, complaints
    return done.stdout.decode("utf-8")


def press(*keys: str) -> str:
    """A script that presses keys one after the other where the focus is."""
    names = ", ".join(f'"{key}"' for key in keys)
    return (
        f"for (const key of [{names}]) {{ const on = document.activeElement || document.body;"
        ' on.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));'
        ' on.dispatchEvent(new KeyboardEvent("keyup", {key, bubbles: true})); }'
    )
