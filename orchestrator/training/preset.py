"""Training presets by the memory of the graphics card (`profiles/presets/*.toml`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.errors import ProfileError
from orchestrator.profile.model import TrainingPlan
from orchestrator.profile.shipped import profile_folder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def presets() -> dict[str, Path]:
    """Name → file of every shipped preset."""
    return {path.stem: path for path in sorted((profile_folder() / "presets").glob("*.toml"))}


def effective(plan: TrainingPlan, source: Path | str = "lora.toml") -> TrainingPlan:
    """`plan` with everything that was not given in it taken from its preset.

    `extra` is merged key by key. Raises `ProfileError` (naming `source`) for an unknown preset.
    """
    if not plan.preset:
        return plan
    given = {name: getattr(plan, name) for name in plan.model_fields_set}
    values = load(plan.preset, source)
    merged = {**values, **given, "extra": {**values.get("extra", {}), **plan.extra}}
    try:
        return TrainingPlan(**merged)
    except ValidationError as error:
        problems = [
            f"training.{'.'.join(map(str, e['loc']))}: {e['msg']} (preset {plan.preset})" for e in error.errors()
        ]
        raise ProfileError(source, problems) from None


def load(name: str, source: Path | str = "lora.toml") -> dict[str, Any]:
    """The values of one preset. Raises `ProfileError` listing the names there are."""
    known = presets()
    if name not in known:
        raise ProfileError(source, [f"training.preset: there is no preset {name!r}; there are {', '.join(known)}"])
    values = tomllib.loads(known[name].read_text(encoding="utf-8"))
    table: dict[str, Any] = values["training"]
    return table
