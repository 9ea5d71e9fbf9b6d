"""How surely a picture shows what its round asks for."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.profile.model import Expectation
from orchestrator.tagging.tags import FRAMINGS, obedience
from orchestrator.vision.model import Measurement


def score(
    expects: Expectation, tags: Mapping[str, float] | None, known: frozenset[str], seen: Measurement | None
) -> float | None:
    """How surely (0…1) a picture shows what its round asks for; None = not measured.

    Framing is read off the face's size where somebody looked for it: 1 when it is the framing asked for, else 0, and 0
    without a face. Everything else, and framing where nobody looked, is what the tagger says.
    """
    if expects in FRAMINGS and seen is not None and seen.looked:
        return 1.0 if seen.face is not None and seen.face.framing == expects else 0.0
    return None if tags is None else obedience(expects, tags, known)
