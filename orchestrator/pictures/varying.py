"""A variation set asked for on the spot: the same as a picture set of the profile, but for its sources."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from orchestrator.errors import InputError
from orchestrator.pictures.prompt_ramps import parse_prompt
from orchestrator.profile.model import Corners, PictureSet, Profile, UsedLora


def variation_set(
    profile: Profile,
    sources: Sequence[str],
    *,
    prompt: str = "",
    changes: Sequence[str] = (),
    seeds: int = 1,
    first_seed: int = 1,
    denoise: float = 0.45,
    mask: Path | None = None,
    straighten: bool = False,
    corners: Corners = "crop",
    identity_floor: float | Literal["own"] | None = None,
    name: str = "",
) -> PictureSet:
    """The set for `sources` (as they were named) × `changes` × `seeds`.

    Without a prompt it is the one that the first source, a set of the profile, was drawn with, and its LoRA files. LoRA
    tags in `prompt` are taken out and become the set's LoRA files. Raises `InputError` for what cannot be.
    """
    text, loras = _taken_apart(prompt) if prompt else _prompt_of(profile, sources[0])
    if not text and not straighten:
        raise InputError(
            f"With which prompt {sources[0]!r} was drawn does not stand in the profile.",
            fix="Give a --prompt; {trigger} stands for the trigger word.",
        )
    try:
        return PictureSet(
            name=name or _free(profile, f"{Path(sources[0]).stem} varied"),
            prompt=text,
            loras=loras,
            source=sources[0],
            changes=tuple(changes),
            seeds_each=seeds if text else 0,
            first_seed=first_seed,
            denoising_strength=denoise,
            mask=str(mask.resolve()) if mask else "",
            straighten=straighten,
            corners=corners,
            identity_floor=identity_floor,
        )
    except ValidationError as error:
        problems = "; ".join(
            ": ".join(filter(None, (".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, "))))
            for each in error.errors()
        )
        raise InputError(f"This variation set cannot be made: {problems}.", fix="Correct the command.") from error


def _taken_apart(prompt: str) -> tuple[str, tuple[UsedLora, ...]]:
    settings = parse_prompt(prompt).settings()
    if len(settings) > 1:
        raise InputError(
            "The prompt holds a range of weights.",
            fix="`orchestrator pictures ramp` compares them; give one weight here.",
        )
    return settings[0].prompt, settings[0].loras


def _prompt_of(profile: Profile, name: str) -> tuple[str, tuple[UsedLora, ...]]:
    """What a set of the profile was drawn with; a set that was only straightened has its source's."""
    found = profile.picture_set(name)
    while found is not None and not found.prompt and found.source:
        found = profile.picture_set(found.source)
    return (found.prompt, found.loras) if found is not None else ("", ())


def _free(profile: Profile, base: str) -> str:
    """`base`, or with the first number that no set of the profile has."""
    names = (base if number == 1 else f"{base} {number}" for number in itertools.count(1))
    return next(name for name in names if profile.picture_set(name) is None)
