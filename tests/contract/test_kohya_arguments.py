"""What the install accepts is what we read in its source; what it does with anything else is what we guard against."""

from __future__ import annotations

from pathlib import Path

import pytest
import toml

from orchestrator.kohya import arguments
from tests.contract.kohya_subject import Kohya, metadata

SCRIPTS = ("train_network.py", "sdxl_train_network.py", "flux_train_network.py")
_ASK = """
import importlib
answer = [
    [a.dest, type(a).__name__.strip("_"), a.nargs, getattr(a.type, "__name__", None), a.default, a.choices]
    for a in importlib.import_module(given).setup_parser()._actions if a.dest != "help"
]
"""


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_source_tells_what_argparse_knows(kohya: Kohya, script: str) -> None:
    """Trap: asking the program takes 10 s and torch; we read its source. Nothing may be missing or read wrongly."""
    if not (kohya.install.root / script).is_file():
        pytest.skip(f"this version has no {script}")
    mine = arguments.read(kohya.install, script)
    asked = {name: rest for name, *rest in kohya.ask(_ASK, script.removesuffix(".py"))}
    assert set(mine) == set(asked)
    for name, (action, nargs, kind, default, choices) in asked.items():
        read = mine[name]
        assert read.flag == (action == "StoreTrueAction"), name
        assert read.choices == (None if choices is None else tuple(choices)), name
        assert read.default == default, name
        if not read.flag:
            assert (read.nargs, read.type) == ("" if nargs is None else str(nargs), kind or "str"), name


def test_an_unknown_key_is_ignored(kohya: Kohya, tmp_path: Path) -> None:
    """Trap: no word about it, and exit code 0."""
    kohya.needs_a_model()
    done = kohya.train(tmp_path, network_dimm=16, max_train_epochs=1)
    assert done.code == 0, done.err[-1000:]
    assert "network_dimm" not in done.out + done.err
    assert metadata(tmp_path / "out" / "contract.safetensors")["ss_network_dim"] == "2"


def test_a_mark_at_the_beginning_eats_the_first_key(kohya: Kohya, tmp_path: Path) -> None:
    """Trap: Notepad's byte order mark. The first key is lost without a word; here it is the folder of the pictures."""
    settings = kohya.settings(tmp_path)
    text = toml.dumps({"train_data_dir": settings.pop("train_data_dir"), **settings})
    (tmp_path / "config.toml").write_text("\ufeff" + text, encoding="utf-8")
    done = kohya.run([str(kohya.install.script), "--config_file", str(tmp_path / "config.toml")])
    assert done.code == 0, done.err[-1000:]
    assert "No data found" in done.err


def test_sections_mean_nothing_and_the_command_line_wins(kohya: Kohya, tmp_path: Path) -> None:
    """We write one key once, in sections that only people read."""
    kohya.needs_a_model()
    settings = kohya.settings(tmp_path, max_train_epochs=1)
    text = toml.dumps({"anything": settings, "else": {"network_dim": 3}})
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    arguments_ = [str(kohya.install.script), "--config_file", str(tmp_path / "config.toml"), "--output_name", "other"]
    done = kohya.run(arguments_)
    assert done.code == 0, done.err[-1000:]
    assert metadata(tmp_path / "out" / "other.safetensors")["ss_network_dim"] == "3"


def test_a_wrong_command_line_is_refused(kohya: Kohya) -> None:
    done = kohya.run([str(kohya.install.script), "--network_dimm", "16"])
    assert done.code == 2
    assert "unrecognized arguments: --network_dimm 16" in done.last_words
