"""Text, signatures and watermarks: one that stands at the same place in most pictures is found by its strokes; one that
stands in a single picture only by a tagger that was asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np

from orchestrator.dataset.estimates import share_of
from orchestrator.dataset.model import Finding
from orchestrator.dataset.view import GroupView, Measured, many, named, names
from orchestrator.vision.surroundings import MARK_BITS, MARK_BOXES

#: Fewer pictures than this, and what they share may be chance.
_JUDGED_FROM = 6
#: A mark: bits of strokes that are set in this share of the pictures, at least so many of them in one box, and so much
#: more often than chance would have it.
_REPEATED, _FEWEST_STROKES, _LIFT = 0.75, 22, 2.2
#: In how many of those bits a picture must agree to count as having the mark.
_HAS_MARK = 0.7
#: What WD14 and deepdanbooru call marks (Danbooru's names).
_MARK_TAGS = (
    "watermark", "sample_watermark", "signature", "artist_name", "artist_logo", "logo", "web_address", "username",
    "*_username", "dated", "text", "*_text", "copyright_notice",
)  # fmt: skip


def of_all(
    views: Sequence[GroupView],
    tags: Mapping[str, Mapping[str, float]],
    seen_from: float,
    *,
    simulated: bool = False,
) -> Iterator[Finding]:
    """The findings. `tags` are what a tagger saw, by the pictures' sha256, each from `seen_from` (0…1) on; `simulated`:
    the sandbox drew the pictures.
    """
    everything = [one for view in views for one in view.readable]
    yield from _shared(everything, simulated=simulated)
    yield from _tagged(everything, tags, seen_from)
    unasked = [one for one in everything if one.picture.sha256 not in tags]
    if unasked:
        yield Finding(
            "note",
            "single marks",
            "",
            f"text and watermarks that stand in a few pictures only were not looked for in {len(unasked)} of "
            f"{many(len(everything), 'picture')}",
            "one that stands at the same place in three of four pictures is found without; others are not",
            "ask A1111's tagger (`orchestrator dataset caption tag`), which names them picture by picture, or look "
            "through the page of this check",
        )


def _tagged(
    everything: Sequence[Measured], tags: Mapping[str, Mapping[str, float]], seen_from: float
) -> Iterator[Finding]:
    asked = [one for one in everything if one.picture.sha256 in tags]
    counts: Counter[str] = Counter()
    marked = []
    for one in asked:
        found = [
            tag
            for tag, sure in tags[one.picture.sha256].items()
            if sure >= seen_from and any(fnmatchcase(tag.lower(), pattern) for pattern in _MARK_TAGS)
        ]
        counts.update(found)
        if found:
            marked.append(one)
    if marked:
        share = share_of(len(marked), len(asked))
        words = ", ".join(f"{tag.replace('_', ' ')} {count} ×" for tag, count in counts.most_common(4))
        yield Finding(
            "warning",
            "mark seen",
            "",
            f"the tagger sees text or a mark in {len(marked)} of {many(len(asked), 'picture')} ({words}): "
            f"{named(marked)}",
            "what stands in many of them is learned with the subject, and drawn again",
            "look at them; crop it away, paint it over, or name it in their captions, so that it can be left out",
            names(marked),
            f"as sure as the tagger, from {seen_from:.2f} on",
            share,
        )


def _shared(everything: Sequence[Measured], *, simulated: bool) -> Iterator[Finding]:
    ones = [one for one in everything if one.measurement.around is not None]
    if len(ones) < _JUDGED_FROM:
        return
    for at, place in enumerate(MARK_BOXES):
        having = having_mark([one.measurement.around.marks[at] for one in ones if one.measurement.around])
        if not having:
            continue
        marked = [ones[index] for index in having]
        share = share_of(len(marked), len(ones))
        # The sandbox writes its word there, so that nobody takes its pictures for a model's.
        own = simulated and place == "bottom right"
        yield Finding(
            "note" if own else "warning",
            "mark",
            "",
            f"the same small structure stands at the {place} of {len(marked)} of {len(ones)} pictures"
            + (": the sandbox's own word" if own else f", text or a watermark: {named(marked)}"),
            "it is learned with the subject, and drawn again",
            "" if own else "crop it away, or paint it over",
            names(marked),
            "" if share is None else f"{share}; judged by strokes at one place, not read",
            share,
        )


def having_mark(strokes: Sequence[str]) -> list[int]:
    """Which of these boxes (`Surroundings.marks`) hold a mark that most of them share; none where there is none."""
    if len(strokes) < _JUDGED_FROM:
        return []
    bits = np.array([np.unpackbits(np.frombuffer(bytes.fromhex(one), dtype=np.uint8)) for one in strokes])
    bits = bits[:, : MARK_BITS[0] * MARK_BITS[1]].astype(bool)
    often = bits.mean(axis=0)
    common = often >= _REPEATED
    if int(common.sum()) < _FEWEST_STROKES:
        return []
    held = bits[:, common].mean(axis=1)
    # A box full of structure (leaves, a crowd) has many bits everywhere; a mark has them at its own places.
    elsewhere = float(bits[:, ~common].mean()) if (~common).any() else 1.0
    if float(often[common].mean()) < _LIFT * elsewhere:
        return []
    return [int(index) for index in np.flatnonzero(held >= _HAS_MARK)]
