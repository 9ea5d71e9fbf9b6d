"""From a tagger's answer to the words of a caption, and what the captions leave to the trigger word.

What every picture shows and no caption names is learned as part of the trigger: wanted for the face, unwanted for the
clothes. What the captions do name can be asked for, or left out, later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

Tags = Mapping[str, float]
Kind = Literal["outfit", "place", "person"]

#: What WD14 mixes into its tags, and words that say nothing to a LoRA of one person.
RATINGS: Final = frozenset({"general", "sensitive", "questionable", "explicit", "rating:*"})
#: From which share of the pictures on a thing is what they all show.
COMMON_FROM = 0.8
#: From which share of those captions on a thing counts as named, and up to which as not named.
NAMED_FROM, UNNAMED_UP_TO = 0.8, 0.2
#: Fewer tagged pictures than this, and a thing they share may be chance.
JUDGED_FROM = 5

# Danbooru names things by their last word: `school_uniform`, `red_dress`, `simple_background`.
_OUTFIT = frozenset(
    {
        "dress", "shirt", "blouse", "skirt", "uniform", "serafuku", "jacket", "coat", "hoodie", "sweater", "cardigan",
        "vest", "suit", "kimono", "yukata", "bikini", "swimsuit", "leotard", "pants", "jeans", "shorts", "leggings",
        "pantyhose", "thighhighs", "kneehighs", "socks", "boots", "shoes", "sneakers", "sandals", "gloves", "scarf",
        "hat", "cap", "beret", "helmet", "hood", "ribbon", "bow", "bowtie", "necktie", "tie", "choker", "necklace",
        "earrings", "jewelry", "glasses", "sunglasses", "eyewear", "apron", "cape", "cloak", "armor", "collar",
        "sleeves", "hairband", "hairclip", "headphones", "headwear", "bag", "belt", "mask", "t-shirt", "top", "clothes",
        "outfit",
    }
)  # fmt: skip
_PLACE = frozenset(
    {
        "background", "outdoors", "indoors", "sky", "cloud", "clouds", "tree", "trees", "grass", "beach", "ocean",
        "water", "city", "street", "building", "room", "bedroom", "classroom", "window", "wall", "floor", "bed",
        "chair", "couch", "night", "sunset", "snow", "rain", "forest", "flower", "flowers",
    }
)  # fmt: skip
_PERSON = frozenset(
    {
        "hair", "eyes", "bangs", "ponytail", "twintails", "braid", "ahoge", "freckles", "mole", "skin", "breasts",
        "ears", "tail", "horns",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Shared:
    """A thing that `seen` of `looked` pictures show, and `named` of those captions name."""

    tag: str
    kind: Kind
    seen: int
    looked: int
    named: int

    @property
    def words(self) -> str:
        """The tag as a caption writes it."""
        return as_words(self.tag)

    @property
    def share_named(self) -> float:
        """0…1."""
        return self.named / self.seen


def caption_words(tags: Tags, *, seen_from: float, blocked: Sequence[str] = ()) -> tuple[str, ...]:
    """The tags a caption gets, the surest first: at least `seen_from` (0…1), without ratings and what is `blocked`
    (patterns such as `*_hair`, in either spelling).
    """
    patterns = [*RATINGS, *(pattern.strip().lower().replace(" ", "_") for pattern in blocked)]
    chosen = [
        (tag, value)
        for tag, value in tags.items()
        if value >= seen_from and not any(fnmatchcase(tag.lower(), pattern) for pattern in patterns)
    ]
    return tuple(as_words(tag) for tag, _ in sorted(chosen, key=lambda one: (-one[1], one[0])))


def as_words(tag: str) -> str:
    """`red_dress` → `red dress`; faces made of marks (`:d`, `^_^`) stay as they are."""
    return tag if not re.search(r"[A-Za-z0-9]{2}", tag) else tag.replace("_", " ")


def shared_things(pictures: Sequence[tuple[str, Tags | None]], *, seen_from: float) -> Iterator[Shared]:
    """What nearly all of the pictures, given as (caption, tags), show: outfit, place and traits of the person."""
    looked = [(caption, tags) for caption, tags in pictures if tags is not None]
    if len(looked) < JUDGED_FROM:
        return
    names = sorted({name for _, tags in looked for name, value in tags.items() if value >= seen_from})
    for name in names:
        kind = kind_of(name)
        having = [caption for caption, tags in looked if tags.get(name, 0.0) >= seen_from]
        if kind is not None and len(having) >= COMMON_FROM * len(looked):
            yield Shared(name, kind, len(having), len(looked), sum(is_named(name, caption) for caption in having))


def kind_of(tag: str) -> Kind | None:
    """What a tag is about; None for poses, expressions and everything else."""
    last = tag.lower().replace(" ", "_").split("_(")[0].rpartition("_")[2]
    for kind, words in (("outfit", _OUTFIT), ("place", _PLACE), ("person", _PERSON)):
        if last in words:
            return kind  # type: ignore[return-value]
    return None


def is_named(tag: str, caption: str) -> bool:
    """Whether a caption names the thing: by its last word at the least (`a blue school uniform` for `serafuku` is not
    seen as such).
    """
    last = as_words(tag).lower().rpartition(" ")[2]
    return re.search(rf"(?<![a-z0-9]){re.escape(last)}(?![a-z0-9])", caption.lower()) is not None


def names_a(kind: Kind, caption: str) -> bool:
    """Whether a caption names any thing of this kind: `red sweater` an outfit, `in front of a window` a place."""
    words = {"outfit": _OUTFIT, "place": _PLACE, "person": _PERSON}[kind]
    return any(word in words for word in re.findall(r"[a-z-]+", caption.lower()))
