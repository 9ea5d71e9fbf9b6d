"""Background and clothes that the pictures share, and marks that stand at one place in many of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from orchestrator.dataset import sameness
from orchestrator.dataset.about_poses import quoted
from orchestrator.dataset.estimates import share_of
from orchestrator.dataset.model import Finding
from orchestrator.dataset.tag_words import Kind, names_a
from orchestrator.dataset.view import GroupView, Measured, named, names
from orchestrator.vision.surroundings import MARK_BITS, MARK_BOXES

#: From this share on it is what nearly all pictures show; between the two figures, what most show.
_SHARED_FROM, _MOSTLY_FROM = 0.8, 0.65
#: And so low may the interval reach: four of six may be chance.
_SURE_FROM = 0.45
#: Fewer pictures than this, and what they share may be chance.
_JUDGED_FROM = 6
#: A mark: bits of strokes that are set in this share of the pictures, at least so many of them in one box, and so much
#: more often than chance would have it.
_REPEATED, _FEWEST_STROKES, _LIFT = 0.75, 22, 2.2
#: In how many of those bits a picture must agree to count as having the mark.
_HAS_MARK = 0.7


def of_all(views: Sequence[GroupView], *, simulated: bool = False) -> Iterator[Finding]:
    """The findings about all pictures of the subject; groups of their own only where all together do not share it.

    `simulated`: the sandbox drew them.
    """
    everything = [one for view in views for one in view.readable]
    said = {finding.kind: finding for finding in _shared("", everything)}
    yield from said.values()
    for view in views if len(views) > 1 else ():
        yield from (one for one in _shared(view.name, view.readable) if one.kind not in said)
    yield from _marks(everything, simulated=simulated)


def _shared(group: str, ones: Sequence[Measured]) -> Iterator[Finding]:
    measured = [one.measurement for one in ones]
    for kind, word, cluster in (
        ("one background", "background", sameness.backgrounds(measured)),
        ("one outfit", "clothes", sameness.outfits(measured)),
    ):
        share = share_of(len(cluster.largest), cluster.looked)
        if share is None or share.count < _JUDGED_FROM or share.value < _MOSTLY_FROM or (share.low or 0) < _SURE_FROM:
            continue
        members = [ones[index] for index in cluster.largest]
        thing: Kind = "place" if word == "background" else "outfit"
        captioned = sum(names_a(thing, one.picture.caption) for one in members)
        what = f"{len(members)} of {share.count} pictures show one {word}" if thing == "place" else (
            f"{len(members)} of {share.count} pictures show {cluster.colour} {word}"
        )  # fmt: skip
        what += f" ({cluster.colour})" if thing == "place" else ""
        if captioned >= _SHARED_FROM * len(members):
            yield Finding(
                "note", kind, group, f"{what}, and {captioned} captions name it", "named, it stays flexible", "",
                names(members), str(share), share,
            )  # fmt: skip
            continue
        locked = share.value >= _SHARED_FROM and share.low is not None and share.low >= 0.5
        where = f" {quoted(group + '/*')}" if group else ""
        yield Finding(
            "locked in" if locked else "warning",
            kind,
            group,
            f"{what}, named in {captioned} captions: {named(members)}",
            f"the trigger will bring this {thing} along" if locked else f"the trigger will often bring this {thing}",
            f'vary it (orchestrator pictures vary SET --change "other {word}"), or name it: '
            f'orchestrator dataset caption add "… {word}"{where}',
            names(members),
            f"{share}; judged by colour" + (" and structure" if thing == "place" else " below the chin"),
            share,
        )


def _marks(everything: Sequence[Measured], *, simulated: bool) -> Iterator[Finding]:
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
