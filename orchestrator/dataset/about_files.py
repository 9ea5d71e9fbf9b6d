"""What files and captions tell about a dataset.

Balance, size, sharpness, near-duplicates, captions, unreadable files.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from itertools import combinations

from orchestrator.dataset.model import Finding
from orchestrator.dataset.view import GroupView, Measured, named, names
from orchestrator.profile.model import Limits
from orchestrator.vision.distance import near_copy
from orchestrator.vision.model import Measurement

#: Fewer pictures than this in all, and the LoRA cannot tell the subject from what happens to be around it.
_FEW = 10
#: log10 of the sharpness below the group's median: a blur of one pixel on a sharp 512 photograph takes off 1.1, of two
#: 1.9.
_BLURRED_BY = 0.8
_COMPARED_FROM = 4


def of_group(view: GroupView, limits: Limits, trigger: str) -> Iterator[Finding]:
    """The findings of one group."""
    yield from _unreadable(view)
    yield from _captions(view, trigger)
    yield from _small(view, limits)
    yield from _blurred(view)


def of_all(views: Sequence[GroupView], limits: Limits) -> Iterator[Finding]:
    """The findings about the whole dataset."""
    yield from _balance(views, limits)
    yield from _few(views)
    yield from _duplicates(views, limits)


def _unreadable(view: GroupView) -> Iterator[Finding]:
    broken = [one for one in view.pictures if not one.measurement.readable]
    if broken:
        why = broken[0].measurement.missing.partition(": ")[2]
        yield Finding(
            "warning",
            "unreadable",
            view.name,
            f"{len(broken)} of {len(view.pictures)} files cannot be read as pictures: {named(broken)} ({why})",
            "sd-scripts stops at such a file without naming it",
            "remove or replace them; the dataset is not built with them",
            names(broken),
        )


def _captions(view: GroupView, trigger: str) -> Iterator[Finding]:
    problems: dict[str, list[Measured]] = {}
    for one in view.pictures:
        if one.picture.caption_problem:
            problems.setdefault(one.picture.caption_problem, []).append(one)
    for problem, ones in problems.items():
        yield Finding(
            "warning",
            "caption",
            view.name,
            f"the captions of {len(ones)} pictures are {problem}: {named(ones)}",
            "sd-scripts stops at such a file; the dataset is not built with it",
            "save them as UTF-8 with a caption in them, or delete them: the group's caption is then used",
            names(ones),
        )
    without = [
        one
        for one in view.pictures
        if trigger
        and not view.group.regularisation
        and not one.picture.caption_problem
        and trigger not in one.picture.caption
    ]
    if without:
        yield Finding(
            "warning",
            "trigger",
            view.name,
            f"{trigger} (the trigger) is missing in {len(without)} of {len(view.pictures)} captions: {named(without)}",
            "what these pictures teach goes to the words that do stand there; the trigger calls it up only weakly",
            f"put {trigger} first in these captions",
            names(without),
        )
    named_by = [one for one in view.pictures if trigger and trigger in one.picture.caption]
    if view.group.regularisation and named_by:
        yield Finding(
            "warning",
            "class named",
            view.name,
            f"{trigger} (the trigger) stands in {len(named_by)} captions of a regularisation group: {named(named_by)}",
            "the class in general is then learned as the subject, the opposite of what these pictures are for",
            "give the group a caption of the class alone, such as `a woman`",
            names(named_by),
        )
    mended = [one for one in view.pictures if one.picture.caption_note]
    if mended:
        yield Finding(
            "note",
            "caption mended",
            view.name,
            f"{len(mended)} captions are taken with a change ({mended[0].picture.caption_note}): {named(mended)}",
            "sd-scripts would read the first line only, and a byte order mark as part of the trigger word",
            "nothing to do; save them as one line of UTF-8 without BOM to be rid of this note",
            names(mended),
        )


def _small(view: GroupView, limits: Limits) -> Iterator[Finding]:
    small = [one for one in view.readable if min(one.measurement.width, one.measurement.height) < limits.min_side]
    if small:
        least = min(min(one.measurement.width, one.measurement.height) for one in small)
        yield Finding(
            "warning",
            "size",
            view.name,
            f"{len(small)} of {len(view.readable)} pictures are smaller than {limits.min_side} px "
            f"(down to {least} px): {named(small)}",
            "they are trained at their own size, and the LoRA learns their lack of detail",
            "make them larger or leave them out",
            names(small),
        )


def blurred(view: GroupView) -> list[tuple[Measured, float]]:
    """Those much less sharp than the group's median, with how many times less."""
    readable = view.readable
    if len(readable) < _COMPARED_FROM:
        return []
    middle = statistics.median(sharpness(one.measurement) for one in readable)
    below = [(one, middle - sharpness(one.measurement)) for one in readable]
    return [(one, 10**less) for one, less in below if less > _BLURRED_BY]


