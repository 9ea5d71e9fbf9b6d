"""Tests that measure real faces need the vision extra, with its model file where mediapipe does not carry one."""

from __future__ import annotations

import pytest

from orchestrator.vision import status


def require_faces() -> None:
    """Skip, with the advice a user gets, where faces and persons cannot be measured."""
    found = status()
    if not (found.available and found.identity):
        pytest.skip(found.advice, allow_module_level=True)
