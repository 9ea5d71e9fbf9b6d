"""What faces tell about a dataset.

A lean or a turn all pictures share, framing, somebody else's face, faces not found.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from orchestrator.dataset.model import Finding
from orchestrator.dataset.view import GroupView, Measured, mean_and_sd, named, names
from orchestrator.profile.model import Limits
from orchestrator.vision.distance import identity_distance
from orchestrator.vision.model import NO_FACE, TOO_SMALL

#: A single leaning head is a pose; from here on it is a habit.
_HABIT_FROM = 3
# The mesh's yaw is compressed by about 0.7 and steady to ±1°: 14° measured are about 20° in truth.
_TURNED_DEG = 14.0
_TURN_SPREAD_DEG = 7.0
#: Below this rate the figures of a group stand on too few of its faces.
_ENOUGH_FACES = 0.8
#: All pictures of one framing are a lock from this many on.
_ONE_FRAMING_FROM = 6
# A face is called somebody else's when it is this many times, and by this much, further from the others of its group
# than they are among each other. Blur alone moves a face by 0.2-0.4, hence no smaller figure.
_OTHER_TIMES = 1.6
_OTHER_BY = 0.2
_COMPARED_FROM = 4


def of_group(view: GroupView, limits: Limits) -> Iterator[Finding]:
    """The findings of one group."""
    yield from _lean(view, limits)
    yield from _turn(view)
    yield from _framing(view)
    yield from _missing_faces(view)
    yield from _somebody_else(view)


def of_all(views: Sequence[GroupView]) -> Iterator[Finding]:
    """The findings about the whole dataset."""
    framings = Counter(face.framing for view in views for _, face in view.with_face)
    total = sum(framings.values())
    if len(framings) == 1 and total >= _ONE_FRAMING_FROM:
        (framing,) = framings
        yield Finding(
            "locked in",
            "one framing",
            "",
            f"{total} of {total} faces are framed as {framing}",
            f"the LoRA will draw a {framing} whatever the prompt asks for",
            "add pictures of the other framings (close-up, upper body, full body), about as many of each",
        )
    for reason, ones in _unmeasured(views).items():
        yield Finding(
            "note",
            "not measured",
            "",
            f"lean, framing and persons of {len(ones)} pictures were {reason}",
            "what they would lock in is not known",
            "install what is named, then run the same check again",
        )


def locked_lean(view: GroupView, limits: Limits) -> float | None:
    """The mean lean in degrees that the group would lock in (+ = clockwise); None where it would not."""
    mean, sd = mean_and_sd([face.roll_deg for _, face in view.with_face])
    if mean is None or sd is None or len(view.with_face) < _HABIT_FROM or abs(mean) <= limits.mean_roll:
        return None
    return mean if sd < limits.roll_spread else None


def _lean(view: GroupView, limits: Limits) -> Iterator[Finding]:
    rolls = [face.roll_deg for _, face in view.with_face]
    mean, sd = mean_and_sd(rolls)
    if mean is None or sd is None or len(rolls) < _HABIT_FROM or abs(mean) <= limits.mean_roll:
        return
    leaning = sum(roll * mean > 0 and abs(roll) > limits.mean_roll / 2 for roll in rolls)
    side = "clockwise" if mean > 0 else "anticlockwise"
    what = f"{leaning} of {len(rolls)} heads lean {side}, {mean:+.1f}° on average (sd {sd:.1f}°)"
    fix = (
        "straighten the pictures (orchestrator pictures straighten, or straighten = true in their set) "
        f"or add {view.name} pictures with other angles"
    )
    if locked_lean(view, limits) is not None:
        means = "the LoRA will learn the lean as part of the face, and no prompt will take it out"
        yield Finding("locked in", "lean", view.name, what, means, fix)
    else:
        means = "the LoRA will prefer this lean; other angles stay possible, for the pictures show some"
        yield Finding("warning", "lean", view.name, what, means, fix)


def _turn(view: GroupView) -> Iterator[Finding]:
    yaws = [face.yaw_deg for _, face in view.with_face]
    mean, sd = mean_and_sd(yaws)
    if mean is None or sd is None or len(yaws) < _HABIT_FROM or abs(mean) <= _TURNED_DEG or sd >= _TURN_SPREAD_DEG:
        return
    side = "left" if mean > 0 else "right"
    yield Finding(
        "locked in",
        "turn",
        view.name,
        f"{len(yaws)} faces are turned to screen {side}: about {abs(mean):.0f}° on average (sd {sd:.1f}°)",
        "the LoRA will turn the face this way even when it is asked to look at the viewer",
        "mirror half of the pictures, or add some that look at the viewer or to the other side",
    )


def _framing(view: GroupView) -> Iterator[Finding]:
    wanted = view.group.framing
    wrong = [(one, face) for one, face in view.with_face if wanted and face.framing != wanted]
    if not wrong:
        return
    kinds = Counter(face.framing for _, face in wrong)
    seen_as = " and ".join(f"{count} × {framing}" for framing, count in kinds.most_common())
    pictures = [one for one, _ in wrong]
    yield Finding(
        "warning",
        "framing",
        view.name,
        f"{len(wrong)} of {len(view.with_face)} pictures are not {wanted} but {seen_as}: {named(pictures)}",
        f"the caption teaches that this is what {wanted} means",
        "move them to the group they show, or crop them",
        names(pictures),
    )


def _missing_faces(view: GroupView) -> Iterator[Finding]:
    looked = view.looked
    without = [one for one in looked if one.measurement.missing == NO_FACE]
    if without:
        found = len(looked) - len(without)
        rate = found / len(looked)
        yield Finding(
            "note" if rate >= _ENOUGH_FACES else "warning",
            "no face",
            view.name,
            f"a face was found in {found} of {len(looked)} pictures ({rate:.0%}); not in {named(without)}",
            "lean and framing of the others say nothing about these",
            "look at them: turned away, covered, cut off or badly drawn faces teach the LoRA the same",
            names(without),
        )
    small = [one for one in looked if one.measurement.missing == TOO_SMALL]
    if small:
        yield Finding(
            "note",
            "small face",
            view.name,
            f"the face is smaller than 40 pixels in {len(small)} of {len(looked)} pictures: {named(small)}",
            "the LoRA learns little of the face from them, and who it is was not compared",
            "use larger pictures, or crop nearer",
            names(small),
        )


def somebody_else(view: GroupView) -> tuple[list[tuple[Measured, float]], float]:
    """(those whose face is far from the others of the group, with their usual distance; the distance usual for all)."""
    known = [(one, one.measurement.identity) for one in view.readable if one.measurement.identity is not None]
    if len(known) < _COMPARED_FROM or len({one.measurement.embedding_name for one, _ in known}) > 1:
        return [], 0.0
    usual = [
        statistics.median(identity_distance(mine, other) for at, (_, other) in enumerate(known) if at != index)
        for index, (_, mine) in enumerate(known)
    ]
    middle = statistics.median(usual)
    limit = max(middle * _OTHER_TIMES, middle + _OTHER_BY)
    return [(one, distance) for (one, _), distance in zip(known, usual, strict=True) if distance > limit], middle


def _somebody_else(view: GroupView) -> Iterator[Finding]:
    found, middle = somebody_else(view)
    if found:
        others = [one for one, _ in found]
        known = sum(one.measurement.identity is not None for one in view.readable)
        yield Finding(
            "warning",
            "somebody else",
            view.name,
            f"{len(others)} of {known} faces are far from the others "
            f"({max(distance for _, distance in found):.2f} against {middle:.2f} usual): {named(others)}",
            "the LoRA will mix another face into the subject's",
            "look at them and take out who is somebody else; a blurred or covered face measures so too",
            names(others),
        )


def _unmeasured(views: Sequence[GroupView]) -> dict[str, list[Measured]]:
    reasons: dict[str, list[Measured]] = {}
    for view in views:
        for one in view.readable:
            if not one.measurement.looked:
                reasons.setdefault(one.measurement.missing, []).append(one)
    return reasons
