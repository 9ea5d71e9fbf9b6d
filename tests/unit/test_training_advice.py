"""What helps a training that needs too much graphics memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from orchestrator.training.advice import applied, automatic, memory_advice, remedies
from orchestrator.training.guards import PhaseName


@dataclass(frozen=True)
class Planned:
    values: dict[str, Any] = field(default_factory=dict)
    dataset_values: dict[str, Any] = field(
        default_factory=lambda: {
            "general": {"caption_extension": ".txt"},
            "datasets": [{"resolution": 768, "batch_size": 4, "subsets": [{"image_dir": "x"}]}],
        }
    )


BIG = Planned({"optimizer_type": "AdamW", "mixed_precision": "no", "gradient_checkpointing": False})
BITS = {"bitsandbytes": "0.45.0", "torch": "2.6.0"}


def _words(planned: Planned, phase: PhaseName = "steps", **more: Any) -> list[str]:
    return [remedy.words for remedy in remedies(planned, phase, more.pop("packages", BITS), **more)]


def test_the_mildest_remedy_comes_first() -> None:
    assert _words(BIG) == [
        "gradient_checkpointing = true",
        'optimizer = "AdamW8bit"',
        "batch_size = 2 (and gradient_accumulation_steps = 2 in [training.extra])",
        'mixed_precision = "fp16" ("bf16" on an RTX 30 or newer)',
        "resolution = 576 in [dataset]",
    ]


def test_nothing_is_advised_that_is_done_already_or_cannot_be() -> None:
    small = Planned(
        {"optimizer_type": "AdamW8bit", "mixed_precision": "fp16", "gradient_checkpointing": True},
        {"datasets": [{"resolution": [448, 512], "batch_size": 1}]},
    )
    assert _words(small) == ["resolution = 384 in [dataset]"]
    assert not any("AdamW8bit" in w for w in _words(BIG, packages={"torch": "2"}))
    assert not any("AdamW8bit" in w for w in _words(BIG, has_state=True))
    assert not any("8bit" in w for w in _words(Planned({"optimizer_type": "Prodigy"})))


def test_before_the_first_step_only_latents_matter() -> None:
    planned = Planned({"vae_batch_size": 4})
    assert _words(planned, "latents") == ["vae_batch_size = 1 in [training.extra]", "resolution = 576 in [dataset]"]
    assert _words(planned, "start") == []
    assert "sample pictures" in _words(planned, "sampling")[0]


@pytest.mark.parametrize("accumulated", [None, 3])
def test_a_halved_batch_keeps_the_pictures_of_a_step(accumulated: int | None) -> None:
    planned = Planned({**BIG.values, "gradient_accumulation_steps": accumulated})
    remedy = next(r for r in remedies(planned, "steps", {}) if "batch_size" in r.changes)
    values, dataset_values = applied(remedy.changes, planned.values, planned.dataset_values)
    assert values["gradient_accumulation_steps"] == 2 * (accumulated or 1)
    assert "batch_size" not in values
    assert dataset_values["datasets"] == [{"resolution": 768, "batch_size": 2, "subsets": [{"image_dir": "x"}]}]
    assert planned.dataset_values["datasets"][0]["batch_size"] == 4  # the plan itself stays as it is


def test_only_what_learns_the_same_is_tried_unasked() -> None:
    first = automatic(remedies(BIG, "steps", BITS))
    assert first is not None and first.changes == {"gradient_checkpointing": True}
    seen, planned = [], BIG
    while (remedy := automatic(remedies(planned, "steps", BITS))) is not None:
        seen.append(set(remedy.changes))
        planned = Planned(*applied(remedy.changes, planned.values, planned.dataset_values))
    assert seen == [
        {"gradient_checkpointing"},
        {"optimizer_type"},
        {"batch_size", "gradient_accumulation_steps"},
        {"batch_size", "gradient_accumulation_steps"},
    ]
    assert planned.dataset_values["datasets"][0]["batch_size"] == 1


def test_the_advice_is_one_text_in_the_profiles_words() -> None:
    text = memory_advice(remedies(BIG, "steps", BITS), tried="gradient_checkpointing = true")
    assert text.startswith("It was tried with gradient_checkpointing = true, too. Close A1111")
    assert 'optimizer = "AdamW8bit", batch_size = 2' in text and " or resolution = 576 in [dataset];" in text
    assert "No setting is left" in memory_advice([])
