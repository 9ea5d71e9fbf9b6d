"""Each metric on pictures made for it, what is said beside it, and those that tell nothing."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from orchestrator.evaluation.metrics import METRICS, Sight, metric_of, numbers
from orchestrator.evaluation.metrics.colours import difference
from orchestrator.evaluation.metrics.summary import figures_of, tell_nothing
from orchestrator.evaluation.observations import BASELINE, CellId, Observation
from orchestrator.evaluation.rounds import framing_in
from orchestrator.vision.distance import colour_difference
from orchestrator.vision.model import Face, Measurement, framing_of
from orchestrator.vision.one_picture import Instruments, measure_picture

CELL = CellId(10, 0.8)


def seen(image: Image.Image, folder: Path, name: str = "it") -> Measurement:
    path = folder / f"{name}.png"
    image.save(path)
    return measure_picture(path, Instruments())


def scene(number: int) -> Image.Image:
    draw = random.Random(number)
    image = Image.new("RGB", (256, 256), tuple(draw.randrange(60, 200) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, size = draw.randrange(256), draw.randrange(256), draw.randrange(20, 90)
        pen.ellipse((x - size, y - size, x + size, y + size), fill=tuple(draw.randrange(256) for _ in range(3)))
    return image


def with_face(height: float = 0.2, roll: float = 4.0, faces: int | None = 1) -> Measurement:
    face = Face(roll, 12.0, -3.0, (0, 0, 10, 10), height, 2.5, framing_of(height))
    return Measurement("", 512, 512, 2.0, 0, 0, face=face, faces=faces, backend="mesh")


FACELESS = Measurement("", 512, 512, 2.0, 0, 0, faces=0, backend="mesh")


def value(name: str, sight: Sight) -> float | None:
    return metric_of(name).of(sight)


def test_every_metric_says_where_it_comes_from_and_when_it_fails() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.source
        assert metric.unit
        assert metric.fails
        assert metric.range[1] is None or metric.range[0] < metric.range[1]
        assert value(metric.name, Sight(None)) is None, "nothing seen, nothing said"


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_an_even_surface_is_a_collapse(tmp_path: Path, grey: int) -> None:
    assert value("collapse", Sight(seen(Image.new("RGB", (256, 256), (grey,) * 3), tmp_path))) == 1.0


def test_noise_is_a_collapse_and_a_picture_is_none(tmp_path: Path) -> None:
    noise = Image.frombytes("RGB", (512, 512), random.Random(1).randbytes(512 * 512 * 3))
    assert value("collapse", Sight(seen(noise, tmp_path))) == 1.0
    dark = scene(3).point(lambda level: level // 4)
    for image in (scene(1), scene(2), dark, scene(4).filter(ImageFilter.GaussianBlur(8))):
        assert value("collapse", Sight(seen(image, tmp_path))) == 0.0


def test_blur_lowers_sharpness(tmp_path: Path) -> None:
    sharp, blurred = (seen(image, tmp_path) for image in (scene(1), scene(1).filter(ImageFilter.GaussianBlur(3))))
    assert value("sharpness", Sight(sharp)) > value("sharpness", Sight(blurred)) + 0.5  # type: ignore[operator]


def test_copying_finds_the_training_picture_and_its_mirror_image(tmp_path: Path) -> None:
    training = [seen(scene(number), tmp_path) for number in range(6)]
    copied = seen(scene(3).resize((200, 200)).filter(ImageFilter.GaussianBlur(1)), tmp_path)
    mirrored = seen(ImageOps.mirror(scene(3)), tmp_path)
    other = seen(scene(99), tmp_path)
    assert value("copying", Sight(copied, training=training)) > 0.9  # type: ignore[operator]
    assert value("copying", Sight(mirrored, training=training)) > 0.9  # type: ignore[operator]
    assert value("copying", Sight(other, training=training)) < 0.6  # type: ignore[operator]
    assert value("copying", Sight(other)) is None


def test_a_copied_face_is_nearer_than_neighbours_are() -> None:
    faces = [replace(FACELESS, identity=(float(i), 0.0), embedding_name="e") for i in range(4)]
    near = replace(FACELESS, identity=(2.1, 0.0), embedding_name="e")
    assert value("copied face", Sight(near, training=faces)) == pytest.approx(0.9)
    assert value("copied face", Sight(replace(near, identity=(2.5, 3.0)), training=faces)) == 0.0
    assert value("copied face", Sight(replace(near, embedding_name="another"), training=faces)) is None
    assert value("copied face", Sight(near, training=faces[:2])) is None


def test_one_picture_on_all_seeds_has_no_diversity(tmp_path: Path) -> None:
    same = [seen(scene(1), tmp_path) for _ in range(3)]
    others = [seen(scene(number), tmp_path) for number in (5, 6)]
    assert value("diversity", Sight(same[0], siblings=same[1:])) == pytest.approx(0.0, abs=1e-9)
    assert value("diversity", Sight(same[0], siblings=others)) > 0.3  # type: ignore[operator]
    assert value("diversity", Sight(same[0])) is None


@pytest.mark.parametrize("mirrored", [False, True])
def test_colours_in_numpy_are_those_of_the_plain_formula(tmp_path: Path, mirrored: bool) -> None:
    flat = seen(Image.new("RGB", (64, 64)), tmp_path).colours
    listed = [*(seen(scene(number), tmp_path).colours for number in range(4)), flat]
    for one in listed:
        for other in listed:
            expected = colour_difference(one, other, mirrored=mirrored)
            assert difference(one, other, mirrored=mirrored) == pytest.approx(expected, abs=1e-9)


def test_faces_lost_and_faces_too_many() -> None:
    assert value("face missing", Sight(FACELESS)) == 1.0
    assert value("face missing", Sight(with_face())) == 0.0
    assert value("two faces", Sight(with_face(faces=2))) == 1.0
    assert value("two faces", Sight(with_face())) == 0.0
    assert value("two faces", Sight(with_face(faces=None))) is None
    nobody_looked = replace(FACELESS, backend="")
    assert value("face missing", Sight(nobody_looked)) is None


@pytest.mark.parametrize(
    ("prompt", "framing"),
    [
        ("x, upper body, smile", "upper body"),
        ("x, Close up", "close-up"),
        ("x, full body or upper body", None),
        ("x", None),
    ],
)
def test_the_framing_is_what_the_prompt_names(prompt: str, framing: str | None) -> None:
    assert framing_in(prompt) == framing


def test_framing_is_kept_or_lost() -> None:
    assert value("framing", Sight(with_face(0.2), framing="upper body")) == 1.0
    assert value("framing", Sight(with_face(0.4), framing="upper body")) == 0.0
    assert value("framing", Sight(FACELESS, framing="upper body")) == 0.0
    assert value("framing", Sight(with_face(0.2))) is None


def picture(cell: CellId, seed: int, **metrics: float) -> Observation:
    return Observation(cell, "pose", seed, metrics={name.replace("_", " "): each for name, each in metrics.items()})


def test_a_mean_stands_beside_how_many_pictures_have_a_number() -> None:
    found = [
        picture(CELL, seed, face_missing=float(seed == 0), **({"roll": 5.0 + seed} if seed else {}))
        for seed in range(5)
    ]
    figures = {figure.metric: figure for figure in figures_of(found)[CELL]}
    assert (figures["roll"].mean, figures["roll"].measured, figures["roll"].pictures) == (7.5, 4, 5)
    assert figures["roll"].low is not None
    assert figures["roll"].low < 7.5
    missing = figures["face missing"]
    assert missing.mean == pytest.approx(0.2)
    assert missing.low == pytest.approx(0.036, abs=0.001)
    assert missing.high == pytest.approx(0.624, abs=0.001)


def test_what_is_wrong_without_lora_already_tells_nothing_about_the_lora() -> None:
    bare = [picture(BASELINE, seed, framing=0.0, face_missing=0.0, sharpness=2.0) for seed in range(10)]
    cell = [picture(CELL, seed, framing=1.0, face_missing=0.0, sharpness=2.0 + seed) for seed in range(10)]
    nothing = tell_nothing([*bare, *cell])
    assert set(nothing) == {"framing", "sharpness"}
    assert nothing["framing"].startswith("Framing is left out: without LoRA 10 of 10 pictures have no framing already")
    assert {figure.metric for figure in figures_of([*bare, *cell], without=nothing)[CELL]} == {"face missing"}
    assert not tell_nothing(bare[:3])


def test_what_is_no_number_is_left_out() -> None:
    assert "identity" not in numbers(Sight(with_face(), identity=float("nan")))
    assert numbers(Sight(with_face(), identity=0.5))["identity"] == 0.5
