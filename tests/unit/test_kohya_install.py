"""Finding sd-scripts and its Python, whatever the age of the install."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.errors import KohyaNotFound
from orchestrator.kohya import install

COMMIT = "48d368fa557731ad0488c07304dfeba8c07910eb"


def _scripts(root: Path) -> Path:
    (root / "library").mkdir(parents=True)
    (root / "train_network.py").write_text("def setup_parser():\n    pass\n", encoding="utf-8")
    (root / "library" / "train_util.py").write_text("", encoding="utf-8")
    return root


def _venv(folder: Path, name: str = "venv", *, windows: bool = False) -> Path:
    python = folder / name / ("Scripts/python.exe" if windows else "bin/python")
    python.parent.mkdir(parents=True)
    python.write_text("", encoding="utf-8")
    return python


def test_sd_scripts_itself_or_its_script(ugly_path: Path) -> None:
    root = _scripts(ugly_path / "sd-scripts")
    python = _venv(root, ".venv")
    for path in (root, root / "train_network.py", str(root)):
        found = install.find(path)
        assert (found.root, found.python, found.script) == (root, python, root / "train_network.py")


def test_the_gui_folder_with_its_submodule_uses_the_guis_environment(ugly_path: Path) -> None:
    root = _scripts(ugly_path / "kohya_ss" / "sd-scripts")
    python = _venv(ugly_path / "kohya_ss", windows=True)
    assert install.find(ugly_path / "kohya_ss").python == python
    assert install.find(ugly_path / "kohya_ss").root == root
    assert install.find(root).python == python  # named by its submodule, too


def test_the_gui_of_before_march_2024_holds_the_script_itself(tmp_path: Path) -> None:
    root = _scripts(tmp_path / "kohya_ss")
    (root / "kohya_gui.py").write_text("", encoding="utf-8")
    _venv(root)
    assert install.find(root).root == root


def test_an_empty_submodule_says_the_git_command(ugly_path: Path) -> None:
    (ugly_path / "sd-scripts").mkdir()
    (ugly_path / "kohya_gui.py").write_text("", encoding="utf-8")
    with pytest.raises(KohyaNotFound) as caught:
        install.find(ugly_path)
    assert "submodule update --init --recursive" in caught.value.fix
    assert str(ugly_path) in caught.value.fix


@pytest.mark.parametrize("made", [True, False])
def test_any_other_folder_is_refused_with_advice(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "somewhere"
    if made:
        folder.mkdir()
    with pytest.raises(KohyaNotFound) as caught:
        install.find(folder)
    assert caught.value.fix


def test_no_environment_asks_for_the_python(tmp_path: Path) -> None:
    root = _scripts(tmp_path / "sd-scripts")
    with pytest.raises(KohyaNotFound, match="no virtual environment"):
        install.find(root)
    assert install.find(root, python=sys.executable).python == Path(sys.executable)
    with pytest.raises(KohyaNotFound, match="There is no Python"):
        install.find(root, python=str(tmp_path / "nothing"))


def test_an_environment_that_works_goes_before_one_that_does_not(ugly_path: Path) -> None:
    root = _scripts(ugly_path / "sd-scripts")
    dead = _venv(root, windows=True)
    (root / "venv" / "pyvenv.cfg").write_text(f"home = {ugly_path / 'Python310'}\n", encoding="utf-8")
    with pytest.raises(KohyaNotFound, match="does not work any more") as caught:
        install.find(root)
    assert str(ugly_path / "Python310") in caught.value.cause
    assert str(dead.parent.parent) in caught.value.cause
    assert "--kohya-python" in caught.value.fix
    alive = _venv(root, ".venv", windows=True)
    assert install.find(root).python == alive


@pytest.mark.skipif(sys.platform == "win32", reason="environments on Windows have no links")
def test_a_link_to_a_python_that_is_gone_is_no_missing_environment(tmp_path: Path) -> None:
    root = _scripts(tmp_path / "sd-scripts")
    python = root / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/usr/bin/python3.9.gone")
    with pytest.raises(KohyaNotFound, match="does not work any more") as caught:
        install.find(root)
    assert "/usr/bin/python3.9.gone" in caught.value.cause


README = {
    "- **Version 0.10.1 (2026-02-13):**\n- **Version 0.10.0 (2026-01-19):**\n": "0.10.1",
    "Latest update: 2025-03-21 (Version 0.9.1)\n": "0.9.1",
    "pip install xformers==0.0.23.post1 torch==2.1.2\n### Apr 7, 2024 / 2024-04-07: v0.8.7\n": "0.8.7",
    "pip install https://x/xformers-0.0.14.dev0-cp310.whl\n": "",
}


@pytest.mark.parametrize("text", README)
def test_the_release_is_told_as_people_know_it(tmp_path: Path, text: str) -> None:
    root = _scripts(tmp_path / "sd-scripts")
    (root / "README.md").write_text(text, encoding="utf-8")
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text(COMMIT, encoding="utf-8")
    found = install.find(root, python=sys.executable)
    assert found.release == README[text]
    assert found.label == (f"v{README[text]} (48d368fa)" if README[text] else "48d368fa")
    assert (found.kind, found.gui) == ("sd-scripts", "")


def test_the_gui_and_what_can_be_trained(tmp_path: Path) -> None:
    gui = tmp_path / "kohya_ss"
    root = _scripts(gui / "sd-scripts")
    (gui / "kohya_gui.py").write_text("", encoding="utf-8")
    (gui / ".release").write_text("v22.6.2\n", encoding="utf-8")
    for start in (gui, root):
        found = install.find(start, python=sys.executable)
        assert (found.kind, found.gui, found.trains) == ("kohya_ss", "22.6.2", ("SD1.5",))
    (gui / "pyproject.toml").write_text('[project]\nname = "kohya-ss"\nversion = "25.2.1"\n', encoding="utf-8")
    for name in ("flux_train_network.py", "sdxl_train_network.py", "sd3_train_network.py", "flux_train.py"):
        (root / name).write_text("", encoding="utf-8")
    found = install.find(gui, python=sys.executable)
    assert (found.gui, found.trains) == ("25.2.1", ("SD1.5", "SDXL", "SD3", "Flux"))


def test_the_commit_is_read_without_git(tmp_path: Path) -> None:
    root = _scripts(tmp_path / "sd-scripts")
    assert install.find(root, python=sys.executable).commit == ""
    assert install.find(root, python=sys.executable).version.startswith("code-")
    git = tmp_path / ".git" / "modules" / "sd-scripts"
    (git / "refs" / "heads").mkdir(parents=True)
    (root / ".git").write_text("gitdir: ../.git/modules/sd-scripts\n", encoding="utf-8")
    (git / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
    (git / "packed-refs").write_text(f"# pack-refs\n{COMMIT} refs/heads/main\n", encoding="utf-8")
    assert install.find(root, python=sys.executable).commit == COMMIT
    newer = COMMIT[::-1].replace("f", "a")
    (git / "refs" / "heads" / "main").write_text(newer + "\n", encoding="utf-8")
    assert install.find(root, python=sys.executable).commit == newer
    (git / "HEAD").write_text("something else", encoding="utf-8")
    assert install.find(root, python=sys.executable).commit == ""


def test_the_code_hash_changes_with_the_code(tmp_path: Path) -> None:
    root = _scripts(tmp_path / "sd-scripts")
    before = install.find(root, python=sys.executable).code_hash
    (root / "library" / "train_util.py").write_text("x = 1\n", encoding="utf-8")
    assert install.find(root, python=sys.executable).code_hash != before


def test_every_advice_names_an_option_that_exists(tmp_path: Path) -> None:
    from orchestrator.cli.options import kohya_options, lora_folder_option

    @kohya_options
    @lora_folder_option
    def some(**_: object) -> None: ...

    known = {name for option in some.__click_params__ for name in option.opts}  # type: ignore[attr-defined]
    sources = [path for area in ("kohya", "lora", "training", "evaluation", "report") for path in _modules(area)]
    for source in sources:
        text = source.read_text(encoding="utf-8")
        assert "orchestrator setup" not in text, source.name
        assert "--python" not in text, source.name
    _scripts(tmp_path / "sd-scripts")
    for path, python, option in (
        (tmp_path / "none", None, "--kohya or ORCHESTRATOR_KOHYA_FOLDER"),
        (tmp_path / "sd-scripts", None, "--kohya-python or ORCHESTRATOR_KOHYA_PYTHON"),
        (tmp_path / "sd-scripts", tmp_path / "no", "--kohya-python or ORCHESTRATOR_KOHYA_PYTHON"),
    ):
        with pytest.raises(KohyaNotFound) as caught:
            install.find(path, python=python)
        assert option in caught.value.fix
        assert option.split()[0] in known


def _modules(area: str) -> list[Path]:
    return sorted((Path(install.__file__).parent.parent / area).glob("*.py"))
