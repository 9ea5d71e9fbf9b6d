"""Drives existing AUTOMATIC1111 and kohya_ss installs through the whole making of a LoRA.

The names below are the library; `orchestrator.pipeline` has one function for each stage.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.a1111.client import A1111
    from orchestrator.errors import OrchestratorError
    from orchestrator.profile.load import load_profile
    from orchestrator.profile.model import Profile
    from orchestrator.render.engine import Picture, Renderer
    from orchestrator.render.recipe import LoraUse, Recipe
    from orchestrator.workspace import Workspace

__version__ = "0.1.0"

_PUBLIC = {
    "A1111": "orchestrator.a1111.client",
    "LoraUse": "orchestrator.render.recipe",
    "OrchestratorError": "orchestrator.errors",
    "Picture": "orchestrator.render.engine",
    "Profile": "orchestrator.profile.model",
    "Recipe": "orchestrator.render.recipe",
    "Renderer": "orchestrator.render.engine",
    "Workspace": "orchestrator.workspace",
    "load_profile": "orchestrator.profile.load",
}

__all__ = [
    "A1111",
    "LoraUse",
    "OrchestratorError",
    "Picture",
    "Profile",
    "Recipe",
    "Renderer",
    "Workspace",
    "__version__",
    "load_profile",
]


def __getattr__(name: str) -> Any:
    # Importing httpx and pydantic here would cost every command a fifth of a second.
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
