"""How to get to groups the trainer sees equally often: what to leave out, straighten, make, and how often to repeat.

Pure: it proposes. `dataset build --balance` does what needs neither a graphics card nor a person: it leaves out and
repeats.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from orchestrator.dataset.about_faces import somebody_else
from orchestrator.dataset.about_files import blurred, clusters, sharpness
from orchestrator.dataset.about_poses import locked_lean
from orchestrator.dataset.model import DatasetPicture
from orchestrator.dataset.view import GroupView, Measured, many
from orchestrator.files import file_stem
from orchestrator.profile.model import Group, Limits, Profile

#: No group is thinned below this many pictures: fewer teach their accidents.
_KEEP_AT_LEAST = 3
#: Repeating a picture more often than this relative to the others teaches the picture, not the subject.
_MOST_REPEATED = 4
#: Multiples of the smallest workable numbers of repeats that are tried.
_TRIED = 6


@dataclass(frozen=True)
class LeftOut:
    """A picture that should not be trained on, and why."""

    picture: Measured
    why: str


@dataclass(frozen=True)
class Step:
    """One thing to do. `command` is what does it, empty where `dataset build --balance` or an editor does; `then` is
    what brings the outcome into the dataset.
    """

    kind: Literal["leave out", "straighten", "make", "repeat"]
    group: str
    what: str
    why: str
    command: str = ""
    pictures: tuple[str, ...] = ()
    then: str = ""


@dataclass(frozen=True)
class Balance:
    """A proposal. `repeats` are those of each group that follow from it; `ratio` is how many times as often the group
    seen most is then seen as the one seen least, now and after.
    """

    left_out: tuple[LeftOut, ...]
    repeats: dict[str, int]
    steps: tuple[Step, ...]
    ratio_now: float
    ratio_after: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "steps": [asdict(step) for step in self.steps],
            "repeats": self.repeats,
            "ratio_now": self.ratio_now,
            "ratio_after": self.ratio_after,
        }


def propose(views: Sequence[GroupView], limits: Limits) -> Balance:
    """What would balance these groups, each meant to be seen equally often per epoch."""
    views = [view for view in views if not view.group.regularisation]
    left_out = list(_left_out(views, limits))
    gone = {id(one.picture) for one in left_out}
    kept = {view.name: sum(id(one) not in gone for one in view.pictures) for view in views if view.pictures}
    wanted = _repeats(kept, limits.imbalance)
    groups = {view.name: view.group for view in views}
    steps = [
        *_leaving_out(views, left_out),
        *_straightening(views, limits),
        *_making(views, kept),
        *_repeating(kept, groups, wanted),
    ]
    now = {view.name: view.seen for view in views if view.pictures}
    after = {name: count * wanted.get(name, 1) for name, count in kept.items()}
    return Balance(tuple(left_out), wanted, tuple(steps), _ratio(now.values()), _ratio(after.values()))


def balanced(
    profile: Profile, pictures: Sequence[DatasetPicture], proposal: Balance
) -> tuple[Profile, list[DatasetPicture]]:
    """`profile` with the proposed repeats, and those of `pictures` that are not left out."""
    gone = {one.picture.picture.path for one in proposal.left_out}
    groups = tuple(
        group.model_copy(update={"repeats": proposal.repeats.get(group.name, group.repeats)})
        for group in profile.dataset.groups
    )
    dataset = profile.dataset.model_copy(update={"groups": groups})
    return profile.model_copy(update={"dataset": dataset}), [one for one in pictures if one.path not in gone]


def _left_out(views: Sequence[GroupView], limits: Limits) -> Iterator[LeftOut]:
    """What is unreadable, a copy, much less sharp, or somebody else; never so many that a group dries out."""
    room = {view.name: len(view.pictures) - _KEEP_AT_LEAST for view in views}
    said: set[int] = set()

    def leave(one: Measured, why: str, *, always: bool = False) -> Iterator[LeftOut]:
        if id(one) in said or (room[one.picture.group] <= 0 and not always):
            return
        said.add(id(one))
        room[one.picture.group] -= 1
        yield LeftOut(one, why)

    for view in views:
        for one in view.pictures:
            if not one.measurement.readable:
                yield from leave(one, "it cannot be read as a picture", always=True)
    for ones, _, mirrored in clusters([one for view in views for one in view.readable], limits.duplicate_bits):
        best = max(ones, key=lambda one: (sharpness(one.measurement), one.measurement.width * one.measurement.height))
        for one in ones:
            if one is not best:
                yield from leave(
                    one, f"a copy{' or mirror image' if mirrored else ''} of {best.name}, which is sharper"
                )
    for view in views:
        for one, times in blurred(view):
            yield from leave(one, f"{times:.0f} times less sharp than the group's median")
        for one, distance in somebody_else(view)[0]:
            yield from leave(one, f"its face is far from the others of the group ({distance:.2f})")


def _leaving_out(views: Sequence[GroupView], left_out: Sequence[LeftOut]) -> Iterator[Step]:
    for view in views:
        ours = [one for one in left_out if one.picture.picture.group == view.name]
        for why in dict.fromkeys(one.why for one in ours):
            names = tuple(one.picture.name for one in ours if one.why == why)
            yield Step("leave out", view.name, ", ".join(names), why, pictures=names)


def _straightening(views: Sequence[GroupView], limits: Limits) -> Iterator[Step]:
    for view in views:
        lean = locked_lean(view, limits)
        if lean is None:
            continue
        leaning = [one for one, face in view.with_face if abs(face.roll_deg) > limits.mean_roll / 2]
        for source in dict.fromkeys(one.picture.source for one in leaning):
            ours = [one for one in leaning if one.picture.source == source]
            files = " ".join(_quoted(str(one.picture.path)) for one in ours)
            into = _quoted(f"straight/{file_stem(view.name)}")
            yield Step(
                "straighten",
                view.name,
                f"{many(len(ours), 'picture')}, {lean:+.1f}° on average in the group",
                "the lean is locked in otherwise",
                f"orchestrator pictures straighten {files} --into {into}",
                tuple(one.name for one in ours),
                _then(view, source, into),
            )


def _then(view: GroupView, source: str, into: str) -> str:
    if source == "imported":
        return f"orchestrator dataset import {into} --group {_quoted(view.name)} --instead"
    if source in view.group.sets:
        return (
            f"look at {into}; in lora.toml the same is a set with source = {json.dumps(source, ensure_ascii=False)} "
            "and straighten = true, which the group takes in the place of that set"
        )
    return f"look at {into}, and name it in the group's `folders` in the place of {source}"


def _making(views: Sequence[GroupView], kept: dict[str, int]) -> Iterator[Step]:
    most = max(kept.values(), default=0)
    for view in views:
        count = kept.get(view.name, 0)
        missing = math.ceil(most / _MOST_REPEATED) - count
        if view.name not in kept or missing <= 0:
            continue
        sets = view.group.sets
        command, then = (f"orchestrator pictures make {_quoted(sets[-1])}", "") if sets else _varying(view)
        yield Step(
            "make",
            view.name,
            many(missing, "more picture") + (f" (raise `count` of the set {sets[-1]!r} by {missing})" if sets else ""),
            f"{count} would have to be repeated more than {_MOST_REPEATED} times to stand beside {most}",
            command,
            then=then,
        )


def _varying(view: GroupView) -> tuple[str, str]:
    """How more pictures are made of a group's own ones, with a prompt to be completed."""
    parts = [part.strip() for part in view.group.caption.split(",") if "{" not in part]
    prompt, into = ", ".join(["…", *parts]), f"{view.name} varied"
    folder = _quoted(str(view.pictures[0].picture.path.parent))
    return (
        f'orchestrator pictures vary {folder} --prompt "{prompt}" --change smile --change "other light" --floor own '
        f"--into {_quoted(into)}",
        f"orchestrator dataset import {_quoted(f'pictures/{into}')} --group {_quoted(view.name)}",
    )


def _repeating(kept: dict[str, int], groups: dict[str, Group], wanted: dict[str, int]) -> Iterator[Step]:
    for name, repeats in wanted.items():
        if repeats != groups[name].repeats:
            yield Step(
                "repeat",
                name,
                f"repeats = {repeats} instead of {groups[name].repeats}",
                f"{kept[name]} × {repeats} = {kept[name] * repeats} times per epoch",
            )


def _repeats(kept: dict[str, int], imbalance: float) -> dict[str, int]:
    """The smallest numbers of repeats that bring the groups within `imbalance`; else those that come nearest."""
    counts = {name: count for name, count in kept.items() if count}
    if not counts:
        return {}
    best: dict[str, int] = {}
    nearest = math.inf
    for times in range(1, _TRIED + 1):
        target = times * max(counts.values())
        tried = {name: max(1, min(times * _MOST_REPEATED, round(target / count))) for name, count in counts.items()}
        ratio = _ratio(count * tried[name] for name, count in counts.items())
        if ratio < nearest - 1e-9:
            best, nearest = tried, ratio
        if ratio <= imbalance:
            return tried
    return best


def _ratio(seen: Any) -> float:
    values = [value for value in seen if value]
    return max(values) / min(values) if values else 1.0


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text else text
