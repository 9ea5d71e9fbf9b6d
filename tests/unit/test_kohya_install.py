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
