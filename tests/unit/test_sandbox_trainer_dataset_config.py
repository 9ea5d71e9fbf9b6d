"""Dataset descriptions: what the simulated trainer accepts, and the words with which it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.sandbox.dataset_options import MultipleInvalid, check_description

SUBSET: dict[str, Any] = {"image_dir": "/x", "num_repeats": 10, "caption_extension": ".txt"}
DATASET: dict[str, Any] = {"resolution": 512, "batch_size": 2}


def described(
    general: dict[str, Any] | None = None, dataset: dict[str, Any] | None = None, subset: dict[str, Any] | None = None
) -> dict[str, Any]:
    """One dataset with one subset, with additions on each level."""
    return {
        "general": general or {},
        "datasets": [{**DATASET, **(dataset or {}), "subsets": [{**SUBSET, **(subset or {})}]}],
    }


ACCEPTED = {
    "plain": described(),
    "width and height": described(dataset={"resolution": [512, 768]}),
    "a truth value for a whole number": described(subset={"num_repeats": True}),
    "an int for caption_dropout_rate": described(subset={"caption_dropout_rate": 0}),
    "no subsets": {"datasets": [{"resolution": 512}]},
    "no datasets": {"general": {}},
    "nothing": {},
    "subset key on dataset level": described(dataset={"num_repeats": 4}),
    "subset key in general": described(general={"keep_tokens": 2}),
    "custom attributes": described(subset={"custom_attributes": {"a": 1}}),
    "face crop": described(subset={"face_crop_aug_range": [1.5, 3.0]}),
    "metadata file": {"datasets": [{**DATASET, "subsets": [{"metadata_file": "/m.json", "image_dir": "/x"}]}]},
}

_SUBSET_AT = "data['datasets'][0]['subsets'][0]"
REFUSED = {
    f"extra keys not allowed @ {_SUBSET_AT}['num_repeat']": described(subset={"num_repeat": 1}),
    "extra keys not allowed @ data['general']['foo']": described(general={"foo": 1}),
    "extra keys not allowed @ data['datasets'][0]['train_batch_size']": described(dataset={"train_batch_size": 1}),
    "extra keys not allowed @ data['title']": {"title": "x"},
    "extra keys not allowed @ data['general']['image_dir']": described(general={"image_dir": "/x"}),
    f"extra keys not allowed @ {_SUBSET_AT}['resolution']": described(subset={"resolution": 512}),
    f"expected int for dictionary value @ {_SUBSET_AT}['num_repeats']": described(subset={"num_repeats": "10"}),
    f"expected bool for dictionary value @ {_SUBSET_AT}['flip_aug']": described(subset={"flip_aug": 1}),
    "expected int for dictionary value @ data['datasets'][0]['resolution']": described(
        dataset={"resolution": "512,512"}
    ),
    "expected float for dictionary value @ data['datasets'][0]['validation_split']": described(
        dataset={"validation_split": 0}
    ),
    "expected float for dictionary value @ data['datasets'][0]['network_multiplier']": described(
        dataset={"network_multiplier": 1}
    ),
    f"None for dictionary value @ {_SUBSET_AT}['face_crop_aug_range']": described(
        subset={"face_crop_aug_range": "1.5,3.0"}
    ),
    f"required key not provided @ {_SUBSET_AT}['image_dir']": {"datasets": [{**DATASET, "subsets": [{}]}]},
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_the_real_one_accepts_is_accepted(name: str) -> None:
    check_description(ACCEPTED[name])


@pytest.mark.parametrize("message", REFUSED)
def test_what_the_real_one_refuses_is_refused_in_its_words(message: str) -> None:
    with pytest.raises(MultipleInvalid) as caught:
        check_description(REFUSED[message])
    assert str(caught.value) == message
    assert f"{type(caught.value).__module__}.{type(caught.value).__name__}" == "voluptuous.error.MultipleInvalid"


@pytest.mark.parametrize("resolution", [[512], 512.0, [512, 512, 3], [512.0, 512]])
def test_other_shapes_of_a_resolution_are_refused(resolution: object) -> None:
    with pytest.raises(MultipleInvalid, match="expected int for dictionary value"):
        check_description(described(dataset={"resolution": resolution}))


def test_two_kinds_of_subsets_do_not_mix() -> None:
    mixed = {"datasets": [{**DATASET, "subsets": [SUBSET, {"metadata_file": "/m.json"}]}]}
    with pytest.raises(MultipleInvalid, match="cannot be mixed in the same dataset"):
        check_description(mixed)
