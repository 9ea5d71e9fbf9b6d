"""The queue as a file: to keep, to read, to take to another machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.errors import InputError
from orchestrator.jobs import windows
from orchestrator.jobs.model import PAYLOAD_FORMAT, NewJob
from orchestrator.jobs.store import Store

FORMAT = 1
_FIX = "Only what `orchestrator queue export` wrote can be imported."
_PLAIN: Mapping[str, type | tuple[type, ...]] = {
    "kind": str, "title": str, "workspace": str, "priority": int, "window": str, "retries": int, "needs_card": bool,
    "chain": str, "payload": dict, "needs": list,
}  # fmt: skip


def export(store: Store, *, everything: bool = False) -> dict[str, Any]:
    """The open jobs (with `everything`, all) with what was frozen in them, in plain JSON."""
    jobs = [*store.open_jobs(), *(store.over() if everything else ())]
    jobs.sort(key=lambda job: job.id)
    places = {job.id: place for place, job in enumerate(jobs)}
    out = []
    for job in jobs:
        format_, payload = store.payload(job.id)
        out.append(
            {
                "kind": job.kind, "title": job.title, "state": job.state, "workspace": job.workspace,
                "priority": job.priority, "window": job.window, "at": job.at, "retries": job.retries,
                "needs_card": job.needs_card, "chain": job.chain, "payload_format": format_, "payload": payload,
                "estimate": job.estimate, "needs": [places[need] for need in job.needs if need in places],
            }
        )  # fmt: skip
    return {"made_by": "orchestrator queue", "format": FORMAT, "jobs": out}


def read(content: object) -> list[NewJob]:
    """The jobs of an exported queue, to be added together. Raises `InputError` for anything else."""
    if not isinstance(content, dict) or content.get("made_by") != "orchestrator queue":
        raise InputError("The file is no exported queue.", fix=_FIX)
    if content.get("format") != FORMAT or not isinstance(content.get("jobs"), list):
        raise InputError("The queue was exported by another version of orchestrator.", fix=_FIX)
    return [_job(entry, place, len(content["jobs"])) for place, entry in enumerate(content["jobs"])]


def _job(entry: object, place: int, count: int) -> NewJob:
    where = f"Job {place + 1} of the file"
    if not isinstance(entry, dict):
        raise InputError(f"{where} is none.", fix=_FIX)
    wrong = [name for name, kind in _PLAIN.items() if not isinstance(entry.get(name), kind)]
    needs = entry.get("needs")
    if not wrong and not all(isinstance(need, int) and 0 <= need < count for need in needs or ()):
        wrong.append("needs")
    at = entry.get("at")
    if at is not None and not isinstance(at, (int, float)):
        wrong.append("at")
    if wrong:
        raise InputError(f"{where} cannot be read: {', '.join(wrong)}.", fix=_FIX)
    if entry.get("payload_format") != PAYLOAD_FORMAT:
        raise InputError(f"{where} was frozen by another version of orchestrator.", fix="Add it anew.")
    windows.parse(entry["window"])
    values = {name: entry[name] for name in _PLAIN if name != "needs"}
    return NewJob(**values, at=at, needs=tuple(-need - 1 for need in needs or ()))
