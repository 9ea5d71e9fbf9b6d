"""Find an sd-scripts install and the Python that runs it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.errors import KohyaNotFound
from orchestrator.files import storage_error
from orchestrator.kohya import packages

SCRIPT_NAME = "train_network.py"
#: Script → what it trains LoRAs on, in our words.
SCRIPTS = {
    SCRIPT_NAME: "SD1.5",
    "sdxl_train_network.py": "SDXL",
    "sd3_train_network.py": "SD3",
    "flux_train_network.py": "Flux",
}
#: Where setup scripts of kohya_ss and sd-scripts put their virtual environment (pip way, uv way, by hand).
_VENV_NAMES = ("venv", ".venv", "env")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
#: How the change logs in README.md name the newest release: "v0.8.7", "Version 0.9.1", "**Version 0.10.1 (2026-…".
_RELEASE = re.compile(r"\b(?:v|version )(0\.\d+\.\d+)\b", re.IGNORECASE)
_GUI_VERSION = re.compile(r"^version\s*=\s*[\"']v?([\w.+-]+)[\"']", re.MULTILINE)


@dataclass(frozen=True)
class KohyaInstall:
    """One sd-scripts install that can be started.

    `root` is the folder of `train_network.py`; `commit` is its git commit, or empty for a download without git;
    `code_hash` is the sha256 over the Python files that decide what a training does, which names the version even
    then. `scripts` are those of `SCRIPTS` that are there; `kind` tells whether it belongs to a kohya_ss GUI; `release`
    is the newest release its own README speaks of (0.10.1), `gui` the version of the GUI (25.2.1); both may be empty.
    """

    root: Path
    python: Path
    commit: str
    code_hash: str
    scripts: tuple[str, ...] = ()
    kind: Literal["kohya_ss", "sd-scripts"] = "sd-scripts"
    release: str = ""
    gui: str = ""

    @property
    def script(self) -> Path:
        """The script for SD1.5 LoRAs; its siblings (`sdxl_train_network.py` …) lie beside it."""
        return self.root / SCRIPT_NAME

    @property
    def version(self) -> str:
        """The commit where there is one, else the start of the code's hash."""
        return self.commit or f"code-{self.code_hash[:12]}"

    @property
    def label(self) -> str:
        """The version for people: `v0.10.1 (48d368fa)`; a checkout may be newer than the release it names."""
        exact = self.commit[:8] or f"code-{self.code_hash[:12]}"
        return f"v{self.release} ({exact})" if self.release else exact

    @property
    def trains(self) -> tuple[str, ...]:
        """What LoRAs can be trained on, in our words."""
        return tuple(SCRIPTS[name] for name in self.scripts)


def find(path: Path | str, python: str | Path | None = None) -> KohyaInstall:
    """The install at `path`: a kohya_ss folder (new or old), an sd-scripts folder, or `train_network.py` itself.

    `python` names the interpreter where the virtual environment lies elsewhere (conda, Docker). Raises
    `KohyaNotFound` with advice.
    """
    start = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 (resolve() would lose a venv behind a link)
    root = _script_folder(start)
    interpreter = _python(start, root, python)
    gui = _gui_folder(start, root)
    return KohyaInstall(
        root,
        interpreter,
        _commit(root),
        code_hash(root),
        scripts=tuple(name for name in SCRIPTS if (root / name).is_file()),
        kind="kohya_ss" if gui else "sd-scripts",
        release=_release(root),
        gui=_gui_version(gui) if gui else "",
    )


def code_files(root: Path) -> list[Path]:
    """The Python files that decide which arguments exist and what a training does, by name."""
    return sorted([*root.glob("*train*.py"), *root.glob("library/*.py"), *root.glob("networks/*.py")])


def code_hash(root: Path) -> str:
    """The sha256 over names and bytes of `code_files`. Raises `StorageError`."""
    digest = hashlib.sha256()
    root = root.absolute()
    above = len(root.as_posix().rstrip("/")) + 1
    for file in code_files(root):
        digest.update(file.as_posix()[above:].encode())
        try:
            # Every command waits for this; a buffer would cost half as much again.
            with file.open("rb", buffering=0) as stream:
                digest.update(hashlib.sha256(stream.readall()).digest())
        except OSError as error:
            raise storage_error(error, file) from error
    return digest.hexdigest()


