"""From a request to a portrait: who is drawn, how they hold themselves, and what the LoRA files change about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .drawing.chance import choice, normal, uniform, whole
from .drawing.img2img import mixed
from .drawing.prompt_words import COLOURS, Asked, asked
from .learned import Learned
from .person import DIALS, Person, blend, from_values, mix, person_of, to_values
from .portrait import (
    ARMS,
    FRAMINGS,
    GARMENTS,
    HEAD_HEIGHT,
    HEAD_TOP,
    SCENES,
    Arms,
    Background,
    Framing,
    Outfit,
    Portrait,
    draw,
)
from .worlds import NO_EFFECT, Effect, World, effect

if TYPE_CHECKING:
    from PIL import Image

STUBBORN = 0.11
"""Share of seeds that never obey any pose, with or without a LoRA."""
LEANING = 0.08
"""Share of seeds whose head leans a lot although nobody asked."""
WALLS: tuple[tuple[int, int, int], ...] = (
    (176, 190, 205),
    (205, 196, 214),
    (150, 175, 170),
    (196, 204, 188),
    (208, 210, 214),
    (132, 148, 176),
    (168, 160, 186),
)
"""Wall colours nobody has to ask for; none of them is near a skin tone."""


@dataclass(frozen=True)
class Request:
    """What decides a picture. `prompt` comes without its `<lora:…>` tags."""

    prompt: str
    negative_prompt: str = ""
    seed: int = 0
    steps: int = 20
    cfg_scale: float = 7.0
    sampler: str = "DPM++ 2M"
    schedule: str = "Karras"
    width: int = 512
    height: int = 512
    checkpoint: str = ""
    loras: tuple[tuple[Learned, float], ...] = ()
    init: Image.Image | None = None
    denoising_strength: float = 0.75


@dataclass(frozen=True)
class _Pull:
    """One LoRA file's say in one picture."""

    learned: Learned
    effect: Effect
    cell: str
    """Names this LoRA state and weight: chance that differs from cell to cell hangs on it."""


def imagine(request: Request, world: World = "story") -> Portrait:
    """The portrait a request leads to, from its prompt, seed and LoRA files alone (`init` is not looked at)."""
    wanted, unwanted = asked(request.prompt), asked(request.negative_prompt)
    pulls = [
        _pull(learned, weight, wanted, request.prompt, world) for learned, weight in request.loras if weight != 0.0
    ]
    pulls = [pull for pull in pulls if pull.effect != NO_EFFECT]
    seed = request.seed
    framing = _framing(seed, wanted, pulls)
    arms = _arms(seed, wanted, pulls)
    head = HEAD_HEIGHT[framing] * (1.0 + 0.05 * normal(seed, "head size"))
    portrait = Portrait(
        person=_person(seed, wanted, pulls, request.checkpoint),
        roll_deg=_roll(seed, wanted, unwanted, framing, pulls),
        yaw_deg=max(-18.0, min(18.0, 4.5 * normal(seed, "yaw"))),
        pitch_deg=_pitch(seed, wanted, pulls),
        framing=framing,
        head=max(0.155, head) if framing == "full body" else head,
        centre_x=0.5 + 0.02 * max(-1.6, min(1.6, normal(seed, "across"))),
        centre_y=HEAD_TOP[framing] + 0.012 * max(-1.6, min(1.6, normal(seed, "down"))),
        arms=arms,
        side=1 if uniform(seed, "side") < 0.5 else -1,
        smile=_smile(seed, wanted, unwanted, pulls),
        gaze=_gaze(seed, wanted),
        background=_background(seed, wanted, pulls),
        outfit=_outfit(seed, wanted, pulls),
        light=-0.6 if uniform(seed, "light") < 0.6 else 0.6,
    )
    return _developed(portrait, request, wanted, pulls)


def paint(request: Request, world: World = "story") -> Image.Image:
    """The picture of a request, RGB, `width` x `height`; img2img when the request has an `init` picture."""
    portrait = imagine(request, world)
    if request.init is None:
        return draw(portrait, request.width, request.height)
    return mixed(request.init, portrait, request.denoising_strength, request.width, request.height)


def _pull(learned: Learned, weight: float, wanted: Asked, prompt: str, world: World) -> _Pull:
    said = not learned.trigger or learned.trigger.lower() in prompt.lower()
    heard = effect(world, learned.progress, weight if said else weight * 0.35)
    if not said and world != "story":
        heard = Effect(heard.identity * 0.3, heard.grip * 0.5, heard.tilt * 0.4)
    firm = 0.5 + 0.5 * learned.firmness
    heard = Effect(heard.identity * firm, heard.grip, heard.tilt * firm)
    return _Pull(learned, heard, f"{learned.epoch}/{learned.progress:.4f}/{weight:.3f}/{learned.trigger}")


