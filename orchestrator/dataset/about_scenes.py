"""Background and clothes that the pictures share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.dataset import sameness
from orchestrator.dataset.about_poses import quoted
from orchestrator.dataset.estimates import share_of
from orchestrator.dataset.model import Finding
from orchestrator.dataset.tag_words import Kind, names_a
from orchestrator.dataset.view import GroupView, Measured, named, names

#: From this share on it is what nearly all pictures show; between the two figures, what most show.
_SHARED_FROM, _MOSTLY_FROM = 0.8, 0.65
#: And so low may the interval reach: four of six may be chance.
_SURE_FROM = 0.45
#: Fewer pictures than this, and what they share may be chance.
_JUDGED_FROM = 6


def of_all(views: Sequence[GroupView]) -> Iterator[Finding]:
    """The findings about all pictures of the subject; groups of their own only where all together do not share it."""
    everything = [one for view in views for one in view.readable]
    said = {finding.kind: finding for finding in _shared("", everything)}
    yield from said.values()
    for view in views if len(views) > 1 else ():
        yield from (one for one in _shared(view.name, view.readable) if one.kind not in said)


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
            f'vary it (`orchestrator pictures vary SET --change "other {word}"`), or name it: '
            f'`orchestrator dataset caption add "… {word}"{where}`',
            names(members),
            f"{share}; judged by colour" + (" and structure" if thing == "place" else " below the chin"),
            share,
        )
