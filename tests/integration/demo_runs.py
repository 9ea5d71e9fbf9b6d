"""Running the demo as a person does: a command in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import tomli_w

from orchestrator.profile.load import load_profile
from orchestrator.profile.model import Profile
from orchestrator.profile.shipped import find_profile

COMMAND = [sys.executable, "-m", "orchestrator", "demo"]


def small_profile(folder: Path, **changes: int) -> Path:
    """The demo's profile with fewer pictures, epochs and cells: the same story in a quarter of a minute."""
    profile = load_profile(find_profile("demo"))
    few = {
        "pictures": tuple(s.model_copy(update={"count": min(s.count, 3)}) for s in profile.pictures),
        "dataset": profile.dataset.model_copy(
            update={"groups": tuple(g.model_copy(update={"count": 3}) for g in profile.dataset.groups)}
        ),
        "training": profile.training.model_copy(update={"epochs": 20}),
        "grids": tuple(
            g.model_copy(update={"seeds": (1,), "epochs": (10, 20), "weights": (0.8,)}) for g in profile.grids[:1]
        ),
        "scouting": profile.scouting.model_copy(update={"candidates": 6, "keep": 2, **changes}),
        "evaluation": profile.evaluation.model_copy(
            update={"rounds": profile.evaluation.rounds[:2], "epochs": (10, 20), "weights": (0.6, 1.0)}
        ),
    }
    small: Profile = profile.model_copy(update=few)
    path = folder / "small.toml"
    path.write_text(tomli_w.dumps(small.model_dump(mode="json", exclude_defaults=True)), encoding="utf-8")
    return path


def play(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Play the demo in `folder` to its end."""
    return subprocess.run(
        [*COMMAND, "--folder", str(folder), *more], capture_output=True, text=True, encoding="utf-8", check=False
    )


def drawn(folder: Path) -> int:
    """How many pictures its cache holds."""
    return len(list((folder / ".orchestrator" / "cache" / "pictures").rglob("*.png")))