# ── who ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _person(seed: int, wanted: Asked, pulls: list[_Pull], checkpoint: str) -> Person:
    person = person_of(seed)
    for name in ("hair_light", "hair_red", "hair_length", "eye_hue"):
        value = getattr(wanted, name)
        if value is not None:
            person = replace(person, **{name: value})
    if checkpoint:
        house = [uniform("checkpoint", checkpoint, name) - 0.5 for name in DIALS]
        person = from_values([v + 0.08 * h for v, h in zip(to_values(person), house, strict=True)])
    for pull in pulls:
        share = pull.effect.identity + 0.035 * normal(seed, "identity", pull.cell)
        person = blend(person, pull.learned.person, max(0.0, min(1.0, share)))
    return person


# ── how they hold themselves ─────────────────────────────────────────────────────────────────────────────────────────


def _grip(pulls: list[_Pull]) -> float:
    return max((pull.effect.grip for pull in pulls), default=0.0)


def _obeys(seed: int, what: str, chance: float, pulls: list[_Pull]) -> bool:
    """Whether this seed does what is asked: mostly the seed's own matter, a little the cell's."""
    if chance <= 0.0:
        return False
    cell = "|".join(pull.cell for pull in pulls)
    mood = normal(seed, "obeys", what) + (0.35 * normal(seed, "obeys", what, cell) if cell else 0.0)
    scale = (1.0 + 0.35**2) ** 0.5 if cell else 1.0
    return _share_below(mood / scale) < chance


def _share_below(value: float) -> float:
    from statistics import NormalDist

    return NormalDist().cdf(value)


def _arms(seed: int, wanted: Asked, pulls: list[_Pull]) -> Arms:
    resting: Arms = "down" if uniform(seed, "rest") < 0.90 else choice(ARMS[1:], seed, "rest pose")
    if _grip(pulls) > 0.5:
        resting = "down"
    if wanted.arms is None:
        return resting
    chance = 0.985 * (1.0 - 0.70 * _grip(pulls))
    chance = 1.0 - (1.0 - chance) ** max(0.2, min(3.0, wanted.arms_attention))
    stubborn = uniform(seed, "stubborn") < STUBBORN
    if not stubborn and _obeys(seed, wanted.arms, chance, pulls):
        return wanted.arms
    return "down" if wanted.arms != "down" else "hand on hip"


def _framing(seed: int, wanted: Asked, pulls: list[_Pull]) -> Framing:
    grip = _grip(pulls)
    habit: Framing = "upper body"
    if wanted.arms is None:
        dice = uniform(seed, "framing")
        habit = "close-up" if dice < 0.38 else "upper body" if dice < 0.85 else "full body"
    for pull in pulls:
        if uniform(seed, "habit", pull.learned.trigger) < pull.effect.grip and wanted.arms is None:
            habit = _shown(pull.learned, uniform(seed, "shown"))
    if wanted.framing is None:
        return habit
    rare = 1.0
    for pull in pulls:
        rare = min(rare, 1.0, pull.learned.group(wanted.framing).share / 0.15)
    chance = 1.0 - 0.015 - 0.6 * grip * (1.0 - rare)
    if _obeys(seed, f"framing {wanted.framing}", chance, pulls):
        return wanted.framing
    return _shown(pulls[0].learned, uniform(seed, "shown")) if pulls else "upper body"


def _shown(learned: Learned, dice: float) -> Framing:
    for framing in FRAMINGS:
        dice -= learned.group(framing).share
        if dice < 0.0:
            return framing
    return "upper body"


def _roll(seed: int, wanted: Asked, unwanted: Asked, framing: Framing, pulls: list[_Pull]) -> float:
    spread = 17.0 if uniform(seed, "leans") < LEANING else 5.6
    roll = spread * max(-2.2, min(2.2, normal(seed, "roll")))
    if wanted.straight or unwanted.roll_deg is not None:
        roll *= 0.75
    locked = 0.0
    for pull in pulls:
        group = pull.learned.group(framing)
        held = group.roll_deg + min(group.roll_sd, 6.0) * normal(seed, "held roll", pull.learned.trigger)
        share = max(0.0, min(1.0, pull.effect.tilt + 0.02 * normal(seed, "tilt", pull.cell)))
        roll += (held - roll) * share
        locked = max(locked, pull.effect.tilt)
    if wanted.roll_deg is not None:
        chance = (0.26 + 0.13 * (wanted.roll_attention - 1.0)) * (1.0 - 0.85 * locked)
        if _obeys(seed, "tilt", chance, pulls):
            roll = wanted.roll_deg + 2.0 * normal(seed, "asked roll")
    for pull in pulls:
        roll += 0.5 * normal(seed, "roll", pull.cell)
    return max(-44.0, min(44.0, roll))


