"""Event files as TensorBoard's own writer makes them (2.21: eight steps, two epochs), whole and spoilt."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.kohya.tensorboard import Scalar, event_files, read_scalars, started_at

GOLDEN = Path(__file__).parents[1] / "golden" / "tensorboard" / "events.out.tfevents.1763816207.computer.1.0"
WHOLE = list(read_scalars(GOLDEN))


def test_everything_the_real_writer_wrote_is_read() -> None:
    assert WHOLE[:4] == [
        Scalar("loss/current", 1, 1.0, 1763816207.5),
        Scalar("loss/average", 1, 1.5, 1763816207.5),
        Scalar("lr/textencoder", 1, 5e-05, 1763816207.5),
        Scalar("lr/unet", 1, 1.25e-05, 1763816207.5),
    ]
    assert len(WHOLE) == 8 * 4 + 2
    assert [s.step for s in WHOLE if s.tag == "loss/epoch_average"] == [1, 2]
    assert WHOLE[-2] == Scalar("lr/unet", 8, 1e-4, 1763816211.0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, GOLDEN.stat().st_size))
def test_a_file_cut_off_anywhere_gives_what_is_whole(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("tb") / "events"
    path.write_bytes(GOLDEN.read_bytes()[:cut])
    found = list(read_scalars(path))
    assert found == WHOLE[: len(found)]
    assert len(found) >= (cut - 150) // 56  # records are at most 56 bytes, the first three are the file's own


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=80))
def test_bytes_left_by_a_power_cut_end_the_reading(tmp_path_factory: pytest.TempPathFactory, tail: bytes) -> None:
    path = tmp_path_factory.mktemp("tb") / "events"
    path.write_bytes(GOLDEN.read_bytes() + bytes(16) + tail)
    assert list(read_scalars(path)) == WHOLE


@settings(max_examples=60)
@given(st.integers(0, GOLDEN.stat().st_size - 1), st.integers(1, 255))
def test_a_flipped_byte_never_raises(tmp_path_factory: pytest.TempPathFactory, at: int, flip: int) -> None:
    data = bytearray(GOLDEN.read_bytes())
    data[at] ^= flip
    path = tmp_path_factory.mktemp("tb") / "events"
    path.write_bytes(data)
    assert len(list(read_scalars(path))) <= len(WHOLE) + 1


def test_files_are_found_in_the_order_of_their_times(tmp_path: Path) -> None:
    for name in ("20261122/network_train/events.out.tfevents.2.x", "20261121/network_train/events.out.tfevents.1.x"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "20261121" / "hparams.yml").write_bytes(b"")
    assert [p.name[-3:] for p in event_files(tmp_path)] == ["1.x", "2.x"]
    assert event_files(tmp_path / "nowhere") == []


def test_an_event_file_knows_when_it_was_begun(tmp_path: Path) -> None:
    began = started_at(GOLDEN)
    assert began is not None and began > 1_700_000_000
    (tmp_path / "empty").write_bytes(b"")
    assert started_at(tmp_path / "empty") is None
