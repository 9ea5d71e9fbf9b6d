"""What faces tell about a dataset besides their poses.

Framing, somebody else's face, more than one, none, and heads that the edge cuts off.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from orchestrator.dataset.estimates import share_of
from orchestrator.dataset.model import Finding
from orchestrator.dataset.view import GroupView, Measured, named, names
from orchestrator.vision.model import NO_FACE, TOO_SMALL

#: Below this rate the figures of a group stand on too few of its faces.
_ENOUGH_FACES = 0.8
#: All pictures of one framing are a lock from this many on.
_ONE_FRAMING_FROM = 6
# A face is called somebody else's when it is this many times, and by this much, further from the others of its group
# than they are among each other. Blur alone moves a face by 0.2-0.4, hence no smaller figure.
_OTHER_TIMES = 1.6
_OTHER_BY = 0.2
_COMPARED_FROM = 4
_STRIP = 512
#: A face reaches this share of itself beyond the edge before it counts as cut; the mesh is that exact.
_CUT_FACE = 0.04
#: The crown is this far above the mesh, in face heights.
_HAIR_ROOM = 0.25


def of_group(view: GroupView) -> Iterator[Finding]:
    """The findings of one group."""
    yield from _framing(view)
    yield from _missing_faces(view)
    yield from _several_faces(view)
    yield from _cut_off(view)
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
            sure=str(share_of(total, total)),
            estimate=share_of(total, total),
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
            str(share_of(found, len(looked))),
            share_of(found, len(looked)),
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


def _several_faces(view: GroupView) -> Iterator[Finding]:
    several = [one for one in view.pictures if (one.measurement.faces or 0) > 1]
    if several:
        most = max(one.measurement.faces or 0 for one in several)
        yield Finding(
            "warning",
            "several faces",
            view.name,
            f"{len(several)} of {len(view.looked)} pictures show more than one face (up to {most}): {named(several)}",
            "the trigger learns whoever is in the picture; the other faces mix into the subject's",
            "crop them to the subject, give the group masks, or leave them out",
            names(several),
            "each face was believed at a second look; small ones in the background may have been missed",
        )


def _cut_off(view: GroupView) -> Iterator[Finding]:
    through_face: list[Measured] = []
    through_hair: list[Measured] = []
    for one, face in view.with_face:
        x, y, width, height = face.box
        room = min(
            x / width, y / height, (one.measurement.width - x - width) / width,
            (one.measurement.height - y - height) / height,
        )  # fmt: skip
        if room < -_CUT_FACE:
            through_face.append(one)
        elif y < _HAIR_ROOM * height:
            through_hair.append(one)
    if through_face:
        yield Finding(
            "warning",
            "cut-off face",
            view.name,
            f"the edge cuts through {len(through_face)} of {len(view.with_face)} faces: {named(through_face)}",
            "the LoRA learns that the subject's face may end at the edge",
            "crop them less closely, or leave them out",
            names(through_face),
        )
    share = share_of(len(through_hair), len(view.with_face))
    if share is not None and through_hair:
        all_of_them = share.count >= _ONE_FRAMING_FROM and share.value >= _ENOUGH_FACES
        yield Finding(
            "warning" if all_of_them else "note",
            "cut-off hair",
            view.name,
            f"the top of the head is beyond the edge in {len(through_hair)} of {share.count} pictures: "
            f"{named(through_hair)}",
            "pictures of this framing will come out with the crown cut off"
            if all_of_them
            else "some pictures of this framing will come out so",
            "use the uncropped pictures, or add some that show the whole head",
            names(through_hair),
            str(share),
            share,
        )


def somebody_else(view: GroupView) -> tuple[list[tuple[Measured, float]], float]:
    """(those whose face is far from the others of the group, with their usual distance; the distance usual for all)."""
    known = [(one, one.measurement.identity) for one in view.readable if one.measurement.identity is not None]
    if len(known) < _COMPARED_FROM or len({one.measurement.embedding_name for one, _ in known}) > 1:
        return [], 0.0
    usual = _usual_distances([mine for _, mine in known])
    middle = statistics.median(usual)
    limit = max(middle * _OTHER_TIMES, middle + _OTHER_BY)
    return [(one, distance) for (one, _), distance in zip(known, usual, strict=True) if distance > limit], middle


def _usual_distances(faces: Sequence[Sequence[float]]) -> list[float]:
    """The median distance of each face to the others, as `vision.identity_distance` measures it."""
    import numpy as np

    values = np.array(faces, dtype=np.float64)
    squares = (values**2).sum(axis=1)
    usual: list[float] = []
    # In strips: all pairs of ten thousand faces at once would take gigabytes.
    for start in range(0, len(values), _STRIP):
        rows = slice(start, start + _STRIP)
        apart = np.sqrt(np.maximum(squares[rows, None] + squares[None, :] - 2 * values[rows] @ values.T, 0.0))
        others = np.arange(start, start + len(apart))[:, None] != np.arange(len(values))[None, :]
        usual += np.median(apart[others].reshape(len(apart), -1), axis=1).tolist()
    return usual


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
