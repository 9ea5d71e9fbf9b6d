"""The size each picture is trained at. The simulated trainer judges it in test_training_inputs_judged.py."""

from __future__ import annotations

import pytest

from orchestrator.kohya.buckets import Size, is_known, steps_per_epoch, training_size, with_regularisation

DATASET = {"resolution": [512, 512], "enable_bucket": True, "bucket_no_upscale": True, "bucket_reso_steps": 64}

#: Worked out by hand from `select_bucket` of sd-scripts v0.10.1.
SIZES: list[tuple[Size, Size | None]] = [
    ((512, 512), (512, 512)),
    ((1024, 1024), (512, 512)),
    ((600, 400), (576, 384)),  # small enough: cut to steps, not scaled
    ((1000, 500), (640, 320)),  # 724×362: 640×320 keeps the shape, 704×320 would not
    ((520, 600), (448, 512)),  # 477×550: 448 wide keeps the shape, 512 tall would be cut to 384 wide
    ((100, 63), None),
    ((64, 64), (64, 64)),
    ((63, 4000), None),
    ((20_000, 20), None),
]


@pytest.mark.parametrize(("size", "target"), SIZES)
def test_a_picture_is_shrunk_and_cut_but_never_enlarged(size: Size, target: Size | None) -> None:
    found = training_size(size, DATASET)
    assert found == target
    if found is not None:
        assert found[0] <= size[0] and found[1] <= size[1] and found[0] % 64 == found[1] % 64 == 0


def test_without_buckets_every_picture_has_the_one_size() -> None:
    assert training_size((40, 3000), {"resolution": 768}) == (768, 768)
    assert training_size((40, 3000), {"resolution": [512, 768]}) == (512, 768)


def test_each_size_fills_batches_of_its_own() -> None:
    pictures = [((512, 512), 3), ((1024, 1024), 2), ((600, 400), 1), ((10, 10), 5)]
    assert steps_per_epoch(pictures, {**DATASET, "batch_size": 2}) == 3 + 1
    assert steps_per_epoch(pictures, DATASET) == 6


def test_buckets_that_enlarge_are_not_told() -> None:
    assert is_known(DATASET) and is_known({"resolution": 512})
    assert not is_known({"resolution": 512, "enable_bucket": True})


def test_pictures_of_the_class_are_used_until_there_are_as_many_of_them() -> None:
    side = (512, 512)
    assert with_regularisation([(side, 5)], []) == [(side, 5)]
    assert with_regularisation([(side, 5)], [(side, 1), (side, 1)]) == [(side, 5), (side, 3), (side, 2)]
    assert with_regularisation([(side, 2)], [(side, 1)] * 4) == [(side, 2), (side, 1), (side, 1)]
