"""One group with its measurements, as the checks look at it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.dataset.estimates import mean_of, share_of
from orchestrator.dataset.model import Angle, DatasetPicture, GroupRow
from orchestrator.profile.model import Group
from orchestrator.vision.model import Face, Measurement

_MOST_NAMED = 4
#: `Face.smile` from here on is one; below the second figure the mouth is serious.
SMILING_FROM, SERIOUS_BELOW = 0.12, 0.06
#: `Face.gaze` from here on looks aside: fully aside measures 0.15 and more, to the viewer 0.07 and less.
ASIDE_FROM = 0.11


@dataclass(frozen=True)
class Measured:
    """A picture and what was measured on it."""

    picture: DatasetPicture
    measurement: Measurement

    @property
    def name(self) -> str:
        """The file's name, with its set or folder where that says more."""
        # Imported pictures lie by their group, and several groups may have some.
        source = self.picture.group if self.picture.source == "imported" else self.picture.source
        return f"{source}/{self.picture.path.name}"


@dataclass(frozen=True)
class GroupView:
    """The pictures of one group."""

    group: Group
    pictures: tuple[Measured, ...]

    @property
    def name(self) -> str:
        """The group's name."""
        return self.group.name

    @property
    def readable(self) -> tuple[Measured, ...]:
        """Those whose file is a picture."""
        return tuple(one for one in self.pictures if one.measurement.readable)

    @property
    def looked(self) -> tuple[Measured, ...]:
        """Those in which a face was looked for."""
        return tuple(one for one in self.pictures if one.measurement.looked)

    @property
    def with_face(self) -> tuple[tuple[Measured, Face], ...]:
        """Those in which one was found, with the face."""
        return tuple((one, one.measurement.face) for one in self.pictures if one.measurement.face is not None)

    @property
    def seen(self) -> int:
        """How often the trainer sees the group per epoch."""
        return len(self.pictures) * self.group.repeats

    def row(self) -> GroupRow:
        """The group's line of the table."""
        return row(self.name, self.pictures, self.group.repeats, self.seen)


def row(name: str, pictures: Sequence[Measured], repeats: int, seen: int) -> GroupRow:
    """A line of the table over any pictures."""
    from orchestrator.dataset import sameness

    faces = [one.measurement.face for one in pictures if one.measurement.face is not None]
    roll_mean, roll_sd = mean_and_sd([face.roll_deg for face in faces])
    yaw_mean, yaw_sd = mean_and_sd([face.yaw_deg for face in faces])
    readable = [one.measurement for one in pictures if one.measurement.readable]
    sides = [min(one.width, one.height) for one in readable]
    angles = {
        what: found
        for what, values in (
            ("roll", [face.roll_deg for face in faces]),
            ("yaw", [face.yaw_deg for face in faces]),
            ("pitch", [face.pitch_deg for face in faces]),
        )
        if (found := _angle(values)) is not None
    }
    smiles = [face.smile >= SMILING_FROM for face in faces if face.smile is not None]
    gazes = [abs(face.gaze) >= ASIDE_FROM for face in faces if face.gaze is not None]
    backgrounds, outfits = sameness.backgrounds(readable), sameness.outfits(readable)
    return GroupRow(
        group=name,
        count=len(pictures),
        repeats=repeats,
        seen=seen,
        looked=sum(one.measurement.looked for one in pictures),
        faces=len(faces),
        roll_mean=roll_mean,
        roll_sd=roll_sd,
        yaw_mean=yaw_mean,
        yaw_sd=yaw_sd,
        framings=dict(Counter(face.framing for face in faces)),
        min_side=min(sides) if sides else None,
        angles=angles,
        smiling=share_of(sum(smiles), len(smiles)),
        looking_aside=share_of(sum(gazes), len(gazes)),
        one_background=share_of(len(backgrounds.largest), backgrounds.looked),
        one_outfit=share_of(len(outfits.largest), outfits.looked),
    )


def _angle(values: Sequence[float]) -> Angle | None:
    mean = mean_of(values)
    if mean is None:
        return None
    positive = sum(value > 0 for value in values)
    one_side = share_of(max(positive, len(values) - positive), len(values))
    assert one_side is not None
    return Angle(mean, statistics.median(values), one_side)


def views(
    pictures: Sequence[DatasetPicture], measurements: Sequence[Measurement], groups: Sequence[Group]
) -> tuple[GroupView, ...]:
    """The groups in the profile's order. Raises ValueError when pictures and measurements differ in number."""
    pairs = [Measured(picture, found) for picture, found in zip(pictures, measurements, strict=True)]
    return tuple(GroupView(group, tuple(one for one in pairs if one.picture.group == group.name)) for group in groups)


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation; (None, None) of nothing, a deviation of 0 of a single value."""
    if not values:
        return None, None
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def many(count: int, one: str) -> str:
    """`1 caption`, `3 captions`."""
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def named(pictures: Sequence[Measured]) -> str:
    """Their names for a sentence: all of a few, the first of many."""
    names = [one.name for one in pictures]
    rest = len(names) - _MOST_NAMED
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:_MOST_NAMED])} and {rest} more"


def names(pictures: Sequence[Measured]) -> tuple[str, ...]:
    """Their names for a program."""
    return tuple(one.name for one in pictures)
