"""kohya: the install, its Python, its packages, and whether they can train what the profile asks for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.doctor.finding import Finding
from orchestrator.errors import InputError, KohyaNotFound, ProfileError, TrainingRefused
from orchestrator.kohya import arguments, base_model, install, known, packages, tokenizers
from orchestrator.kohya.base_model import BaseModel
from orchestrator.kohya.install import SCRIPT_NAME, SCRIPTS, KohyaInstall
from orchestrator.profile.model import Profile, TrainingPlan
from orchestrator.settings import Settings
from orchestrator.training import words
from orchestrator.training.preset import effective

KOHYA = "kohya"
BASE = "Base model"
#: A Python on a cold disk takes seconds to start.
_PYTHON_WITHIN_S = 20.0
_SAY_VERSION = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
#: What a training goes without, and what it is for.
_EXTRAS = {
    "bitsandbytes": "optimizers of 8 bits, such as AdamW8bit",
    "xformers": "memory as small as with sdpa, on a torch before 2.0",
    "tensorboard": "the learning rate of every step",
}
_SETUP = "Run kohya's setup script again"


def about_kohya(settings: Settings, profile: Profile | None) -> Iterator[Finding]:
    """The install, whether its Python runs, what is missing for the profile's training (for any, without a profile)."""
    trains = profile is not None and bool(profile.dataset.groups)
    if not settings.kohya_folder:
        yield Finding(
            KOHYA,
            "where it is has not been said",
            "blocker" if trains else "optional",
            ("training",) if trains else (),
            fix="Give --kohya FOLDER, or kohya_folder in settings.toml: the kohya_ss or sd-scripts folder.",
        )
        return
    try:
        found = install.find(settings.kohya_folder, settings.kohya_python or None)
    except KohyaNotFound as error:
        yield _blocker(error.what.rstrip("."), error.cause, error.fix)
        return
    version, why = _python_version(found.python)
    if not version:
        broken = packages.broken_venv(found.python)
        yield _blocker(
            f"{found.python} does not run",
            broken or why,
            f"{_SETUP}, or name a working Python with --kohya-python.",
        )
        return
    yield Finding(KOHYA, f"{_described(found)}, Python {version}; trains {', '.join(found.trains)}")
    base, about_base = _base(profile)
    yield from about_base
    yield from _about_scripts(found, base)
    yield from _about_packages(found, profile)
    yield from _about_tokenizers(found, base, profile)
    moved = packages.moved_from(found.python)
    if moved:
        yield Finding(
            KOHYA,
            f"its environment was made in {moved} and lies elsewhere now",
            "optional",
            cause="Its Python works all the same; its pip and accelerate commands do not start.",
            fix=f"To install something there: {found.python} -m pip install NAME",
        )


def _blocker(what: str, cause: str = "", fix: str = "") -> Finding:
    return Finding(KOHYA, what, "blocker", ("training",), cause, fix)


def _described(found: KohyaInstall) -> str:
    gui = f"kohya_ss {found.gui}, ".replace(" ,", ",") if found.kind == "kohya_ss" else ""
    return f"{found.root}, {gui}sd-scripts {found.label}"


def _base(profile: Profile | None) -> tuple[BaseModel | None, list[Finding]]:
    """The base checkpoint where the profile names its file, and what is wrong with it; A1111's own choice is not looked
    at here.
    """
    if profile is None or not profile.base.path:
        return None, []
    named = profile.base
    parts = {
        name: Path(value).expanduser()
        for name in ("clip_l", "clip_g", "t5xxl", "ae")
        if (value := getattr(named, name))
    }
    try:
        found = base_model.identify(Path(named.path).expanduser(), parts)
    except TrainingRefused as error:
        return None, [
            Finding(BASE, f"{problem.place}: {problem.what}", "blocker", ("training",), fix=_sentence(problem.fix))
            for problem in error.problems
        ]
    except InputError as error:
        return None, [Finding(BASE, error.what.rstrip("."), "blocker", ("training",), error.cause, error.fix)]
    return found, [Finding(BASE, f"{found.path.name}, {found.title}")]


