"""What is installed beside a Python, read from its folders: starting that Python and importing torch takes seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

#: Name to import → names of the packages that bring it, where the two differ.
_BROUGHT_BY: Mapping[str, tuple[str, ...]] = {
    "bitsandbytes": ("bitsandbytes", "bitsandbytes-windows", "bitsandbytes-rocm"),
    "cv2": (
        "opencv-python",
        "opencv",
        "opencv-python-headless",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
    ),
    "PIL": ("pillow", "pillow-simd"),
    "skimage": ("scikit-image",),
    "sklearn": ("scikit-learn",),
    "yaml": ("pyyaml",),
    "lycoris": ("lycoris-lora", "lycoris"),
}
#: `torch-2.6.0+cu124.dist-info`, `toml-0.10.2-py3.11.egg-info`; the version ends before a Python tag.
_METADATA = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*)(?:-py\d[\w.]*)?\.(?:dist-info|egg-info)", re.IGNORECASE)
_HOME = re.compile(r"^home\s*=\s*(.+?)\s*$", re.MULTILINE)
_SYSTEM_TOO = re.compile(r"^include-system-site-packages\s*=\s*true\s*$", re.MULTILINE | re.IGNORECASE)
#: Where the environment was made, as its scripts remember it.
_MADE_AT = re.compile(r"""^(?:set\s+"?)?(?:export\s+)?VIRTUAL_ENV=["']?(.+?)["']?\s*$""", re.MULTILINE)
_TORCH_BUILD = re.compile(r"^(cuda|hip)\b[^=]*=\s*(?:'([^']*)'|\"([^\"]*)\"|None)", re.MULTILINE)


def installed(python: Path) -> Mapping[str, str]:
    """Name (lower case, with `-`) → version of everything installed for `python`.

    Empty where its packages could not be found at all, which says nothing about what is missing.
    """
    found: dict[str, str] = {}
    for folder in site_folders(python):
        for entry in _names(folder):
            match = _METADATA.fullmatch(entry)
            if match:
                # The first folder wins, as it does for Python.
                found.setdefault(normal(match["name"]), match["version"])
    return found


def normal(name: str) -> str:
    """A package's name as all spellings of it are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def brings(module: str, packages: Mapping[str, str]) -> bool:
    """Whether one of `packages` (as from `installed`) brings what `import module` wants."""
    return any(name in packages for name in _BROUGHT_BY.get(module, (normal(module),)))


def package_of(module: str) -> str:
    """The package to install for `import module`."""
    return _BROUGHT_BY.get(module, (normal(module),))[0]


def lacks(python: Path, module: str, packages: Mapping[str, str]) -> bool:
    """Whether `import module` would fail there: no package brings it and no file of that name is there.

    False where nothing is known about the Python's packages.
    """
    if not packages or brings(module, packages):
        return False
    return not any((folder / module).is_dir() or any(folder.glob(f"{module}.*")) for folder in site_folders(python))


def torch_build(python: Path) -> str:
    """What the installed torch computes on (`cuda 12.4`, `hip 6.2`), `cpu` for the processor alone, empty when it is
    not known.

    torch writes it into `torch/version.py` when it is built.
    """
    for folder in site_folders(python):
        try:
            text = (folder / "torch" / "version.py").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        builds = {match[1]: match[2] or match[3] or "" for match in _TORCH_BUILD.finditer(text)}
        if "cuda" not in builds:
            return ""
        return next((f"{kind} {version}" for kind, version in builds.items() if version), "cpu")
    return ""


def site_folders(python: Path) -> list[Path]:
    """The folders `python` imports packages from, first one first; only those that exist.

    `python` may lie in a virtual environment, in conda, or be the system's own.
    """
    prefix = environment_of(python)
    found = list(_site_of(prefix))
    config = _config(prefix)
    if not config or _SYSTEM_TOO.search(config):
        home = _HOME.search(config)
        if home:
            base = Path(home[1])
            found += _site_of(base.parent if base.name in {"bin", "Scripts"} else base)
        elif not found:
            # A link such as /usr/local/bin/python3 → /opt/python/bin/python3.11.
            found += _site_of(environment_of(python.resolve()))
    return list(dict.fromkeys(found))


def environment_of(python: Path) -> Path:
    """The folder of the environment that `python` belongs to."""
    return python.parent.parent if python.parent.name in {"bin", "Scripts"} else python.parent


def broken_venv(python: Path) -> str:
    """Why the virtual environment of `python` cannot work any more: the Python it was made from is gone. Empty
    otherwise.

    On Linux `python` is then a link to nothing; on Windows it is a small program that says "No Python at …".
    """
    config = _config(environment_of(python))
    home = _HOME.search(config)
    if home and not Path(home[1]).is_dir():
        return f"It was made from the Python in {home[1]}, which is not there any more."
    if python.is_symlink() and not python.exists():
        return f"It was made from {python.readlink()}, which is not there any more."
    return ""


def moved_from(python: Path) -> str:
    """Where the virtual environment of `python` was made when that is another folder than where it lies now; empty
    otherwise.

    Its Python works all the same; what has a path in its first line (pip, accelerate) does not.
    """
    here = environment_of(python)
    for script in (here / "bin" / "activate", here / "Scripts" / "activate.bat"):
        try:
            match = _MADE_AT.search(script.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        # uv computes the folder in its script; whoever does cannot be fooled by a move.
        if match and not re.search(r"[$%(`]", match[1]) and not _same(Path(match[1]), here):
            return match[1]
    return ""


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other


def _config(prefix: Path) -> str:
    try:
        return (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _site_of(prefix: Path) -> Iterator[Path]:
    yield from (
        folder
        for folder in (
            prefix / "Lib" / "site-packages",  # Windows
            *sorted(prefix.glob("lib/python3*/site-packages"), reverse=True),
            *sorted(prefix.glob("local/lib/python3*/dist-packages"), reverse=True),  # Debian, by pip
            *sorted(prefix.glob("lib/python3*/dist-packages"), reverse=True),
        )
        if folder.is_dir()
    )


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []
