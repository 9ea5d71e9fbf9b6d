from __future__ import annotations

import subprocess
import sys

import orchestrator


def test_every_public_name_is_there() -> None:
    for name in orchestrator.__all__:
        assert getattr(orchestrator, name) is not None


def test_help_imports_nothing_heavy() -> None:
    heavy = ("numpy", "mediapipe", "starlette", "PIL", "httpx", "pydantic", "rich", "jinja2", "psutil")
    look = f"sys.exit(' '.join(h for h in {heavy!r} if h in sys.modules))"
    code = f"import sys, orchestrator.__main__ as m; m.main(['--help']); {look}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
    assert "demo" in done.stdout
