from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from orchestrator.vision import Measurement, near_copy
from orchestrator.vision.distance import colour_difference, identity_distance, similarity
from orchestrator.vision.pixels import both_hashes, colours, difference_hash, sharpness


def scene(seed: int = 0) -> Image.Image:
    """A picture with structure at every place."""
    image = Image.radial_gradient("L").resize((320, 320)).convert("RGB")
    pen = ImageDraw.Draw(image)
    for step in range(14):
        x, y = (step * 71 + seed * 97) % 280, (step * 53 + seed * 31) % 280
        pen.ellipse((x, y, x + 60, y + 45), fill=((step * 40 + seed * 9) % 255, (step * 90) % 255, 200 - step * 12))
    return image


def measured(image: Image.Image) -> Measurement:
    straight, mirrored = both_hashes(image)
    return Measurement("0" * 64, image.width, image.height, 0.0, straight, mirrored, colours(image))


def jpeg(image: Image.Image) -> Image.Image:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=60)
    return Image.open(buffer).convert("RGB")


@pytest.mark.parametrize(
    "changed",
    [
        jpeg,
        lambda image: image.resize((200, 200)),
        lambda image: image.filter(ImageFilter.GaussianBlur(1.5)),
        lambda image: ImageEnhance.Contrast(image).enhance(0.85),
    ],
)
def test_a_copy_is_seen_through_what_copies_suffer(changed) -> None:  # type: ignore[no-untyped-def]
    near = near_copy(measured(scene()), measured(changed(scene())), 6)
    assert near is not None
    assert not near[1]


def test_a_mirrored_copy_is_seen_and_said_to_be_one() -> None:
    assert near_copy(measured(scene()), measured(ImageOps.mirror(scene())), 6) == (0, True)


def test_another_picture_is_no_copy() -> None:
    assert near_copy(measured(scene(0)), measured(scene(5)), 6) is None


def test_the_same_shapes_in_other_colours_are_no_copy() -> None:
    """What a difference hash alone takes for a copy: the same person in the same place with other clothes."""
    wall = Image.linear_gradient("L").rotate(70).resize((256, 256)).convert("RGB")
    red, blue = wall.copy(), wall.copy()
    ImageDraw.Draw(red).rectangle((80, 100, 180, 256), fill=(180, 60, 60))
    ImageDraw.Draw(blue).rectangle((80, 100, 180, 256), fill=(50, 115, 140))
    assert (difference_hash(red) ^ difference_hash(blue)).bit_count() <= 6
    assert near_copy(measured(red), measured(blue), 6) is None


def test_even_surfaces_do_not_divide_by_zero() -> None:
    white, black = colours(Image.new("RGB", (64, 64), "white")), colours(scene())
    assert colour_difference(white, white) == 0
    assert colour_difference(white, black) == 1


def test_sharpness_falls_with_blur_and_stays_finite() -> None:
    values = [sharpness(scene().filter(ImageFilter.GaussianBlur(radius))) for radius in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert values[0] - values[-1] > 1
    assert sharpness(Image.new("RGB", (64, 64))) == -3


@given(st.lists(st.floats(-1, 1), min_size=128, max_size=128), st.lists(st.floats(-1, 1), min_size=128, max_size=128))
def test_distance_is_symmetric_and_similarity_falls_with_it(first: list[float], second: list[float]) -> None:
    distance = identity_distance(first, second)
    assert distance == identity_distance(second, first)
    assert identity_distance(first, first) == 0
    assert 0 <= similarity(distance) <= similarity(distance / 2) <= 1


def test_embeddings_of_two_kinds_are_never_compared() -> None:
    with pytest.raises(ValueError, match="different length"):
        identity_distance([0.0] * 128, [0.0] * 512)


def test_a_measurement_survives_json() -> None:
    import json

    from orchestrator.vision import Face

    face = Face(13.8, -2.0, 9.5, (1, 2, 3, 4), 0.41, 2.2, "close-up")
    whole = replace(measured(scene()), face=face, identity=(0.25,) * 128, embedding_name="x", backend="y")
    assert Measurement.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole
    assert Measurement.from_dict(json.loads(json.dumps(measured(scene()).to_dict()))) == measured(scene())
