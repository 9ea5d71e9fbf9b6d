"""Examples in the docs are run as they stand: a page's blocks one after the other, as its reader would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.a1111 import client
from orchestrator.sandbox.server import RunningServer

ROOT = Path(__file__).parents[2]


def pages() -> dict[str, str]:
    files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    blocks = {
        page.name: re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL) for page in files
    }
    # The client's own docstring is an example from its second paragraph on.
    blocks["client.py"] = [str(client.__doc__).partition("\n\n")[2]]
    return {name: "\n".join(found) for name, found in blocks.items() if found}


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("page", pages())
def test_python(page: str, sandbox_server: RunningServer, ugly_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ugly_path)
    code = pages()[page]
    exec(compile(code.replace("http://127.0.0.1:7860", sandbox_server.url), page, "exec"), {})
    promised = set(re.findall(r'"([\w-]+\.png)"', code))
    assert promised
    for name in promised:
        assert (ugly_path / name).read_bytes().startswith(b"\x89PNG"), name
