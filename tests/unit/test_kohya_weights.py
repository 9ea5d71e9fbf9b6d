"""`.safetensors` files read by hand: whole, cut off, hostile, full of NaN."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from orchestrator.errors import InputError
from orchestrator.kohya import base_model, weights


def _file(path: Path, header: Any, body: bytes = b"") -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + body)
    return path


def test_the_library_and_we_agree(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"x": np.ones((2, 3), np.float16), "y": np.zeros(4, np.float32)}, path, {"ss_epoch": "10"})
    header = weights.read_header(path)
    assert header.complete
    assert header.metadata == {"ss_epoch": "10"}
    assert (header.tensors["x"].dtype, header.tensors["x"].shape) == ("F16", (2, 3))
    assert weights.not_finite(path) == []


def test_a_file_cut_anywhere_is_never_complete(tmp_path: Path) -> None:
    whole = tmp_path / "a.safetensors"
    save_file({"x": np.ones((2, 3), np.float16), "y": np.zeros(4, np.float32)}, whole, {"ss_epoch": "10"})
    data = whole.read_bytes()
    cut = tmp_path / "cut.safetensors"
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        assert not weights.is_complete(cut)
    cut.write_bytes(data + b"x")
    assert not weights.is_complete(cut)
    cut.write_bytes(data)
    assert weights.is_complete(cut)


ENTRY = {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}
HOSTILE: list[Any] = [
    b"",
    b"{}x",
    b"[]",
    b"\xff\xfe",
    b"null",
    b"[" * 5000,
    {"x": 3},
    {"x": None},
    {"__metadata__": 3, "x": ENTRY},
    {"x": {**ENTRY, "data_offsets": [4, 0]}},
    {"x": {**ENTRY, "data_offsets": [-1, 3]}},
    {"x": {**ENTRY, "data_offsets": [0]}},
    {"x": {**ENTRY, "shape": [2.0]}},
    {"x": {**ENTRY, "shape": [1 << 62]}},
    {"x": {**ENTRY, "shape": [True, 2]}},
    {"x": {**ENTRY, "shape": [1] * 1000}},
    {"x": {**ENTRY, "dtype": 3}},
    {"x": {**ENTRY, "shape": "ab"}},
]


@pytest.mark.parametrize("header", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_header_is_refused_with_words(tmp_path: Path, header: Any) -> None:
    with pytest.raises(InputError):
        weights.read_header(_file(tmp_path / "x.safetensors", header, b"1234"))


@pytest.mark.parametrize("length", [0, 1, 10_000, weights.MAX_HEADER + 1, 2**63, 2**64 - 1])
def test_a_claimed_length_reads_nothing_it_must_not(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}" * 10)
    with pytest.raises(InputError):
        weights.read_header(path)


@given(st.binary(max_size=300))
def test_any_bytes_at_all_are_a_header_or_an_input_error(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        path.write_bytes(data)
        try:
            weights.read_header(path)
        except InputError as error:
            assert error.what and error.fix


def test_a_file_of_no_tensors_is_not_complete(tmp_path: Path) -> None:
    assert not weights.is_complete(_file(tmp_path / "x.safetensors", {"__metadata__": {"a": "b"}}))
    assert not weights.is_complete(tmp_path / "missing.safetensors")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["F16", "F32", "F64", "BF16"])
def test_numbers_that_are_none_are_found_in_every_precision(tmp_path: Path, kind: str, value: float) -> None:
    good, bad = np.array([1.0, -2.5, 3e4]), np.array([1.0, value, 3e4])
    path = tmp_path / "x.safetensors"
    _tensors(path, kind, {"good": good, "bad": bad})
    assert weights.not_finite(path) == ["bad"]
    _tensors(path, kind, {"good": good})
    assert weights.not_finite(path) == []


@given(st.data(), st.sampled_from(["F16", "F32", "F64", "BF16"]))
def test_any_bits_are_judged_as_numpy_judges_them(data: st.DataObject, kind: str) -> None:
    width = {"F16": 2, "F32": 4, "F64": 8, "BF16": 2}[kind]
    # Large numbers just below infinity are the hard ones.
    high = st.sampled_from([0x7F, 0xFF, 0x7B, 0x7C, 0xFC, 0x00, 0x3C]) | st.integers(0, 255)
    raw = bytes(
        byte
        for _ in range(data.draw(st.integers(1, 6)))
        for byte in [*data.draw(st.binary(min_size=width - 1, max_size=width - 1)), data.draw(high)]
    )
    with np.errstate(all="ignore"):
        if kind == "BF16":
            numbers = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            numbers = np.frombuffer(raw, f"<f{width}")
        expected = [] if np.isfinite(numbers).all() else ["x"]
    with tempfile.TemporaryDirectory() as folder:
        entry = {"dtype": kind, "shape": [len(raw) // width], "data_offsets": [0, len(raw)]}
        assert weights.not_finite(_file(Path(folder) / "x.safetensors", {"x": entry}, raw)) == expected


def test_a_number_that_is_none_is_found_in_any_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_BLOCK", 64)
    numbers = np.ones(1000, np.float16)
    for place in (0, 127, 128, 999):
        bad = numbers.copy()
        bad[place] = np.nan
        path = tmp_path / f"{place}.safetensors"
        save_file({"x": bad, "y": numbers}, path)
        assert weights.not_finite(path) == ["x"]


def _tensors(path: Path, kind: str, tensors: dict[str, Any]) -> None:
    body, header = b"", {}
    for name, values in tensors.items():
        if kind == "BF16":
            data = (np.asarray(values, np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
        else:
            data = np.asarray(values, {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[kind]).tobytes()
        header[name] = {"dtype": kind, "shape": [len(values)], "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    _file(path, header, body)


def test_the_shown_hash_is_the_stored_one_or_that_of_the_weights(tmp_path: Path) -> None:
    path = _file(tmp_path / "x.safetensors", {"x": ENTRY}, b"1234")
    assert weights.shown_hash(path) == hashlib.sha256(b"1234").hexdigest()
    _file(path, {"__metadata__": {"sshs_model_hash": "038caf4bb2af" + "0" * 52}, "x": ENTRY}, b"1234")
    assert weights.shown_hash(path).startswith("038caf4bb2af")


FAMILIES = [
    ("cond_stage_model.transformer.text_model.x", "sd1", "train_network.py"),
    ("cond_stage_model.model.transformer.x", "sd2", "train_network.py"),
    ("conditioner.embedders.1.model.x", "sdxl", "sdxl_train_network.py"),
]


@pytest.mark.parametrize(("name", "family", "script"), FAMILIES)
def test_a_checkpoints_family_chooses_the_script(tmp_path: Path, name: str, family: str, script: str) -> None:
    found = base_model.identify(_file(tmp_path / "base.safetensors", {name: ENTRY}, b"1234"))
    assert (found.family, found.script) == (family, script)


def test_a_checkpoint_that_cannot_be_trained_on_is_refused_early(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no base checkpoint"):
        base_model.identify(tmp_path / "missing.safetensors")
    with pytest.raises(InputError, match="shorter"):
        base_model.identify(_file(tmp_path / "cut.safetensors", {"x": ENTRY}, b"12"))
    with pytest.raises(InputError, match="Flux"):
        base_model.identify(_file(tmp_path / "flux.safetensors", {"double_blocks.0.x": ENTRY}, b"1234"))
    with pytest.raises(InputError, match="model_index"):
        base_model.identify(tmp_path)
    (tmp_path / "model_index.json").write_text("{}", encoding="utf-8")
    assert base_model.identify(tmp_path).family == "sd1"
