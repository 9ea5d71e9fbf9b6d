"""The dataset: `collect` its pictures, `check` what they will lock in, `build` it for sd-scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.dataset.model import CheckResult, Dataset, DatasetGroup, DatasetPicture, Finding, GroupRow

if TYPE_CHECKING:
    from orchestrator.dataset.building import build
    from orchestrator.dataset.checking import check
    from orchestrator.dataset.collecting import collect
    from orchestrator.dataset.on_disk import load

__all__ = [
    "CheckResult",
    "Dataset",
    "DatasetGroup",
    "DatasetPicture",
    "Finding",
    "GroupRow",
    "build",
    "check",
    "collect",
    "load",
]

_WHERE = {"build": "building", "check": "checking", "collect": "collecting", "load": "on_disk"}


def __getattr__(name: str) -> Any:
    """Load the work at its first use, so that importing this package stays cheap."""
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(f"orchestrator.dataset.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