def _blurred(view: GroupView) -> Iterator[Finding]:
    found = blurred(view)
    if found:
        ones = [one for one, _ in found]
        yield Finding(
            "warning",
            "blurred",
            view.name,
            f"{len(ones)} of {len(view.readable)} pictures are much less sharp than the group's median "
            f"({max(times for _, times in found):.0f} times): {named(ones)}",
            "the LoRA learns the blur as a way this subject may look",
            "leave them out, or replace them",
            names(ones),
        )


def sharpness(measurement: Measurement) -> float:
    """log10 of the sharpness of what matters: the face says more than the background, which may be blurred on
    purpose.
    """
    return measurement.face.sharpness if measurement.face else measurement.sharpness


def _balance(views: Sequence[GroupView], limits: Limits) -> Iterator[Finding]:
    empty = [view for view in views if not view.pictures]
    for view in empty:
        yield Finding(
            "warning",
            "empty",
            view.name,
            "the group has no pictures",
            "it teaches nothing",
            "add pictures, or remove the group",
        )
    full = [view for view in views if view.pictures and not view.group.regularisation]
    if len(full) < 2:
        return
    most, least = max(full, key=lambda view: view.seen), min(full, key=lambda view: view.seen)
    times = most.seen / least.seen
    if times <= limits.imbalance:
        return
    seen = ", ".join(f"{view.name} {len(view.pictures)} × {view.group.repeats} = {view.seen}" for view in full)
    yield Finding(
        "locked in",
        "balance",
        "",
        f"per epoch the trainer sees {most.name} {times:.1f} times as often as {least.name} ({seen})",
        f"{most.name} wins: its framing, clothes and background come through unasked, and {least.name} is drawn worst",
        "bring pictures × repeats of the groups near each other: `count` takes fewer of one, `repeats` shows another "
        "more often",
    )


def _few(views: Sequence[GroupView]) -> Iterator[Finding]:
    total = sum(len(view.pictures) for view in views)
    if 0 < total < _FEW:
        yield Finding(
            "warning",
            "few",
            "",
            f"{total} pictures in all",
            "the LoRA can hardly tell the subject from clothes, light and background that the few pictures share",
            f"use {_FEW} at the least; 20 to 30 of different kinds are usual",
        )


def _duplicates(views: Sequence[GroupView], limits: Limits) -> Iterator[Finding]:
    joined = clusters([one for view in views for one in view.readable], limits.duplicate_bits)
    for ones, bits, mirrored in joined:
        group = ones[0].picture.group if len({one.picture.group for one in ones}) == 1 else ""
        same = (
            "the same picture"
            if bits == 0 and not mirrored
            else f"nearly the same picture (up to {bits} of 64 bits differ)"
        )
        yield Finding(
            "warning",
            "duplicates",
            group,
            f"{len(ones)} pictures are {same}{', one of them mirrored' if mirrored else ''}: {named(ones)}",
            f"what they share counts {len(ones)} times: pose, light and background are learned with it",
            "keep one of them",
            names(ones),
        )


def clusters(ones: Sequence[Measured], bits: int) -> list[tuple[list[Measured], int, bool]]:
    """Pictures joined by near pairs.

    The pictures, the largest distance of a pair that joined them, whether one is a mirror image.
    """
    cluster_of = {index: {index} for index in range(len(ones))}
    joined: list[tuple[int, int, bool]] = []
    for first, second in combinations(range(len(ones)), 2):
        near = near_copy(ones[first].measurement, ones[second].measurement, bits)
        if near is not None:
            joined.append((first, *near))
            both = cluster_of[first] | cluster_of[second]
            for index in both:
                cluster_of[index] = both
    found = []
    for members in {id(cluster): cluster for cluster in cluster_of.values() if len(cluster) > 1}.values():
        pairs = [(distance, mirrored) for first, distance, mirrored in joined if first in members]
        found.append(([ones[index] for index in sorted(members)], max(d for d, _ in pairs), any(m for _, m in pairs)))
    return found