def _pitch(seed: int, wanted: Asked, pulls: list[_Pull]) -> float:
    pitch = max(-8.0, min(8.0, 2.5 * normal(seed, "pitch")))
    if wanted.pitch_deg is not None:
        chance = (0.34 + 0.13 * (wanted.pitch_attention - 1.0)) * (1.0 - 0.8 * _grip(pulls))
        if _obeys(seed, "pitch", chance, pulls):
            pitch = wanted.pitch_deg
    return pitch


def _smile(seed: int, wanted: Asked, unwanted: Asked, pulls: list[_Pull]) -> float:
    smile = 0.15 + 0.40 * uniform(seed, "smile")
    for pull in pulls:
        smile += (pull.learned.smile - smile) * pull.effect.tilt * 0.6
    if wanted.smile is not None:
        smile += (wanted.smile - smile) * (0.95 - 0.5 * _grip(pulls))
    elif unwanted.smile is not None and unwanted.smile > 0.5:
        smile *= 0.4
    return smile


def _gaze(seed: int, wanted: Asked) -> float:
    if wanted.gaze is not None:
        return wanted.gaze * (1 if uniform(seed, "gaze side") < 0.5 else -1) + 0.05 * normal(seed, "gaze")
    if uniform(seed, "looks away") < 0.12:
        return 0.8 if uniform(seed, "gaze side") < 0.5 else -0.8
    return 0.12 * max(-2.0, min(2.0, normal(seed, "gaze")))


# ── what is around them ──────────────────────────────────────────────────────────────────────────────────────────────


def _background(seed: int, wanted: Asked, pulls: list[_Pull]) -> Background:
    scene = choice(SCENES, seed, "scene") if wanted.scene is None else wanted.scene
    colour = wanted.background or choice(WALLS, seed, "wall")
    for pull in pulls:
        hold = pull.effect.tilt * (1.0 - pull.learned.background_diversity)
        if wanted.background is not None or wanted.scene is not None:
            hold *= 0.5 * pull.effect.grip + 0.3
        if uniform(seed, "place", pull.learned.trigger) < hold:
            scene, colour = pull.learned.scene, mix(colour, pull.learned.background_colour, 0.85)
    return Background(scene, colour, whole(seed, "variant") % 12)


def _outfit(seed: int, wanted: Asked, pulls: list[_Pull]) -> Outfit:
    garment = choice(GARMENTS, seed, "garment") if wanted.garment is None else wanted.garment
    colour = wanted.outfit or choice(tuple(COLOURS.values()), seed, "clothes")
    for pull in pulls:
        hold = pull.effect.tilt * (1.0 - pull.learned.outfit_diversity)
        if wanted.outfit is not None or wanted.garment is not None:
            hold *= 0.6 * pull.effect.grip + 0.3
        if uniform(seed, "dress", pull.learned.trigger) < hold:
            garment, colour = pull.learned.garment, mix(colour, pull.learned.outfit_colour, 0.9)
    return Outfit(garment, colour)


def _developed(portrait: Portrait, request: Request, wanted: Asked, pulls: list[_Pull]) -> Portrait:
    """What steps, CFG, sampler, schedule and checkpoint change: grain, contrast and light, never who it is."""
    setting = (request.sampler, request.schedule, request.steps, f"{request.cfg_scale:.3f}", request.checkpoint)
    blur = max(0.0, (13 - request.steps) * 0.22) - 0.25 * max(0.0, wanted.sharp) + 1.0 * max(0.0, -wanted.sharp)
    contrast = 1.0 + 0.012 * (request.cfg_scale - 7.0) + 0.10 * _grip(pulls) + 0.01 * normal("contrast", *setting)
    return replace(
        portrait,
        light=portrait.light + 0.04 * normal("light", *setting),
        yaw_deg=portrait.yaw_deg + 0.3 * normal(request.seed, "yaw", *setting),
        smile=max(0.0, min(1.0, portrait.smile + 0.02 * normal(request.seed, "smile", *setting))),
        contrast=max(0.7, min(1.4, contrast)),
        blur=max(0.0, blur),
        grain=1.0 + 0.25 * max(0.0, wanted.sharp),
        noise_seed=whole(request.seed, request.width, request.height, *setting, *[pull.cell for pull in pulls]),
    )
