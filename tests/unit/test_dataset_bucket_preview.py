from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dataset.bucket_preview import Pictured, preview, to_dict
from orchestrator.kohya import buckets, dataset_config
from orchestrator.kohya.dataset_config import Subset

OPTIONS = {
    "resolution": [512, 512], "batch_size": 2, "enable_bucket": True, "bucket_no_upscale": True,
    "bucket_reso_steps": 64,
}  # fmt: skip


def test_a_square_loses_nothing_and_a_tall_picture_a_little() -> None:
    found, placed = preview(
        [
            Pictured("a", (512, 512)), Pictured("b", (1024, 1024), repeats=3), Pictured("c", (600, 880)),
            Pictured("tiny", (60, 900)),
        ],
        OPTIONS,
    )  # fmt: skip
    a, b, c, tiny = placed
    assert (a.bucket, a.cut, b.bucket, b.cut) == ((512, 512), 0, (512, 512), 0)
    assert c.bucket is not None
    assert 0 < c.cut < 0.2
    assert tiny.bucket is None
    assert next((one.size, one.pictures, one.seen, one.batches) for one in found) == ((512, 512), 2, 4, 2)
    assert to_dict(found, placed)["pictures"][2]["bucket"] == c.bucket


def test_without_buckets_a_wide_picture_loses_its_sides_and_a_face_there() -> None:
    (_, (placed,)) = preview(
        [Pictured("wide", (1024, 512), face=(10, 100, 200, 200))], OPTIONS | {"enable_bucket": False}
    )
    assert placed.cut == pytest.approx(0.5)
    assert placed.sides == (256, 0, 256, 0)
    assert placed.face_cut
    (_, (middle,)) = preview(
        [Pictured("m", (1024, 512), face=(400, 100, 200, 200))], OPTIONS | {"enable_bucket": False}
    )
    assert not middle.face_cut


@given(
    width=st.integers(64, 4000), height=st.integers(64, 4000), resolution=st.sampled_from([256, 512, 768, 1024]),
    batch=st.integers(1, 4), repeats=st.integers(1, 9), bucketed=st.booleans(),
)  # fmt: skip
def test_what_is_shown_agrees_with_the_steps_of_an_epoch(
    width: int, height: int, resolution: int, batch: int, repeats: int, bucketed: bool
) -> None:
    subsets = [Subset(Path("x"), repeats)]
    values = dataset_config.values(subsets, resolution=resolution, batch_size=batch, buckets=bucketed)
    dataset = values["datasets"][0]
    found, (placed,) = preview([Pictured("x", (width, height), repeats)], dataset)
    assert placed.bucket == buckets.training_size((width, height), dataset)
    assert sum(one.batches for one in found) == buckets.steps_per_epoch([((width, height), repeats)], dataset)
    if placed.bucket and placed.scaled:
        assert placed.scaled[0] >= placed.bucket[0]
        assert placed.scaled[1] >= placed.bucket[1]
        assert 0 <= placed.cut < 1
