"""Portraits that are drawn for tests, placed as their framing wants it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestrator.sandbox.person import person_of
from orchestrator.sandbox.portrait import HEAD_HEIGHT, HEAD_TOP, Framing, Portrait


def portrait(number: int = 7, /, framing: Framing = "close-up", **changes: Any) -> Portrait:
    """Person `number`, upright in the middle of the picture unless `changes` say otherwise."""
    person = person_of(number)
    plain = Portrait(person=person, framing=framing, head=HEAD_HEIGHT[framing], centre_y=HEAD_TOP[framing])
    return replace(plain, **changes)
