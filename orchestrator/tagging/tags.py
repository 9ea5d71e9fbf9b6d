"""What each expectation is called by the taggers, and how sure they are of it.

Names are Danbooru's, which deepdanbooru and the WD14 models were trained on; a picture's score is the highest of an
expectation's names that the model knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from orchestrator.profile.model import Expectation

#: Danbooru's own name first, then aliases and close relatives that other models use.
TAG_NAMES: Final[Mapping[Expectation, tuple[str, ...]]] = {
    "hand raised": ("arm_up", "hand_up", "arms_up", "hands_up", "waving"),
    "arms crossed": ("crossed_arms", "arms_crossed"),
    "hand on hip": ("hand_on_own_hip", "hand_on_hip", "hands_on_own_hips", "hands_on_hips"),
    "smile": ("smile", "smiling", "grin"),
    "looking up": ("looking_up",),
    "close-up": ("close-up", "portrait", "face"),
    "upper body": ("upper_body", "cowboy_shot"),
    "full body": ("full_body",),
}
#: Every name above.
ALL_NAMES: Final = frozenset(name for names in TAG_NAMES.values() for name in names)
#: Expectations that the face's share of the picture's height decides better than any tagger.
FRAMINGS: Final[frozenset[str]] = frozenset({"close-up", "upper body", "full body"})

# `(arm up:0.871), (:d:0.412)`: three decimals, and a tag may itself hold colons, brackets and commas.
_RANKED = re.compile(r"\((.*?):([01]\.\d{3})\)(?:, |$)", re.DOTALL)


def parse_ranked(caption: str) -> dict[str, float]:
    """A deepdanbooru caption with ranks as tag → probability; empty for a caption without ranks."""
    return {canonical(name): float(value) for name, value in _RANKED.findall(caption)}


def canonical(name: str) -> str:
    """A tag as Danbooru writes it: lower case, underscores for blanks, no escaping of brackets."""
    return re.sub(r"\\([()\\])", r"\1", name).strip().lower().replace(" ", "_")


def names_known(pictures: Iterable[Mapping[str, float]]) -> frozenset[str]:
    """The names of expectations that turn up in any of the pictures' tags.

    A model that was asked for every tag names all it knows; one that holds back tags it is unsure of names them when
    it is sure. So a name that never turns up over many pictures is one the model does not know.
    """
    return frozenset(name for tags in pictures for name in tags if name in ALL_NAMES)


def obedience(expects: Expectation, tags: Mapping[str, float], known: frozenset[str]) -> float | None:
    """How surely (0…1) a picture with these tags shows what is expected.

    None when the model knows none of its names.
    """
    names = [name for name in TAG_NAMES[expects] if name in known]
    return max(tags.get(name, 0.0) for name in names) if names else None
