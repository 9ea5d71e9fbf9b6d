"""A run's record put together again from what lies in its folder: configurations, LoRA files, console logs.

What a damaged record still says is kept where it makes sense; what nothing says is left empty, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator import __version__
from orchestrator.errors import InputError, WorkspaceError
from orchestrator.files import read_json, sha256_file
from orchestrator.kohya import console, failure, toml_file, weights
from orchestrator.processes import ProcessId
from orchestrator.training import outcome, samples
from orchestrator.training.attempt import BEGUN_NAME, present
from orchestrator.training.follow import Watch, follow
from orchestrator.training.record import RECORD_NAME, Attempt, RunRecord, SavedFile

#: What the folder itself tells better than any record.
_FROM_THE_FOLDER = frozenset({"format", "name", "status", "files", "attempts", "losses", "samples", "rebuilt", "proof"})


def rebuild(folder: Path) -> RunRecord:
    """The record of the training in `folder`, whatever became of its `run.json`. Writes nothing.

    Its status is `running` where its trainer lives, `finished` where the final LoRA file is whole and free of NaN
    (files of earlier epochs may be gone: the record then lists those there are), else `stopped`. Raises
    `WorkspaceError` when nothing there is a training's.
    """
    old, begun = _mapping(read_json(folder / RECORD_NAME)), _mapping(read_json(folder / BEGUN_NAME))
    values = _toml(folder / "config.toml") or _mapping(old.get("values")) or _mapping(begun.get("values"))
    name = str(values.get("output_name") or folder.name)
    output = folder / "lora"
    whole = outcome.files_of(output, name)[0]
    logs = sorted(folder.glob("console-*.log"), key=_number)
    if not values and not whole and not logs:
        raise WorkspaceError(
            f"{folder} holds no training: no configuration, no LoRA file, no console log.",
            fix="Name another run; `orchestrator runs list` tells which there are.",
        )
    final = output / f"{name}.safetensors"
    metadata = weights.read_header(whole[-1]).metadata if whole else {}
    epochs = _int(values.get("max_train_epochs")) or _int(metadata.get("ss_num_epochs")) or 1
    attempts, losses = _attempts(folder, logs, [*_old_attempts(begun), *_old_attempts(old)], epochs)
    files = tuple(_saved(path, epochs if path == final else _epoch(path)) for path in whole)
    good = final in whole and not outcome.holds_nan(final)
    alive = present(_last_process(attempts), folder.absolute() / "config.toml")
    if alive is not None and attempts:
        attempts[-1] = attempts[-1].model_copy(
            update={"pid": alive.pid, "created": alive.created, "ended_at": None, "why": ""}
        )
    elif good and attempts:
        attempts[-1] = attempts[-1].model_copy(update={"why": ""})
    base = {"path": str(values.get("pretrained_model_name_or_path") or ""), "sha256": "", "family": ""}
    derived: dict[str, Any] = {
        "name": folder.name,
        "status": "running" if alive is not None else "finished" if good else "stopped",
        "fingerprint": "",
        "orchestrator": __version__,
        "computer": "",
        "values": values,
        "dataset_config": _toml(folder / "dataset.toml") or {},
        "dataset": _dataset(_toml(folder / "dataset.toml") or {}),
        "base": base,
        "trainer": {
            "folder": "",
            "script": "",
            "version": _said(metadata, "ss_sd_scripts_commit_hash"),
            "code_hash": "",
        },
        "epochs": epochs,
        "save_every": _int(values.get("save_every_n_epochs")) or epochs,
        "seed": _int(values.get("seed")) or _int(metadata.get("ss_seed")) or 0,
        "attempts": attempts,
        "files": files,
        "losses": losses,
        "final_loss": losses[max(losses)] if good and losses else None,
        "seconds": round(sum(max((a.ended_at or a.started_at) - a.started_at, 0.0) for a in attempts), 3),
        "samples": [sample.file.relative_to(folder).as_posix() for sample in samples.drawn(output)],
        "rebuilt": True,
    }
    record = RunRecord.model_validate(derived)
    for told in (begun, old):
        record = _with_old(record, derived, told)
    return record


def _with_old(record: RunRecord, derived: Mapping[str, Any], old: Mapping[str, Any]) -> RunRecord:
    """`record` with what an old one says, entry by entry as far as it makes sense."""
    for key in RunRecord.model_fields.keys() - _FROM_THE_FOLDER:
        if old.get(key) in (None, "", {}, [], ()):
            continue
        try:
            checked = RunRecord.model_validate({**derived, key: old[key]})
        except ValidationError:
            continue
        record = record.changed(**{key: getattr(checked, key)})
    return record


def _attempts(
    folder: Path, logs: list[Path], old: list[Attempt], epochs: int
) -> tuple[list[Attempt], dict[int, float]]:
    """One attempt for each console log, and the losses of all of them."""
    known = {attempt.log: attempt for attempt in old}
    attempts: list[Attempt] = []
    losses: dict[int, float] = {}
    for log in logs:
        before = known.get(log.name)
        begun = _first_epoch(log) - 1 if before is None else before.resumed_from
        watch = Watch(folder.name, epochs, 1, begun, lambda _: None)
        follow(log, watch, lambda: False, poll_s=0.0)
        losses |= watch.losses
        ended = log.stat().st_mtime
        reason = failure.explain(watch.said, None)
        attempt = before or Attempt(
            command=(),
            environment={},
            log=log.name,
            resumed_from=begun,
            started_at=min(_session_start(folder, ended, attempts) or ended, ended),
            kind="state" if begun else "new",
            why=reason.why if reason is not None else "the trainer ended while nobody watched",
        )
        known.pop(log.name, None)
        attempts.append(
            attempt.model_copy(
                update={
                    "ended_at": attempt.ended_at or ended,
                    "steps": watch.covered,
                    "step_s": attempt.step_s or watch.pace.usual_s,
                }
            )
        )
    # Logs may have been thrown away to save room; the attempts were there all the same.
    attempts += [each.model_copy(update={"ended_at": each.ended_at or each.started_at}) for each in known.values()]
    return sorted(attempts, key=lambda each: each.started_at), losses


def _old_attempts(old: Mapping[str, Any]) -> list[Attempt]:
    given = old.get("attempts")
    found = []
    for entry in given if isinstance(given, list) else []:
        try:
            found.append(Attempt.model_validate(entry))
        except ValidationError:
            continue
    return found


def _first_epoch(log: Path) -> int:
    parser = console.Parser(every_step=False)
    with log.open("rb") as stream:
        while data := stream.read(1 << 16):
            for event in parser.feed(data):
                if isinstance(event, console.EpochStarted):
                    return event.epoch
    return 1


def _session_start(folder: Path, ended: float, before: list[Attempt]) -> float | None:
    """When the session that ended then began, by the LoRA files it made."""
    since = max((each.ended_at or 0.0 for each in before), default=0.0)
    starts = []
    for path in (folder / "lora").glob("*.safetensors"):
        try:
            starts.append(float(weights.read_header(path).metadata.get("ss_training_started_at", "")))
        except (InputError, ValueError):
            continue
    return min((start for start in starts if since <= start <= ended), default=None)


def _dataset(config: Mapping[str, Any]) -> dict[str, Any]:
    """Where the dataset lies: the folder that holds all of its groups."""
    folders = {
        str(Path(str(subset["image_dir"])).parent)
        for entry in config.get("datasets") or ()
        for subset in entry.get("subsets") or ()
        if subset.get("image_dir")
    }
    return {"folder": folders.pop()} if len(folders) == 1 else {}


def _saved(path: Path, epoch: int) -> SavedFile:
    return SavedFile(file=path.name, epoch=epoch, sha256=sha256_file(path), size=path.stat().st_size)


def _epoch(path: Path) -> int:
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdigit() else 0


def _last_process(attempts: list[Attempt]) -> ProcessId | None:
    last = attempts[-1] if attempts else None
    return None if last is None or last.pid is None or last.created is None else ProcessId(last.pid, last.created)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return toml_file.read(path) if path.is_file() else {}
    except InputError:
        return {}


def _number(path: Path) -> int:
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdigit() else 0


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _int(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _said(metadata: Mapping[str, str], key: str) -> str:
    text = metadata.get(key, "")
    return "" if text in {"None", "(unknown)"} else text
