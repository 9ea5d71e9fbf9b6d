"""Head angles, gaze and expression that the pictures share: what the LoRA learns as part of the face."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.dataset.estimates import Estimate, mean_of, share_of
from orchestrator.dataset.model import Finding
from orchestrator.dataset.view import ASIDE_FROM, SMILING_FROM, GroupView, Measured, named, names
from orchestrator.profile.model import Limits

#: A single leaning head is a pose; from here on it is a habit.
HABIT_FROM = 3
# The mesh's yaw is compressed by about 0.7 and steady to ±1°: 14° measured are about 20° in truth.
_TURNED_DEG, _TURN_SPREAD_DEG = 14.0, 7.0
#: The mesh's pitch has an offset of its own, between 2° and 14° for different people; only what is clearly beyond that
#: and the same in all pictures is called a habit.
_PITCH_OFFSET_DEG, _BOWED_DEG, _BOW_SPREAD_DEG = 8.0, 16.0, 6.0
#: From this share of the faces on, looking aside or smiling is what the LoRA learns; fewer faces tell nothing.
_SHARED_FROM, _ALL_FROM, _JUDGED_FROM = 0.8, 0.9, 6


def of_group(view: GroupView, limits: Limits) -> Iterator[Finding]:
    """The findings of one group."""
    yield from _lean(view, limits)
    yield from _turn(view)
    yield from _bow(view)
    yield from _gaze(view)
    yield from _smile(view)


def locked_lean(view: GroupView, limits: Limits) -> float | None:
    """The mean lean in degrees that the group would lock in (+ = clockwise); None where it would not."""
    mean = mean_of([face.roll_deg for _, face in view.with_face])
    return mean.value if mean is not None and _is_habit(mean, limits.mean_roll, limits.roll_spread) else None


def leaning(view: GroupView, limits: Limits) -> list[Measured]:
    """Those whose head leans to the side of the mean, and by more than half of what is tolerated of it."""
    mean = mean_of([face.roll_deg for _, face in view.with_face])
    return [
        one
        for one, face in view.with_face
        if mean is not None and face.roll_deg * mean.value > 0 and abs(face.roll_deg) > limits.mean_roll / 2
    ]


def _is_habit(mean: Estimate, limit: float, spread: float) -> bool:
    """Beyond the limit, much the same in all pictures, and not by chance."""
    return mean.count >= HABIT_FROM and abs(mean.value) > limit and mean.sd < spread and mean.excludes_zero


def _lean(view: GroupView, limits: Limits) -> Iterator[Finding]:
    mean = mean_of([face.roll_deg for _, face in view.with_face])
    if mean is None or mean.count < HABIT_FROM or abs(mean.value) <= limits.mean_roll:
        return
    ones = leaning(view, limits)
    side = "clockwise" if mean.value > 0 else "anticlockwise"
    what = f"{len(ones)} of {mean.count} heads lean {side}, {mean.value:+.1f}° on average (sd {mean.sd:.1f}°)"
    fix = (
        "straighten them (`orchestrator dataset balance` prints the command; in lora.toml it is straighten = true in a "
        f"set), or add {view.name} pictures with other angles"
    )
    if _is_habit(mean, limits.mean_roll, limits.roll_spread):
        level, means = "locked in", "the LoRA will learn the lean as part of the face, and no prompt will take it out"
    elif mean.excludes_zero:
        level = "warning"
        means = "the LoRA will prefer this lean; other angles stay possible, for the pictures show some"
    else:
        level, means = "warning", "it may be chance; what these pictures share by chance is learned all the same"
    yield Finding(level, "lean", view.name, what, means, fix, names(ones), str(mean), mean)  # type: ignore[arg-type]


def quoted(text: str) -> str:
    """As a shell takes it."""
    return f'"{text}"' if " " in text else text


def _turn(view: GroupView) -> Iterator[Finding]:
    mean = mean_of([face.yaw_deg for _, face in view.with_face])
    if mean is None or not _is_habit(mean, _TURNED_DEG, _TURN_SPREAD_DEG):
        return
    side = "left" if mean.value > 0 else "right"
    yield Finding(
        "locked in",
        "turn",
        view.name,
        f"{mean.count} faces are turned to screen {side}: about {abs(mean.value):.0f}° on average (sd {mean.sd:.1f}°)",
        "the LoRA will turn the face this way even when it is asked to look at the viewer",
        "mirror half of the pictures, or add some that look at the viewer or to the other side",
        sure=str(mean),
        estimate=mean,
    )


def _bow(view: GroupView) -> Iterator[Finding]:
    mean = mean_of([face.pitch_deg - _PITCH_OFFSET_DEG for _, face in view.with_face])
    if mean is None or mean.count < _JUDGED_FROM or not _is_habit(mean, _BOWED_DEG, _BOW_SPREAD_DEG):
        return
    what = "bowed" if mean.value > 0 else "raised"
    yield Finding(
        "locked in",
        "bow",
        view.name,
        f"{mean.count} heads are {what}: about {abs(mean.value):.0f}° on average (sd {mean.sd:.1f}°)",
        "the LoRA will hold the head this way in every picture",
        "add pictures with a level head, about as many",
        sure=f"{mean}; the face mesh tells this angle only roughly",
        estimate=mean,
    )


def _gaze(view: GroupView) -> Iterator[Finding]:
    looked = [(one, face.gaze) for one, face in view.with_face if face.gaze is not None]
    for side, sign in (("left", -1), ("right", 1)):
        aside = [one for one, gaze in looked if gaze * sign >= ASIDE_FROM]
        share = share_of(len(aside), len(looked))
        if share is None or share.count < _JUDGED_FROM or share.value < _SHARED_FROM:
            continue
        yield Finding(
            "locked in",
            "gaze",
            view.name,
            f"{len(aside)} of {len(looked)} faces look to screen {side}",
            "the LoRA will look there too, whoever asks it to look at the viewer",
            "add pictures that look at the viewer, or name it (`orchestrator dataset caption add "
            f'"looking to the side" "{view.name}/*"`)',
            names(aside),
            str(share),
            share,
        )


def _smile(view: GroupView) -> Iterator[Finding]:
    looked = [(one, face.smile) for one, face in view.with_face if face.smile is not None]
    smiling = [one for one, smile in looked if smile >= SMILING_FROM]
    share = share_of(len(smiling), len(looked))
    if share is None or share.count < _JUDGED_FROM or share.value < _ALL_FROM:
        return
    unnamed = [one for one in smiling if "smil" not in one.picture.caption.lower()]
    if not unnamed:
        return
    yield Finding(
        "warning",
        "smile",
        view.name,
        f"{len(smiling)} of {len(looked)} faces smile, and {len(unnamed)} captions do not say so: {named(unnamed)}",
        "the LoRA will smile unasked, and a serious face will take a strong prompt",
        f'name it (`orchestrator dataset caption add smile "{view.name}/*"`), or add pictures with a serious face',
        names(unnamed),
        str(share),
        share,
    )
