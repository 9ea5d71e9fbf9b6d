"""What a prompt, a seed and a LoRA lead to in the simulated worlds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sandbox.drawing.prompt_words import asked, wishes
from orchestrator.sandbox.imagine import Request, imagine, paint
from orchestrator.sandbox.learned import Learned, starter
from orchestrator.sandbox.person import to_values
from orchestrator.sandbox.portrait import Arms, Portrait
from orchestrator.sandbox.worlds import NO_EFFECT, WORLDS, World, effect

POSES: tuple[Arms, ...] = ("hand raised", "arms crossed", "hand on hip")
SEEDS = range(5000, 5080)


def lora(epoch: int, roll: float = 0.0) -> Learned:
    return starter(42, "ai_model_v4", close_up_roll_deg=roll, other_roll_deg=0.0, epoch=epoch, progress=epoch / 80)


def pose_request(seed: int, pose: str, *loras: tuple[Learned, float]) -> Request:
    return Request(prompt=f"ai_model_v4, upper body, {pose}, looking at camera", seed=seed, loras=loras)


def distance(portrait: Portrait, learned: Learned) -> float:
    pairs = zip(to_values(portrait.person), to_values(learned.person), strict=True)
    return fmean(abs(a - b) for a, b in pairs)


def share_obeying(epoch: int, weight: float, world: World = "story") -> float:
    loras = ((lora(epoch), weight),)
    return fmean(imagine(pose_request(s, p, *loras), world).arms == p for s in SEEDS for p in POSES)


def test_weight_zero_is_exactly_no_lora() -> None:
    for seed in SEEDS:
        assert imagine(pose_request(seed, "hand raised", (lora(80), 0.0))) == imagine(pose_request(seed, "hand raised"))


def test_the_same_request_gives_the_same_portrait() -> None:
    request = pose_request(1, "hand raised", (lora(40), 0.8))
    assert imagine(request) == imagine(request)
    assert imagine(request) != imagine(replace(request, seed=2))


def test_low_weight_obeys_but_is_somebody_else() -> None:
    assert share_obeying(60, 0.2) > 0.82
    far = fmean(distance(imagine(pose_request(s, "", (lora(60), 0.2))), lora(60)) for s in SEEDS)
    near = fmean(distance(imagine(pose_request(s, "", (lora(60), 0.8))), lora(60)) for s in SEEDS)
    assert far > 5 * near


def test_late_epoch_at_full_weight_keeps_the_face_and_its_own_pose() -> None:
    assert share_obeying(80, 1.0) < 0.5
    assert fmean(distance(imagine(pose_request(s, "", (lora(80), 1.0))), lora(80)) for s in SEEDS) < 0.03


def test_the_middle_is_the_best_compromise() -> None:
    def utility(epoch: int, weight: float) -> float:
        heard = effect("story", epoch / 80, weight)
        return heard.identity + share_obeying(epoch, weight)

    middle = max(utility(epoch, 0.8) for epoch in (40, 50, 60))
    for epoch, weight in ((10, 0.2), (80, 1.0), (20, 0.8), (80, 0.2), (10, 1.0), (60, 0.4)):
        assert utility(epoch, weight) < middle - 0.1, (epoch, weight)


def test_some_seeds_never_obey_whatever_is_asked() -> None:
    never = 0
    for seed in range(250):
        portraits = [imagine(pose_request(seed, f"({pose}:1.8)")) for pose in POSES]
        portraits += [imagine(pose_request(seed, pose, (lora(40), 0.6))) for pose in POSES]
        never += not any(one.arms in POSES and one.arms == pose for one, pose in zip(portraits, POSES * 2, strict=True))
    assert 0.07 < never / 250 < 0.16


def test_a_tilted_lora_locks_the_tilt() -> None:
    def rolls(*loras: tuple[Learned, float]) -> list[float]:
        request = Request(prompt="ai_model_v4, close-up, looking at camera", loras=loras)
        drawn = [imagine(replace(request, seed=seed)) for seed in SEEDS]
        return [one.roll_deg for one in drawn if one.framing == "close-up"]

    locked, free = rolls((lora(60, roll=14.0), 0.8)), rolls()
    assert 8.0 < fmean(locked) < 12.5
    assert pstdev(locked) < 3.0
    assert pstdev(free) > 4.5
    assert abs(fmean(free)) < 2.0
    assert abs(fmean(rolls((lora(60, roll=0.0), 0.8)))) < 1.5


def test_without_the_trigger_the_lora_is_weak() -> None:
    said = imagine(Request(prompt="ai_model_v4, upper body", seed=3, loras=((lora(60), 0.8),)))
    unsaid = imagine(Request(prompt="upper body", seed=3, loras=((lora(60), 0.8),)))
    assert distance(said, lora(60)) < 0.3 * distance(unsaid, lora(60))


def test_more_attention_hits_more_often() -> None:
    def hits(prompt: str, hit: Callable[[Portrait], bool]) -> float:
        return fmean(hit(imagine(Request(prompt=prompt, seed=seed))) for seed in range(250))

    up = [hits(f"close-up, (looking up:{attention})", lambda one: one.pitch_deg < -10) for attention in (1.0, 2.4)]
    assert 0.1 < up[0] < up[1] - 0.05 < 0.8


def test_equal_world_has_no_best_cell() -> None:
    heard = {effect("equal", epoch / 80, weight) for epoch in (10, 40, 80) for weight in (0.2, 0.6, 1.0)}
    assert len(heard) == 1
    rates = [share_obeying(epoch, weight, "equal") for epoch, weight in ((10, 0.2), (40, 0.8), (80, 1.0))]
    assert max(rates) - min(rates) < 0.06


def test_spike_world_has_one_best_cell() -> None:
    cells = {(e, w): effect("spike", e / 80, w) for e in range(10, 90, 10) for w in (0.2, 0.4, 0.6, 0.8, 1.0)}
    ranked = sorted(cells, key=lambda cell: cells[cell].identity - cells[cell].grip, reverse=True)
    best, second = (cells[cell].identity - cells[cell].grip for cell in ranked[:2])
    assert ranked[0] == (50, 0.8)
    assert best - second > 0.3


@pytest.mark.parametrize("world", WORLDS)
def test_no_training_or_no_weight_has_no_effect(world: World) -> None:
    assert effect(world, 0.0, 1.0) == effect(world, 1.0, 0.0) == NO_EFFECT


def test_an_unknown_world_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown world 'flat'"):
        effect("flat", 0.5, 0.5)  # type: ignore[arg-type]


def test_settings_change_pixels_but_not_the_person() -> None:
    plain = Request(prompt="close-up", seed=9, width=192, height=192)
    first, base = paint(plain).tobytes(), imagine(plain)
    for change in ({"sampler": "Euler a"}, {"steps": 28}, {"cfg_scale": 6.0}, {"schedule": "Exponential"}):
        other = replace(plain, **change)  # type: ignore[arg-type]
        assert paint(other).tobytes() != first, change
        assert imagine(other).person == base.person


def test_img2img_goes_from_the_init_picture_to_the_imagined_one() -> None:
    init = paint(Request(prompt="close-up", seed=21, width=256, height=256))
    there = Request(prompt="close-up", seed=99, width=256, height=256, init=init)
    assert paint(replace(there, denoising_strength=0.0)).tobytes() == init.tobytes()

    def far(strength: float, target: bytes) -> float:
        pixels = paint(replace(there, denoising_strength=strength)).tobytes()
        return fmean(abs(a - b) for a, b in zip(pixels[::7], target[::7], strict=True))

    steps = [far(strength, init.tobytes()) for strength in (0.1, 0.4, 0.6, 0.9)]
    assert steps == sorted(steps)
    assert far(1.0, paint(replace(there, init=None)).tobytes()) < 3.0


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("a, (b:1.4)", [("a", 1.0), ("b", 1.4)]),
        ("((b))", [("b", pytest.approx(1.21))]),
        ("[b], c", [("b", pytest.approx(1 / 1.1)), ("c", 1.0)]),
        ("(looking up:2.4)\nx", [("looking up", 2.4), ("x", 1.0)]),
        (r"fate \(series\)", [("fate (series)", 1.0)]),
        ("", []),
    ],
)
def test_attention_is_read_as_a1111_writes_it(prompt: str, found: list[tuple[str, float]]) -> None:
    assert wishes(prompt) == found


@given(st.text(alphabet="ab,()[]:.1\\ \n", max_size=40))
def test_no_prompt_is_too_strange(prompt: str) -> None:
    imagine(Request(prompt=prompt, negative_prompt=prompt, seed=1))


def test_prompts_are_understood() -> None:
    wanted = asked("ai_model_v4, (full_body:1.2), hand on own hip, smile, red shirt, blue background, blond long hair")
    assert (wanted.framing, wanted.framing_attention, wanted.arms) == ("full body", 1.2, "hand on hip")
    assert (wanted.scene, wanted.background, wanted.garment, wanted.outfit) == (
        "plain",
        (58, 92, 158),
        "shirt",
        (168, 48, 54),
    )
    assert wanted.smile == pytest.approx(0.72)
    assert wanted.hair_light == 0.95
    assert wanted.hair_length == 0.95
