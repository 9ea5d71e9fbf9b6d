"""Who is in the picture: a person is a set of continuous dials, so two people can be blended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from .drawing.chance import uniform

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Person:
    """Identity as dials. Every dial lies in 0 … 1; 0.5 is ordinary."""

    skin: float = 0.3
    """0 light … 1 dark."""
    warmth: float = 0.5
    """Undertone: 0 rosy … 1 golden."""
    hair_light: float = 0.3
    """0 black … 1 blond."""
    hair_red: float = 0.3
    """0 ash … 1 copper."""
    hair_length: float = 0.5
    """0 short … 1 over the shoulders."""
    hair_volume: float = 0.5
    fringe: float = 0.3
    """0 open forehead … 1 full fringe."""
    parting: float = 0.3
    """Where the hair parts: 0 screen left … 1 screen right."""
    eye_hue: float = 0.3
    """0 brown … 0.5 green … 1 blue."""
    face_width: float = 0.5
    jaw: float = 0.5
    """0 pointed … 1 square."""
    chin: float = 0.5
    """0 short … 1 long."""
    eye_spacing: float = 0.5
    eye_size: float = 0.5
    eye_open: float = 0.5
    eye_tilt: float = 0.5
    """0 outer corners low … 1 outer corners high."""
    brow_height: float = 0.5
    brow_weight: float = 0.5
    brow_arch: float = 0.5
    nose_length: float = 0.5
    nose_width: float = 0.5
    mouth_height: float = 0.5
    mouth_width: float = 0.5
    lips: float = 0.5
    """0 thin … 1 full."""
    lip_red: float = 0.5
    """0 pale … 1 red."""


DIALS: tuple[str, ...] = tuple(field.name for field in fields(Person))


def to_values(person: Person) -> tuple[float, ...]:
    """The dials in the order of `DIALS`."""
    return tuple(float(getattr(person, name)) for name in DIALS)


def from_values(values: Sequence[float]) -> Person:
    """The person with these dials, in the order of `DIALS`; each is brought into 0 … 1.

    Raises ValueError when there are not as many values as dials.
    """
    if len(values) != len(DIALS):
        raise ValueError(f"a person has {len(DIALS)} dials, {len(values)} values were given")
    return Person(**{name: min(1.0, max(0.0, float(value))) for name, value in zip(DIALS, values, strict=True)})


def blend(one: Person, other: Person, share: float) -> Person:
    """The person between the two: `share` 0 is `one`, 1 is `other`."""
    pairs = zip(to_values(one), to_values(other), strict=True)
    return from_values([a + (b - a) * share for a, b in pairs])


def person_of(seed: int) -> Person:
    """The person a seed draws when nothing else decides: somebody else for every seed."""
    # Pushed away from the middle: strangers have to differ clearly, for the eye and for a face embedding.
    return from_values([_spread(uniform("person", seed, name)) for name in DIALS])


def mean_person(people: Sequence[Person]) -> Person:
    """The dial-wise mean. Raises ValueError for an empty sequence."""
    if not people:
        raise ValueError("no people to take the mean of")
    columns = zip(*(to_values(person) for person in people), strict=True)
    return from_values([sum(column) / len(people) for column in columns])


def _spread(value: float) -> float:
    centred = 2.0 * value - 1.0
    size: float = abs(centred) ** 0.7
    return 0.5 + (0.5 if centred >= 0 else -0.5) * size


def skin_colour(person: Person) -> RGB:
    """Lit skin, 8-bit RGB."""
    return _corners(person.skin, person.warmth, (251, 226, 216), (253, 223, 192), (136, 92, 78), (146, 94, 56))


def hair_colour(person: Person) -> RGB:
    """Lit hair, 8-bit RGB."""
    return _corners(person.hair_light, person.hair_red, (44, 40, 48), (106, 40, 28), (236, 216, 168), (226, 128, 62))


def eye_colour(person: Person) -> RGB:
    """The iris, 8-bit RGB."""
    brown, green, blue = (112, 70, 40), (98, 136, 80), (72, 134, 190)
    if person.eye_hue < 0.5:
        return mix(brown, green, person.eye_hue * 2.0)
    return mix(green, blue, person.eye_hue * 2.0 - 1.0)


def lip_colour(person: Person) -> RGB:
    """The lips, 8-bit RGB: between a rosy version of the skin and red."""
    red, green, blue = skin_colour(person)
    pale = (int(red * 0.90), int(green * 0.70), int(blue * 0.70))
    return mix(pale, (186, 44, 62), 0.15 + 0.7 * person.lip_red)


def mix(one: RGB, other: RGB, share: float) -> RGB:
    """The colour between two colours; `share` 0 … 1."""
    return (
        round(one[0] + (other[0] - one[0]) * share),
        round(one[1] + (other[1] - one[1]) * share),
        round(one[2] + (other[2] - one[2]) * share),
    )


def _corners(down: float, across: float, a: RGB, b: RGB, c: RGB, d: RGB) -> RGB:
    return mix(mix(a, b, across), mix(c, d, across), down)
