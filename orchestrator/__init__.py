"""Drives existing AUTOMATIC1111 and kohya_ss installs through the whole making of a LoRA.

The names below are the library; `orchestrator.pipeline` has one function for each stage.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.a1111.client import A1111
    from orchestrator.a1111.dialect import Dialect
    from orchestrator.a1111.models import Generated
    from orchestrator.a1111.requests import Img2Img, Txt2Img, Upscale, UpscaleMany
    from orchestrator.errors import (
        AnswerLost,
        InputError,
        InstallError,
        OrchestratorError,
        PictureError,
        ProofError,
        ServerError,
        ServerStarting,
        ServerUnreachable,
    )
    from orchestrator.profile.load import load_profile
    from orchestrator.profile.model import Profile
    from orchestrator.render.engine import Picture, Renderer
    from orchestrator.render.lint import prompt_problems
    from orchestrator.render.recipe import LoraUse, Recipe
    from orchestrator.workspace import Workspace

__version__ = "0.1.0"

_PUBLIC = {
    "A1111": "orchestrator.a1111.client",
    "AnswerLost": "orchestrator.errors",
    "Dialect": "orchestrator.a1111.dialect",
    "Generated": "orchestrator.a1111.models",
    "Img2Img": "orchestrator.a1111.requests",
    "InputError": "orchestrator.errors",
    "InstallError": "orchestrator.errors",
    "LoraUse": "orchestrator.render.recipe",
    "OrchestratorError": "orchestrator.errors",
    "Picture": "orchestrator.render.engine",
    "PictureError": "orchestrator.errors",
    "Profile": "orchestrator.profile.model",
    "ProofError": "orchestrator.errors",
    "Recipe": "orchestrator.render.recipe",
    "Renderer": "orchestrator.render.engine",
    "ServerError": "orchestrator.errors",
    "ServerStarting": "orchestrator.errors",
    "ServerUnreachable": "orchestrator.errors",
    "Txt2Img": "orchestrator.a1111.requests",
    "Upscale": "orchestrator.a1111.requests",
    "UpscaleMany": "orchestrator.a1111.requests",
    "Workspace": "orchestrator.workspace",
    "load_profile": "orchestrator.profile.load",
    "prompt_problems": "orchestrator.render.lint",
}

__all__ = [
    "A1111",
    "AnswerLost",
    "Dialect",
    "Generated",
    "Img2Img",
    "InputError",
    "InstallError",
    "LoraUse",
    "OrchestratorError",
    "Picture",
    "PictureError",
    "Profile",
    "ProofError",
    "Recipe",
    "Renderer",
    "ServerError",
    "ServerStarting",
    "ServerUnreachable",
    "Txt2Img",
    "Upscale",
    "UpscaleMany",
    "Workspace",
    "__version__",
    "load_profile",
    "prompt_problems",
]


def __getattr__(name: str) -> Any:
    # Importing httpx and pydantic here would cost every command a fifth of a second.
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
