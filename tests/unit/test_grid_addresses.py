"""Cells as people write them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import InputError
from orchestrator.grid.addresses import address_of, find_axis, read_cell, read_values
from orchestrator.grid.manifest import Axis, Manifest
from tests.unit.sheet_samples import EPOCHS, JAPANESE, SEEDS, WEIGHTS, grid

PROMPTS = Axis("prompt", "prompt", ("miku, close-up", "miku, full body", JAPANESE, "a=1, epoch=2", "x" * 300))


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return grid(tmp_path_factory.mktemp("faces"), [EPOCHS, WEIGHTS, SEEDS])


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return grid(tmp_path_factory.mktemp("prompts"), [PROMPTS, EPOCHS, Axis("seed", "seed", ("7",))])


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("epoch=40,weight=0.8,seed=123456789", (1, 1, 0)),
        (" Seed = 123123123 , WEIGHT=.60, epoch = 20.0", (0, 0, 1)),
        ("epoch=#3,weight=#1,seed=#2", (2, 0, 1)),
        ("no LoRA,seed=#2", (None, None, 1)),
        ("baseline, seed=123456789", (None, None, 0)),
    ],
)
def test_cells_are_found(faces: Manifest, text: str, at: tuple[int | None, ...]) -> None:
    assert read_cell(text, faces) == at


def test_values_may_hold_commas_and_axes_of_one_value_need_no_word(prompts: Manifest) -> None:
    assert read_cell("prompt=miku, full body,epoch=40", prompts) == (1, 1, 0)
    assert read_cell(f"epoch=80,prompt={JAPANESE}", prompts) == (2, 2, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epoch=41,weight=0.8,seed=#1", "epoch has no value '41'"),
        ("epoch=40", "it does not say which weight, seed"),
        ("epoch=40,epoch=20,weight=0.8,seed=#1", "epoch is said twice"),
        ("lora=x", "there is no axis 'lora'"),
        ("epoch", "'epoch' is not written as axis=value"),
        ("epoch=#9,weight=0.9", "epoch has no value '#9', and weight has no value '0.9'"),
        ("no LoRA", "it does not say which seed"),
        ("", "it does not say which epoch, weight, seed"),
    ],
)
def test_what_names_no_cell_is_said_with_what_there_is(faces: Manifest, text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_cell(text, faces)
    assert said in caught.value.what
    assert "epoch: 20, 40, 80" in caught.value.cause
    assert "epoch=20,weight=0.6,seed=123456789" in caught.value.fix


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_every_cell_is_found_by_its_address(faces: Manifest, prompts: Manifest, data: st.DataObject) -> None:
    manifest = data.draw(st.sampled_from([faces, prompts]))
    at = data.draw(st.sampled_from(manifest.cells)).at
    assert read_cell(address_of(at, manifest), manifest) == at


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(faces: Manifest, text: str) -> None:
    with contextlib.suppress(InputError):
        assert read_cell(text, faces) in faces.by_place


def test_a_grid_without_baseline_has_none(tmp_path: Path) -> None:
    state = grid(tmp_path, [EPOCHS], baseline=False)
    with pytest.raises(InputError, match="no baseline"):
        read_cell("no LoRA", state)


def test_axes_and_single_values_are_found(faces: Manifest) -> None:
    assert find_axis("Epoch", faces) == 0
    assert read_values("weight=0.8,seed=#2", faces) == {1: 1, 2: 1}
    assert read_values("", faces) == {}
    with pytest.raises(InputError, match="no axis 'steps'"):
        find_axis("steps", faces)
