"""Reading an install's arguments from its source."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator
from orchestrator.errors import KohyaNotFound
from orchestrator.kohya import arguments, install
from orchestrator.kohya.install import KohyaInstall

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"
GOLDEN = Path(__file__).parents[1] / "golden" / "kohya_arguments.json"
# Read here: no test sees the settings of whoever runs it.
CHECKOUT = os.environ.get("ORCHESTRATOR_SD_SCRIPTS")

SCRIPT = """
import argparse
import library.train_util as train_util
from library import more
from library.logs import add_logging_arguments as logs

def setup_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    logs(parser)
    train_util.add_training(parser, True, caption=False)
    more.add_more(parser)
    parser.add_argument("--network-dim", type=int, default=None)
    parser.add_argument("-n", "--network_args", type=str, nargs="*", default=None)
    return parser

if __name__ == "__main__":
    setup_parser().parse_args()
"""
LIBRARY = {
    "train_util": '''
def add_training(parser, dreambooth: bool, caption: bool = True, extra=True):
    def int_or_float(value):
        return int(value)
    parser.add_argument("--pretrained_model_name_or_path", type=str, default=None)
    parser.add_argument("--output_dir", type=str, default=None)
    parser.add_argument("--steps", type=int_or_float, default=0, choices=None)
    if dreambooth:
        parser.add_argument("--dreambooth_only", action="store_true")
    else:
        parser.add_argument("--never_1")
    if not caption:
        parser.add_argument("--no_caption", type=float, default=1e-6)
    if caption:
        parser.add_argument("--never_2")
    if extra:
        parser.add_argument("--mixed_precision", type=str, default="no", choices=["no", "fp16", "bf16"])
''',
    "logs": '''
def add_logging_arguments(parser):
    group = parser.add_argument_group("logging")
    group.add_argument("--console_log_simple", action="store_true")
''',
    "more": '''
import os
def add_more(parser):
    "its documentation has an invalid escape: \\("
    if os.name == "nt":
        parser.add_argument("--perhaps", type=os.PathLike, default=os.name)
''',
}  # fmt: skip


def _install(root: Path, script: str = SCRIPT) -> KohyaInstall:
    (root / "library").mkdir(parents=True)
    (root / "train_network.py").write_text(script, encoding="utf-8")
    for name, text in LIBRARY.items():
        (root / "library" / f"{name}.py").write_text(text, encoding="utf-8")
    return install.find(root, python=sys.executable)


def test_calls_are_followed_with_their_values(tmp_path: Path) -> None:
    found = arguments.read(_install(tmp_path))
    expected = {
        *("console_log_simple", "pretrained_model_name_or_path", "output_dir", "steps", "dreambooth_only"),
        *("no_caption", "mixed_precision", "perhaps", "network_dim", "network_args"),
    }
    assert found.keys() == expected
    assert found["steps"].type == "int_or_float"
    assert found["mixed_precision"].choices == ("no", "fp16", "bf16")
    assert found["no_caption"].default == 1e-6
    assert found["network_args"].many
    assert not found["network_dim"].many
    assert found["dreambooth_only"].flag and found["dreambooth_only"].type == "bool"


def test_a_script_of_another_model_builds_on_the_first(tmp_path: Path) -> None:
    kohya = _install(tmp_path)
    (tmp_path / "sdxl_train_network.py").write_text(
        "import train_network\ndef setup_parser():\n    parser = train_network.setup_parser()\n"
        "    parser.add_argument('--no_half_vae', action='store_true')\n    return parser\n",
        encoding="utf-8",
    )
    assert arguments.read(kohya, "sdxl_train_network.py").keys() - arguments.read(kohya).keys() == {"no_half_vae"}


@pytest.mark.parametrize("script", ["def setup_parser(", "x = 1\n", "def setup_parser():\n    return setup_parser()\n"])
def test_a_damaged_script_is_said_to_be_so(tmp_path: Path, script: str) -> None:
    kohya = _install(tmp_path, script)
    with pytest.raises(KohyaNotFound) as caught:
        arguments.read(kohya)
    assert caught.value.fix


def test_a_missing_script_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(KohyaNotFound, match="flux_train_network"):
        arguments.read(_install(tmp_path), "flux_train_network.py")


ANOTHER_PROCESS = """
import ast, sys
from pathlib import Path
from orchestrator.kohya import arguments, install

def parse(*_):
    raise AssertionError("a source was parsed")

if sys.argv[3] == "no parsing":
    ast.parse = parse
found = arguments.read(install.find(sys.argv[1], python=sys.executable), cache=Path(sys.argv[2]))
print(sorted(found.values(), key=lambda a: a.name))
"""


def _elsewhere(root: Path, cache: Path, parsing: str) -> str:
    command = [sys.executable, "-c", ANOTHER_PROCESS, str(root), str(cache), parsing]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_later_process_parses_nothing(ugly_path: Path) -> None:
    root, cache = ugly_path / "sd-scripts", ugly_path / "cache"
    kohya = _install(root)
    with pytest.raises(AssertionError, match="a source was parsed"):
        _elsewhere(root, cache, "no parsing")
    first = _elsewhere(root, cache, "parsing")
    assert _elsewhere(root, cache, "no parsing") == first
    assert first.strip() == str(sorted(arguments.read(kohya).values(), key=lambda a: a.name))
    # Another version of the code is read anew.
    changed = SCRIPT.replace("--network-dim", "--network-dim2")
    (root / "train_network.py").write_text(changed, encoding="utf-8")
    assert "network_dim2" in _elsewhere(root, cache, "parsing")


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"key": "x", "value": []}'])
def test_a_damaged_memory_is_made_anew(tmp_path: Path, damage: str) -> None:
    kohya = _install(tmp_path / "sd")
    expected = arguments.read(kohya, cache=tmp_path / "cache")
    (kept,) = (tmp_path / "cache" / "kohya").iterdir()
    whole = kept.read_text(encoding="utf-8")
    kept.write_text(damage, encoding="utf-8")
    arguments._read.cache_clear()
    assert arguments.read(kohya, cache=tmp_path / "cache") == expected
    assert kept.read_text(encoding="utf-8") == whole


def test_without_a_place_to_keep_it_everything_is_read(tmp_path: Path) -> None:
    kohya = _install(tmp_path / "sd")
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert arguments.read(kohya, cache=tmp_path / "file") == arguments.read(kohya)


def test_the_193_arguments_of_february_2026(tmp_path: Path) -> None:
    """The simulated trainer has the real one's arguments; the golden list was written by the real one's own
    argparse.
    """
    found = arguments.read(install.find(SANDBOX, python=sys.executable))
    assert sorted(found) == json.loads(GOLDEN.read_text(encoding="utf-8"))["train_network"]
    assert (found["lr_warmup_steps"].type, found["text_encoder_lr"].nargs) == ("int_or_float", "*")
    assert sum(argument.flag for argument in found.values()) == 59


def test_a_real_checkout_gives_what_its_own_argparse_gave() -> None:
    """Only where a checkout and the observed answers lie on this machine (ORCHESTRATOR_FACTS,
    ORCHESTRATOR_SD_SCRIPTS).
    """
    facts = os.environ.get("ORCHESTRATOR_FACTS")
    if not facts or not CHECKOUT:
        return
    observed = json.loads((Path(facts) / "kohya" / "train_network_args.json").read_text(encoding="utf-8"))
    kohya = install.find(CHECKOUT, python=sys.executable)
    for script, answer in observed.items():
        found = arguments.read(kohya, f"{script}.py")
        assert {a["name"]: a["default"] for a in answer["args"]} == {name: a.default for name, a in found.items()}
