"""What files tell about a dataset: balance, size, sharpness, near-duplicates, unreadable files."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from orchestrator.dataset.about_poses import quoted
from orchestrator.dataset.model import Finding
from orchestrator.dataset.view import GroupView, Measured, many, named, names
from orchestrator.profile.model import Limits
from orchestrator.vision.distance import SAME_COLOURS
from orchestrator.vision.model import Measurement

#: Fewer pictures than this in all, and the LoRA cannot tell the subject from what happens to be around it.
_FEW = 10
#: log10 of the sharpness below the group's median: a blur of one pixel on a sharp 512 photograph takes off 1.1, of two
#: 1.9.
_BLURRED_BY = 0.8
_COMPARED_FROM = 4
#: Up to this many bits of 64 two pictures are near enough to be looked at, if their colours are as near as that.
_LOOK_BITS = 14
LOOK_COLOURS = 0.02
_STRIP = 512


def of_group(view: GroupView, limits: Limits, *, left_out: bool) -> Iterator[Finding]:
    """The findings of one group. `left_out`: what cannot be read is left out by the build (`dataset.balance`)."""
    yield from _unreadable(view, left_out=left_out)
    yield from _small(view, limits)
    yield from _blurred(view)


def of_all(views: Sequence[GroupView], limits: Limits) -> Iterator[Finding]:
    """The findings about the whole dataset."""
    yield from _balance(views, limits)
    yield from _few(views)
    yield from _duplicates(views, limits)


def _unreadable(view: GroupView, *, left_out: bool) -> Iterator[Finding]:
    reasons: dict[str, list[Measured]] = {}
    for one in view.pictures:
        if not one.measurement.readable:
            reasons.setdefault(one.measurement.missing.partition(": ")[2], []).append(one)
    broken = [one for ones in reasons.values() for one in ones]
    if broken:
        listed = "; ".join(f"{named(ones)} ({why})" for why, ones in reasons.items())
        yield Finding(
            "warning" if left_out else "blocker",
            "unreadable",
            view.name,
            f"{len(broken)} of {many(len(view.pictures), 'file')} cannot be read as pictures: {listed}",
            "sd-scripts stops at such a file without naming it",
            "they are left out, for `balance` says so"
            if left_out
            else "replace or remove them (wait for those that are still downloaded or synced), or build with "
            "--balance, which leaves them out",
            names(broken),
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
            "blocker",
            "empty",
            view.name,
            "the group has no pictures",
            "it teaches nothing, and the dataset is not built with it",
            f"import some (`orchestrator dataset import FOLDER --group {quoted(view.name)}`), or remove the group",
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
    everything = [one for view in views for one in view.readable]
    joined = clusters(everything, limits.duplicate_bits)
    yield from _alike(everything, joined, limits)
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
            f"keep one of them; `orchestrator dataset build --balance` keeps the sharpest ({sharpest(ones).name})",
            names(ones),
            f"{bits} of 64 bits differ; up to {limits.duplicate_bits} are copies, measured on photographs",
        )


def sharpest(ones: Sequence[Measured]) -> Measured:
    """The one of several copies to keep."""
    return max(ones, key=lambda one: (sharpness(one.measurement), one.measurement.width * one.measurement.height))


def _alike(
    everything: Sequence[Measured], copies: Sequence[tuple[list[Measured], int, bool]], limits: Limits
) -> Iterator[Finding]:
    """Pairs that are no copies, and near enough to be looked at: a crop, a small turn, the next frame of a film."""
    copy_of = {id(one): number for number, (ones, _, _) in enumerate(copies) for one in ones}
    pairs = [
        (first, second, bits)
        for first, second, bits, _ in near_pairs(everything, _LOOK_BITS, LOOK_COLOURS)
        if bits > limits.duplicate_bits and copy_of.get(id(first), -1) != copy_of.get(id(second), -2)
    ]
    if pairs:
        some = "; ".join(f"{first.name} and {second.name} ({bits} bits)" for first, second, bits in pairs[:3])
        more = f"; and {len(pairs) - 3} more" if len(pairs) > 3 else ""
        ones = list({id(one): one for first, second, _ in pairs for one in (first, second)}.values())
        yield Finding(
            "note",
            "alike",
            "",
            f"{'1 pair' if len(pairs) == 1 else f'{len(pairs)} pairs'} of much the same pictures: {some}{more}",
            "the same scene cropped or turned a little teaches little more than once",
            "look at them, and keep the better one where they are one scene",
            names(ones),
            f"{limits.duplicate_bits + 1} to {_LOOK_BITS} of 64 bits differ: copies or not, the eye decides",
        )


def clusters(ones: Sequence[Measured], bits: int) -> list[tuple[list[Measured], int, bool]]:
    """Pictures joined by near pairs.

    The pictures, the largest distance of a pair that joined them, whether one is a mirror image.
    """
    at = {id(one): index for index, one in enumerate(ones)}
    cluster_of = {index: {index} for index in range(len(ones))}
    joined = [
        (at[id(first)], at[id(second)], distance, mirrored)
        for first, second, distance, mirrored in near_pairs(ones, bits, SAME_COLOURS)
    ]
    for first, second, *_ in joined:
        if cluster_of[first] is not cluster_of[second]:
            both = cluster_of[first] | cluster_of[second]
            for index in both:
                cluster_of[index] = both
    pairs_of: dict[int, list[tuple[int, bool]]] = {}
    for first, _, distance, mirrored in joined:
        pairs_of.setdefault(id(cluster_of[first]), []).append((distance, mirrored))
    found = []
    for members in {id(cluster): cluster for cluster in cluster_of.values() if len(cluster) > 1}.values():
        pairs = pairs_of[id(members)]
        found.append(([ones[index] for index in sorted(members)], max(d for d, _ in pairs), any(m for _, m in pairs)))
    return found


def near_pairs(ones: Sequence[Measured], bits: int, colours: float) -> Iterator[tuple[Measured, Measured, int, bool]]:
    """Pairs whose hashes differ in at most `bits` and whose colours are as near as `colours`, each with the bits and
    whether it is a mirror image. The same rule as `vision.near_copy`, for thousands of pictures at once.
    """
    import numpy as np

    from orchestrator.dataset.sameness import bit_differences, colour_differences, colour_patterns

    if len(ones) < 2:
        return
    straight = np.array([one.measurement.dhash for one in ones], dtype=np.uint64)
    mirrored = np.array([one.measurement.dhash_mirror for one in ones], dtype=np.uint64)
    patterns = None
    # In strips: all pairs of ten thousand pictures at once would take gigabytes.
    for start in range(0, len(ones), _STRIP):
        rows = slice(start, start + _STRIP)
        found: dict[tuple[int, int], tuple[int, bool]] = {}
        for mirror, hashes in ((True, mirrored), (False, straight)):
            differ = bit_differences(straight[rows], hashes)
            near = np.triu(differ <= bits, k=start + 1)
            concerned = np.flatnonzero(near.any(axis=1))
            if not len(concerned):
                continue
            # Most pictures are near no other one: only for the rest are colours compared, which takes far longer.
            patterns = patterns or colour_patterns([one.measurement.colours for one in ones])
            near[concerned] &= colour_differences(patterns, start + concerned, mirror=mirror) <= colours
            for row, second in zip(*np.nonzero(near), strict=True):
                found[start + int(row), int(second)] = int(differ[row, second]), mirror
        for (first, second), (distance, mirror) in sorted(found.items()):
            yield ones[first], ones[second], distance, mirror
