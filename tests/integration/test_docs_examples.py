"""Examples in the docs are run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.sandbox.server import RunningServer

ROOT = Path(__file__).parents[2]


def examples() -> list[tuple[str, str]]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [
        (page.name, block)
        for page in pages
        for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    ]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize(("page", "code"), examples())
def test_python(
    page: str, code: str, sandbox_server: RunningServer, ugly_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ugly_path)
    exec(compile(code.replace("http://127.0.0.1:7860", sandbox_server.url), page, "exec"), {})
    assert (ugly_path / "picture.png").read_bytes().startswith(b"\x89PNG")