def _about_scripts(found: KohyaInstall, base: BaseModel | None) -> Iterator[Finding]:
    script = base.script if base else SCRIPT_NAME
    try:
        accepted = arguments.read(found, script)
    except KohyaNotFound as error:
        yield _blocker(
            error.what.rstrip("."),
            error.cause or f"This version does not train {SCRIPTS.get(script, 'this model')} yet.",
            error.fix,
        )
        return
    if "initial_epoch" not in accepted:
        yield Finding(
            KOHYA,
            "this version cannot go on with a training that was stopped",
            "warning",
            cause="Releases up to v0.9 count epochs from 1 again and overwrite the first files, so it begins anew.",
            fix="Update sd-scripts to v0.10 or later.",
        )


def _about_packages(found: KohyaInstall, profile: Profile | None) -> Iterator[Finding]:
    have = packages.installed(found.python)
    names = known.read(found)
    absent = [name for name in names.imports if packages.lacks(found.python, name, have)]
    if absent:
        missing = ", ".join(packages.package_of(name) for name in absent)
        yield _blocker(
            f"its Python has no {missing}",
            "Its setup was not finished, or kohya uses another Python.",
            f"{_SETUP}, or name the right Python with --kohya-python.",
        )
        return
    if names.imports and packages.torch_build(found.python) == "cpu" and sys.platform != "darwin":
        yield Finding(
            KOHYA,
            "its torch is the one for processors",
            "warning",
            cause="The graphics card would not be used, and a night would train a few steps.",
            fix=f"{_SETUP} and choose the torch for your card.",
        )
    values = _values(profile)
    for problem in [*known.problems(values, names), *known.missing_packages(values, have, names, python=found.python)]:
        yield _blocker(
            f"{words.place(problem.place, profile.training.extra if profile else {})}: {problem.what}",
            "sd-scripts would stop after it has loaded the model.",
            f"{_sentence(problem.fix)} Its pip: {found.python} -m pip"
            if "pip" in problem.fix
            else _sentence(problem.fix),
        )
    lacking = [
        f"{name} ({for_what})"
        for name, for_what in _EXTRAS.items()
        # An environment that sd-scripts does not run in (the simulated trainer's) is not asked.
        if names.imports and have and not packages.brings(name, have) and not _asked_for(name, values, names)
    ]
    if lacking:
        yield Finding(
            KOHYA, f"not installed there: {', '.join(lacking)}", "optional", fix=f"{found.python} -m pip install NAME"
        )


def _asked_for(module: str, values: Mapping[str, Any], names: known.Known) -> bool:
    """Whether `values` need that module, so that its absence was said already."""
    return any(module in problem.what for problem in known.missing_packages(values, {"torch": ""}, names))


def _about_tokenizers(found: KohyaInstall, base: BaseModel | None, profile: Profile | None) -> Iterator[Finding]:
    family = base.family if base else "sd1"
    folder = _values(profile).get("tokenizer_cache_dir")
    ids = tokenizers.needed(found, family)
    absent = tokenizers.missing(ids, cache_dir=Path(folder) if isinstance(folder, str) else None)
    if not absent:
        return
    off = tokenizers.offline()
    yield Finding(
        KOHYA,
        f"not on this machine yet: the tokenizer {', '.join(absent)}",
        "blocker" if off else "warning",
        ("training",) if off else (),
        "sd-scripts fetches it at its first run, and HF_HUB_OFFLINE forbids that."
        if off
        else "sd-scripts fetches it at its first run; without network that training ends at once.",
        "Take HF_HUB_OFFLINE away for the first run." if off else "Be online at the first run; it is kept after that.",
    )


def _values(profile: Profile | None) -> dict[str, Any]:
    """The profile's choices in sd-scripts' words, as far as names and packages depend on them."""
    if profile is None or not profile.dataset.groups:
        return {}
    try:
        chosen: TrainingPlan = effective(profile.training)
    except ProfileError:
        return {}  # said where the profile is checked
    return {"optimizer_type": chosen.optimizer, "lr_scheduler": chosen.lr_scheduler, **chosen.extra}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text and not text.endswith((".", "?")) else text


def _python_version(python: Path) -> tuple[str, str]:
    """Version, or an empty text and why there is none."""
    try:
        done = subprocess.run(
            [str(python), "-E", "-c", _SAY_VERSION],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_PYTHON_WITHIN_S,
            check=False,
        )
    except OSError as error:
        return "", f"It cannot be started ({error.strerror or error})."
    except subprocess.TimeoutExpired:
        return "", f"It said nothing within {_PYTHON_WITHIN_S:.0f} s."
    said = done.stdout.decode("utf-8", errors="replace").strip()
    wrong = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
    return (said, "") if done.returncode == 0 and said else ("", wrong[-1] if wrong else "It ended without a word.")
