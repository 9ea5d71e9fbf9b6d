"""What is installed beside a Python, told from its folders; environments that cannot work any more."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.kohya import packages


def venv(root: Path, *installed: str, windows: bool = False, config: str = "") -> Path:
    """An environment with `installed` (names of metadata folders); gives its Python."""
    site = root / ("Lib/site-packages" if windows else "lib/python3.10/site-packages")
    for name in installed:
        (site / name).mkdir(parents=True)
    site.mkdir(parents=True, exist_ok=True)
    python = root / ("Scripts/python.exe" if windows else "bin/python")
    python.parent.mkdir(parents=True)
    python.write_text("", encoding="utf-8")
    (root / "pyvenv.cfg").write_text(config or f"home = {root}\n", encoding="utf-8")
    return python


@pytest.mark.parametrize("windows", [False, True])
def test_packages_and_versions(ugly_path: Path, windows: bool) -> None:
    python = venv(
        ugly_path / "venv",
        *("torch-2.6.0+cu124.dist-info", "lion_pytorch-0.0.6.dist-info", "toml-0.10.2-py3.10.egg-info", "torch"),
        *("Pillow-10.3.0.dist-info", "__pycache__", "bitsandbytes_windows-0.41.dev1.dist-info"),
        windows=windows,
    )
    found = packages.installed(python)
    assert found == {
        "torch": "2.6.0+cu124",
        "lion-pytorch": "0.0.6",
        "toml": "0.10.2",
        "pillow": "10.3.0",
        "bitsandbytes-windows": "0.41.dev1",
    }
    assert [packages.brings(name, found) for name in ("lion_pytorch", "PIL", "bitsandbytes", "xformers")] == [
        True, True, True, False,
    ]  # fmt: skip


def test_this_python_is_seen_as_it_is() -> None:
    """The judge is Python itself, which finds its packages its own way."""
    from importlib.metadata import distributions, version

    found = packages.installed(Path(sys.executable))
    assert found["pydantic"] == version("pydantic")
    names = {packages.normal(d.metadata["Name"]) for d in distributions() if d.metadata["Name"]}
    assert not set(found) - names


def test_the_systems_packages_count_only_where_the_environment_says_so(tmp_path: Path) -> None:
    base = venv(tmp_path / "base", "torch-2.1.0.dist-info", "toml-0.9.dist-info")
    for included, expected in (("true", {"torch": "2.1.0", "toml": "0.10.2"}), ("false", {"toml": "0.10.2"})):
        python = venv(
            tmp_path / included,
            "toml-0.10.2.dist-info",
            config=f"home = {base.parent}\ninclude-system-site-packages = {included}\n",
        )
        assert packages.installed(python) == expected


def test_conda_keeps_its_python_at_the_top_on_windows(tmp_path: Path) -> None:
    (tmp_path / "Lib" / "site-packages" / "xformers-0.0.28.dist-info").mkdir(parents=True)
    assert packages.installed(tmp_path / "python.exe") == {"xformers": "0.0.28"}


def test_of_an_unknown_place_nothing_is_said(tmp_path: Path) -> None:
    nowhere = tmp_path / "bin" / "python"
    assert packages.installed(nowhere) == {}
    assert not packages.lacks(nowhere, "torch", {})


def test_a_module_without_metadata_is_there_all_the_same(tmp_path: Path) -> None:
    python = venv(tmp_path, "toml-0.10.2.dist-info", "cv2")
    site = tmp_path / "lib" / "python3.10" / "site-packages"
    (site / "imagesize.py").write_text("", encoding="utf-8")
    (site / "fast.cpython-310-x86_64-linux-gnu.so").write_text("", encoding="utf-8")
    have = packages.installed(python)
    lacking = [name for name in ("toml", "cv2", "imagesize", "fast", "torch") if packages.lacks(python, name, have)]
    assert lacking == ["torch"]


TORCH = (
    "from typing import Optional\n__version__ = 'x'\ndebug = False\ncuda: Optional[str] = {}\nhip: Optional[str] = {}\n"
)


@pytest.mark.parametrize(
    ("text", "build"),
    [
        (TORCH.format("'12.4'", "None"), "cuda 12.4"),
        (TORCH.format("None", "'6.2.4'"), "hip 6.2.4"),
        (TORCH.format("None", "None"), "cpu"),
        ("__version__ = '1.0'\n", ""),
        ("cuda = '11.8'\n", "cuda 11.8"),
    ],
)
def test_what_torch_computes_on(tmp_path: Path, text: str, build: str) -> None:
    python = venv(tmp_path, "torch")
    assert packages.torch_build(python) == ""
    (tmp_path / "lib" / "python3.10" / "site-packages" / "torch" / "version.py").write_text(text, encoding="utf-8")
    assert packages.torch_build(python) == build


def test_an_environment_whose_python_is_gone(ugly_path: Path) -> None:
    gone = ugly_path / "Python310"
    windows = venv(ugly_path / "venv", windows=True, config=f"home = {gone}\n")
    assert str(gone) in packages.broken_venv(windows)
    gone.mkdir()
    assert packages.broken_venv(windows) == ""


@pytest.mark.skipif(sys.platform == "win32", reason="environments on Windows have no links")
def test_a_link_to_nothing(tmp_path: Path) -> None:
    python = venv(tmp_path / "venv")
    python.unlink()
    python.symlink_to(tmp_path / "python3.10")
    assert str(tmp_path / "python3.10") in packages.broken_venv(python)
    (tmp_path / "python3.10").write_text("", encoding="utf-8")
    assert packages.broken_venv(python) == ""


ACTIVATE = {
    "bin/activate": "export PATH\nVIRTUAL_ENV='{}'\nexport VIRTUAL_ENV\n",
    "Scripts/activate.bat": "set VIRTUAL_ENV={}\n",
}


@pytest.mark.parametrize("script", ACTIVATE)
def test_an_environment_that_was_moved(ugly_path: Path, script: str) -> None:
    python = venv(ugly_path / "venv", windows=script.startswith("S"))
    assert packages.moved_from(python) == ""
    file = ugly_path / "venv" / script
    file.write_text(ACTIVATE[script].format(ugly_path / "venv"), encoding="utf-8")
    assert packages.moved_from(python) == ""
    file.write_text(ACTIVATE[script].format("/old/venv"), encoding="utf-8")
    assert packages.moved_from(python) == "/old/venv"
    file.write_text(ACTIVATE[script].format('$(dirname "$0")'), encoding="utf-8")
    assert packages.moved_from(python) == ""


def test_an_environment_python_itself_made_and_moved(tmp_path: Path) -> None:
    """The judge is Python's own venv: before the move all is well, after it the old place is told."""
    import venv as made

    made.create(tmp_path / "here", with_pip=False, symlinks=sys.platform != "win32")
    name = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    assert packages.moved_from(tmp_path / "here" / name) == ""
    assert packages.broken_venv(tmp_path / "here" / name) == ""
    (tmp_path / "here").rename(tmp_path / "there")
    assert packages.moved_from(tmp_path / "there" / name) == str(tmp_path / "here")
