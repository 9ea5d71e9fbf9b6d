"""The page about a balanced dataset is followed from its first command to its last, on the sandbox."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from orchestrator.__main__ import main
from orchestrator.sandbox.imagine import Request, paint
from orchestrator.sandbox.learned import starter
from orchestrator.sandbox.server import RunningServer
from tests.integration.faces import require_faces

require_faces()

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "a-balanced-dataset.md").read_text(encoding="utf-8")
#: What a command may end with besides 0: the check of a tilted dataset says so.
ENDS = {"check": {9}}


@pytest.mark.usefixtures("measuring_kept")
def test_every_command_of_the_page_does_what_it_says(
    sandbox_server: RunningServer,
    ugly_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ugly_path)
    monkeypatch.setenv("ORCHESTRATOR_A1111_URL", sandbox_server.url)
    toml = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert toml
    Path("lora.toml").write_text('[subject]\nname = "miku"\nversion = "v4"\n\n' + toml[1], encoding="utf-8")
    lora = starter(7, "miku_v3")
    for folder, framing, count in (("close", "close-up", 4), ("10_upper", "upper body", 3)):
        for number in range(count):
            path = Path("photos") / folder / f"{number + 1:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            paint(Request(f"miku_v3, {framing}", seed=number, loras=((lora, 1.0),))).save(path)
    before = {path: path.read_bytes() for path in Path("photos").rglob("*.png")}
    commands = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert len(commands) >= 17
    for line in commands:
        words = shlex.split(line)[1:]
        if words[:3] == ["dataset", "caption", "apply"]:
            _edit_on_the_page()
        code = main(words)
        printed = capsys.readouterr()
        assert code == 0 or code in ENDS.get(words[1], set()), f"{line}: {code}\n{printed.err}"
    assert {path: path.read_bytes() for path in before} == before, "originals are never changed"
    built = [path.read_text(encoding="utf-8") for path in Path("dataset/v4").rglob("*.txt")]
    assert any("blue hat" in text for text in built)
    assert json.loads(Path("dataset/v4.check.json").read_text(encoding="utf-8"))["verdict"] == "ready"


def _edit_on_the_page() -> None:
    """What a person does on the review page, in its own data: one caption changed."""
    page = Path("dataset/v4.captions.html").read_text(encoding="utf-8")
    found = re.search(
        r'data-sha256="(\w+)" data-group="([^"]+)" data-file="([^"]+)">\n(.*?)</textarea>', page, re.DOTALL
    )
    assert found
    sha256, group, file, was = found.groups()
    one = {"sha256": sha256, "group": group, "file": file, "was": was, "caption": f"{was}, blue hat"}
    Path("edited-captions.json").write_text(json.dumps({"format": 1, "captions": [one]}), encoding="utf-8")
