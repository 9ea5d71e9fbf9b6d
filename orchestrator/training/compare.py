"""What two runs differ in: what they were made from, and what came out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.training.record import RunRecord

#: Follow from where a run lies.
_PLACES = frozenset({"output_dir", "dataset_config", "logging_dir", "sample_prompts", "image_dir", "output_name"})
_ABSENT = "-"


def differences(a: RunRecord, b: RunRecord) -> list[tuple[str, str, str]]:
    """What differs, as (key, in a, in b); `-` = not there. First what decides a training, then what came out.

    Paths that follow from the run's own folder are left out; a base checkpoint or dataset that only lies elsewhere is
    no difference.
    """
    found: list[tuple[str, str, str]] = []
    for left, right in ((_made_from(a), _made_from(b)), (_came_out(a), _came_out(b))):
        for key in [*left, *(key for key in right if key not in left)]:
            if left.get(key) != right.get(key):
                found.append((key, _text(left.get(key)), _text(right.get(key))))
    return found


def _made_from(record: RunRecord) -> dict[str, Any]:
    facts: dict[str, Any] = {
        key: value
        for key, value in sorted(record.values.items())
        if key not in _PLACES and key != "pretrained_model_name_or_path"
    }
    facts |= _flat("dataset.toml ", record.dataset_config)
    facts |= {
        "base": _named(record.base, "path", "sha256"),
        "dataset": _named(record.dataset, "folder", "sha256"),
        "pictures": record.dataset.get("pictures"),
        "sd-scripts": record.trainer.get("version"),
        "script": record.trainer.get("script"),
    }
    facts |= {f"package {name}": version for name, version in sorted(record.packages.items())}
    facts |= {f"changed {key}": value for each in record.attempts[-1:] for key, value in sorted(each.changes.items())}
    return facts


def _came_out(record: RunRecord) -> dict[str, Any]:
    return {
        "status": record.status,
        "epochs": record.epochs,
        "LoRA files": len(record.files),
        "final loss": None if record.final_loss is None else f"{record.final_loss:.4g}",
        "starts": len(record.attempts),
        "seconds": f"{record.seconds:.0f}",
        "seconds a step": next((f"{each.step_s:.3g}" for each in reversed(record.attempts) if each.step_s), None),
        "computer": record.computer,
    }


def _flat(place: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        pairs = [(str(key), item) for key, item in value.items() if key not in _PLACES]
    elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
        pairs = [(str(number), item) for number, item in enumerate(value, start=1)]
    else:
        return {place.rstrip("."): value}
    flat: dict[str, Any] = {}
    for key, item in pairs:
        flat |= _flat(f"{place}{key}.", item)
    return flat


def _named(part: Mapping[str, Any], path: str, sha256: str) -> str | None:
    """A file by its name and the beginning of its hash, so that a moved one is the same."""
    if not part:
        return None
    digest = str(part.get(sha256) or "")
    name = str(part.get(path) or "").replace("\\", "/").rstrip("/").rpartition("/")[2]
    return f"{name} ({digest[:12]})" if digest else name


def _text(value: Any) -> str:
    if value is None:
        return _ABSENT
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
