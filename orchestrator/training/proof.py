"""Is a training really finished? Its files are held against what was asked.

The exit code decides nothing: sd-scripts ends with 0 when it found no data and when its loss was NaN.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.kohya import weights
from orchestrator.training import outcome
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.record import RunRecord

#: Arguments that sd-scripts writes into a file's metadata just as they were given (as `ss_…`; observed on 48d368fa).
_WRITTEN = (
    "output_name", "network_module", "network_dim", "network_alpha", "network_dropout", "unet_lr", "learning_rate",
    "lr_scheduler", "mixed_precision", "seed", "clip_skip", "gradient_accumulation_steps", "noise_offset",
    "min_snr_gamma",
)  # fmt: skip
#: The trainer's clock is ours, but it starts a moment after us and clocks are corrected.
_CLOCK_S = 60.0
_LISTED = 3


@dataclass(frozen=True)
class Proof:
    """`problems` says what is wrong, empty = the training is finished; `said` what was found to be right, a sentence
    each. `files` are the whole LoRA files by epoch, `lost` the epochs whose files are gone although later ones are
    there.
    """

    problems: tuple[str, ...]
    files: tuple[Path, ...]
    said: tuple[str, ...] = ()
    lost: tuple[int, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.problems

    @property
    def only_lost(self) -> bool:
        """Whether everything is right but that earlier files are gone."""
        return bool(self.lost) and len(self.problems) == 1

    @property
    def why(self) -> str:
        """All problems in one sentence, without its end."""
        return "; ".join(self.problems)


def prove(planned: TrainingPlanned, record: RunRecord) -> Proof:
    """Hold the run's LoRA files against what was asked: all epochs there, whole, all numbers finite, metadata as asked.

    Reads the weights of all files, but of none while the final one is not there.
    """
    whole, broken = outcome.lora_files(planned)
    final = planned.final_file
    if final not in whole:
        cut = final in broken
        why = "the final LoRA file was not written to its end" if cut else "there is no final LoRA file"
        return Proof((why,), tuple(whole))
    problems = [f"{path.name} was not written to its end" for path in broken]
    epochs = {outcome.epoch_of(planned, path) for path in [*whole, *broken]}
    lost = tuple(epoch for epoch in outcome.expected_epochs(planned) if epoch not in epochs)
    if lost:
        shown = ", ".join(map(str, lost[:_LISTED])) + (" …" if len(lost) > _LISTED else "")
        problems.append(f"the LoRA file of epoch {shown} is missing")
    changes = record.attempts[-1].changes if record.attempts else {}
    asked = {**planned.values, **changes}
    said: dict[str, list[str]] = {}
    for path in whole:
        for problem in _problems_of(planned, path, asked, record, plain_data=not changes):
            said.setdefault(problem, []).append(path.name)
    for problem, names in said.items():
        if len(names) > 1:
            problems.append(f"{names[0]} and {len(names) - 1} more: each {problem}")
        else:
            problems.append(f"{'the final LoRA file' if names[0] == final.name else names[0]} {problem}")
    return Proof(tuple(problems), tuple(whole), () if problems else _praise(planned, whole), lost)


def _problems_of(
    planned: TrainingPlanned, path: Path, asked: Mapping[str, Any], record: RunRecord, *, plain_data: bool
) -> Iterator[str]:
    try:
        header = weights.read_header(path)
        bad = weights.not_finite(path, header)
    except InputError:
        yield "cannot be read"
        return
    if bad:
        yield f"is full of NaN ({len(bad)} of {len(header.tensors)} tensors)"
    metadata = header.metadata
    epoch = metadata.get("ss_epoch", "")
    expected = outcome.epoch_of(planned, path)
    if epoch.isdigit() and int(epoch) != expected:
        yield f"is of epoch {epoch}, not {expected}"
    for key in _WRITTEN:
        text = metadata.get(f"ss_{key}")
        if text is not None and asked.get(key) is not None and not _same(asked[key], text):
            yield f"was trained with {key} {text}, not {asked[key]}"
    started = _number(metadata.get("ss_training_started_at", ""))
    first = min((attempt.started_at for attempt in record.attempts), default=None)
    if started is not None and first is not None and started < first - _CLOCK_S:
        yield "is older than this training"
    yield from _dataset_problems(planned, metadata, plain=plain_data)


def _dataset_problems(planned: TrainingPlanned, metadata: Mapping[str, str], *, plain: bool) -> Iterator[str]:
    folders = _json(metadata, "ss_dataset_dirs")
    if isinstance(folders, dict) and folders and not _sets_aside(planned):
        for group in planned.dataset.groups:
            entry = folders.get(group.folder.name)
            seen = (entry.get("n_repeats"), entry.get("img_count")) if isinstance(entry, dict) else (0, 0)
            if seen != (group.repeats, len(group.pictures)):
                count = f"{len(group.pictures)} pictures × {group.repeats}"
                yield f"saw {seen[1]} pictures × {seen[0]} of {group.folder.name}, not {count}"
    described = _json(metadata, "ss_datasets")
    if not isinstance(described, list):
        return
    for wanted, entry in zip(planned.dataset_values["datasets"], described, strict=False):
        if not isinstance(entry, dict):
            continue
        size = wanted.get("resolution")
        size = [size, size] if isinstance(size, int) else size
        if plain and isinstance(entry.get("resolution"), list) and size is not None and entry["resolution"] != [*size]:
            yield f"was trained at resolution {entry['resolution']}, not {[*size]}"


def _sets_aside(planned: TrainingPlanned) -> bool:
    """Whether some pictures are kept for validation, and are thus not counted."""
    places = [planned.values, planned.dataset_values.get("general") or {}, *planned.dataset_values["datasets"]]
    places += [subset for entry in planned.dataset_values["datasets"] for subset in entry.get("subsets") or ()]
    return any(place.get("validation_split") for place in places)


def _praise(planned: TrainingPlanned, files: list[Path]) -> tuple[str, ...]:
    final = weights.read_header(planned.final_file).metadata
    checked = sum(planned.values.get(key) is not None and f"ss_{key}" in final for key in _WRITTEN)
    pictures = final.get("ss_num_train_images", "")
    return (
        f"All {len(files)} LoRA files are there, whole and free of NaN.",
        f"{checked} values of their metadata are as asked.",
        *((f"{pictures} pictures an epoch were seen, repeats counted.",) if pictures.isdigit() else ()),
        *((f"Trained by sd-scripts {commit}.",) if (commit := final.get("ss_sd_scripts_commit_hash", "")) else ()),
    )


def _same(asked: Any, text: str) -> bool:
    if isinstance(asked, bool) or not isinstance(asked, (int, float)):
        return str(asked) == text
    number = _number(text)
    return number is not None and abs(number - asked) <= 1e-9 * max(1.0, abs(asked))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _json(metadata: Mapping[str, str], key: str) -> Any:
    try:
        return json.loads(metadata.get(key, "null"))
    except (ValueError, RecursionError):
        return None