def _script_folder(start: Path) -> Path:
    # train_network.py lay at kohya_ss' root up to v22.6.2 and lies in its submodule folder since v23.0.0.
    candidates = [start.parent] if start.name == SCRIPT_NAME else [start, start / "sd-scripts"]
    for candidate in candidates:
        if (candidate / SCRIPT_NAME).is_file():
            return candidate
    if not start.exists():
        raise KohyaNotFound(
            f"There is no folder {start}.",
            fix="Name the folder of kohya_ss or sd-scripts with --kohya or ORCHESTRATOR_KOHYA_FOLDER.",
        )
    if start.is_dir() and ((start / "kohya_gui.py").is_file() or (start / "sd-scripts").is_dir()):
        raise KohyaNotFound(
            f"{start} is a kohya_ss folder, but its sd-scripts folder is empty.",
            cause="It was cloned without its submodule.",
            fix=f'Run `git -C "{start}" submodule update --init --recursive`, then the same command again.',
        )
    raise KohyaNotFound(
        f"{start} holds no {SCRIPT_NAME}.",
        cause="It is neither a kohya_ss folder nor an sd-scripts folder.",
        fix="Name the folder in which train_network.py lies, or the kohya_ss folder above it.",
    )


def _python(start: Path, root: Path, named: str | Path | None) -> Path:
    if named is not None and str(named):
        found = shutil.which(str(named)) or shutil.which(str(Path(named).expanduser()))
        if found is None:
            raise KohyaNotFound(
                f"There is no Python at {named}.",
                fix="Name the python.exe (or bin/python) of the environment that runs kohya, with --kohya-python or "
                "ORCHESTRATOR_KOHYA_PYTHON.",
            )
        return Path(os.path.abspath(found))  # noqa: PTH100 (a venv's python is a link; resolving it would leave the venv)
    broken = ""
    for interpreter in _own_pythons(start, root):
        why = packages.broken_venv(interpreter)
        if not why:
            return interpreter
        broken = broken or f"{packages.environment_of(interpreter)}: {why}"
    if broken:
        raise KohyaNotFound(
            f"The virtual environment of {root} does not work any more.",
            cause=broken,
            fix="Delete that folder and run kohya's setup script again, or name a working Python with --kohya-python "
            "or ORCHESTRATOR_KOHYA_PYTHON.",
        )
    raise KohyaNotFound(
        f"{root} has no virtual environment (looked for {', '.join(_VENV_NAMES)}).",
        cause="kohya's setup script was not run yet, or its environment lies elsewhere (conda, Docker).",
        fix="Run kohya's setup script, or name its Python with --kohya-python or ORCHESTRATOR_KOHYA_PYTHON.",
    )


def _own_pythons(start: Path, root: Path) -> Iterator[Path]:
    """The Pythons of the install's own environments, those included that point nowhere."""
    for folder in dict.fromkeys([root, start, root.parent] if root.name == "sd-scripts" else [root, start]):
        for name in _VENV_NAMES:
            for python in (folder / name / "Scripts" / "python.exe", folder / name / "bin" / "python"):
                if python.is_file() or python.is_symlink():
                    yield python


def _gui_folder(start: Path, root: Path) -> Path | None:
    return next((folder for folder in (root, root.parent, start) if (folder / "kohya_gui.py").is_file()), None)


def _gui_version(folder: Path) -> str:
    # .release up to v25.0, pyproject.toml since.
    project = _GUI_VERSION.search(_text(folder / "pyproject.toml"))
    return project[1] if project else _text(folder / ".release").strip().removeprefix("v")


def _release(root: Path) -> str:
    match = _RELEASE.search(_text(root / "README.md"))
    return match[1] if match else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _commit(root: Path) -> str:
    # Read from the files, because git need not be installed. Only the install's own .git counts, never that of a
    # folder above.
    git = root / ".git"
    try:
        if git.is_file():
            pointer = git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
            git = root / pointer
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref:"):
            return head if _COMMIT.fullmatch(head) else ""
        return _reference(git, head.removeprefix("ref:").strip())
    except (OSError, UnicodeDecodeError):
        return ""


def _reference(git: Path, name: str) -> str:
    if (git / name).is_file():
        value = (git / name).read_text(encoding="utf-8").strip()
        return value if _COMMIT.fullmatch(value) else ""
    packed = git / "packed-refs"
    for line in packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else ():
        commit, _, reference = line.partition(" ")
        if reference.strip() == name and _COMMIT.fullmatch(commit):
            return commit
    return ""
