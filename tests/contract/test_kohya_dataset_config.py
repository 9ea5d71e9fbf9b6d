"""Which dataset descriptions sd-scripts takes: it refuses an unknown key here, which it ignores in the other file."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.contract.kohya_subject import Kohya

_REAL = """
import argparse
import train_network
from library.config_util import BlueprintGenerator, ConfigSanitizer
def settle(description, extra):
    args = train_network.setup_parser().parse_args(["--resolution", "512"])
    args.resolution = (512, 512)
    for name, value in extra.items():
        setattr(args, name, value)
    BlueprintGenerator(ConfigSanitizer(True, True, False, True)).generate(description, args)
"""
_SIMULATED = """
import train_network
from orchestrator.sandbox.console_output import Console
from orchestrator.sandbox.dataset_options import resolve
def settle(description, extra):
    args = train_network.setup_parser().parse_args(["--resolution", "512"])
    args.resolution = (512, 512)
    for name, value in extra.items():
        setattr(args, name, value)
    resolve(description, args, Console())
"""
_ALL = """
answer = []
for description, extra in given:
    try:
        settle(description, extra)
        answer.append("")
    except Exception as error:
        answer.append(f"{type(error).__name__}: {error}")
"""
BASE = {
    "general": {"caption_extension": ".txt"},
    "datasets": [{"resolution": 512, "batch_size": 2, "subsets": [{"image_dir": "pictures", "num_repeats": 10}]}],
}


def changed(place: str, **values: Any) -> dict[str, Any]:
    """The plain description with keys set, or left out by None, at `place`: top, general, dataset or subset."""
    made: dict[str, Any] = copy.deepcopy(BASE)
    there = {
        "top": made,
        "general": made["general"],
        "dataset": made["datasets"][0],
        "subset": made["datasets"][0]["subsets"][0],
    }[place]
    there.update(values)
    for name in [name for name, value in values.items() if value is None]:
        del there[name]
    return made


_SUBSET = "data['datasets'][0]['subsets'][0]"
_DATASET = "data['datasets'][0]"
#: case → description, what the refusal says ("" = taken). Observed on 48d368fa (33 cases).
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "as it is": (BASE, ""),
    "unknown in a subset": (changed("subset", num_repeat=1), f"extra keys not allowed @ {_SUBSET}['num_repeat']"),
    "unknown in general": (changed("general", foo=1), "extra keys not allowed @ data['general']['foo']"),
    "the other file's batch size": (
        changed("dataset", train_batch_size=2),
        f"extra keys not allowed @ {_DATASET}['train_batch_size']",
    ),
    "unknown at the top": (changed("top", title="x"), "extra keys not allowed @ data['title']"),
    "unknown table at the top": (changed("top", extra={"a": 1}), "extra keys not allowed @ data['extra']"),
    "repeats as text": (
        changed("subset", num_repeats="10"),
        f"expected int for dictionary value @ {_SUBSET}['num_repeats']",
    ),
    "repeats as a fraction": (
        changed("subset", num_repeats=10.0),
        f"expected int for dictionary value @ {_SUBSET}['num_repeats']",
    ),
    "repeats as a switch": (changed("subset", num_repeats=True), ""),
    "the other file's resolution": (
        changed("dataset", resolution="512,512"),
        f"expected int for dictionary value @ {_DATASET}['resolution']",
    ),
    "two sides": (changed("dataset", resolution=[512, 768]), ""),
    "one side in a list": (
        changed("dataset", resolution=[512]),
        f"expected int for dictionary value @ {_DATASET}['resolution']",
    ),
    "a fraction of a pixel": (
        changed("dataset", resolution=512.0),
        f"expected int for dictionary value @ {_DATASET}['resolution']",
    ),
    "a switch as text": (
        changed("subset", flip_aug="true"),
        f"expected bool for dictionary value @ {_SUBSET}['flip_aug']",
    ),
    "a switch as a number": (
        changed("subset", flip_aug=1),
        f"expected bool for dictionary value @ {_SUBSET}['flip_aug']",
    ),
    "a share as a whole number": (
        changed("dataset", validation_split=0),
        f"expected float for dictionary value @ {_DATASET}['validation_split']",
    ),
    "a multiplier as a whole number": (
        changed("dataset", network_multiplier=1),
        f"expected float for dictionary value @ {_DATASET}['network_multiplier']",
    ),
    "a dropout as a whole number": (changed("subset", caption_dropout_rate=0), ""),
    "no folder": (changed("subset", image_dir=None), f"required key not provided @ {_SUBSET}['image_dir']"),
    "no subsets": (changed("dataset", subsets=[]), ""),
    "no datasets": (changed("top", datasets=None), ""),
    "nothing": ({}, ""),
    "a subset's key for a whole dataset": (changed("dataset", num_repeats=4), ""),
    "a subset's key for everything": (changed("general", keep_tokens=2), ""),
    "a folder for everything": (
        changed("general", image_dir="x"),
        "extra keys not allowed @ data['general']['image_dir']",
    ),
    "a resolution for one subset": (
        changed("subset", resolution=512),
        f"extra keys not allowed @ {_SUBSET}['resolution']",
    ),
    "no resolution": (changed("dataset", resolution=None), ""),
    "both kinds of subsets": (
        changed("dataset", subsets=[{"image_dir": "a"}, {"image_dir": "b", "metadata_file": "c.json"}]),
        "DreamBooth subset and fine tuning subset cannot be mixed in the same dataset",
    ),
    "class tokens and regularization": (changed("subset", class_tokens="a b", is_reg=True), ""),
    "attributes of one's own": (changed("subset", custom_attributes={"a": "b"}), ""),
    "a range as a list": (changed("subset", face_crop_aug_range=[1.5, 3.0]), ""),
    "a range as text": (
        changed("subset", face_crop_aug_range="1.5,3.0"),
        f"for dictionary value @ {_SUBSET}['face_crop_aug_range']",
    ),
}


@pytest.fixture(scope="session")
def answers(kohya: Kohya) -> dict[str, str]:
    """What the install says to every case; asked at once."""
    given: list[Any] = [[description, {}] for description, _ in CASES.values()]
    given.append([BASE, {"train_batch_size": "4"}])
    said = kohya.ask((_REAL if kohya.real else _SIMULATED) + _ALL, given)
    return dict(zip([*CASES, "batch size as text in the other file"], said, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_description_is_taken_or_refused(kohya: Kohya, answers: dict[str, str], case: str) -> None:
    refusal = CASES[case][1]
    assert answers[case].startswith("MultipleInvalid: ") if refusal else answers[case] == ""
    assert refusal in answers[case]


def test_a_batch_size_as_text_in_the_other_file_is_called_a_bug(kohya: Kohya, answers: dict[str, str]) -> None:
    """Trap: the message speaks of a bug in sd-scripts."""
    assert "expected int for object value @ data['train_batch_size']" in answers["batch size as text in the other file"]
