"""Sampler and scheduler names, with the server's silent fallbacks."""

from __future__ import annotations

from typing import Any

from .dialects import A1111, Dialect
from .facts import table
from .failures import http_error

AUTOMATIC = "Automatic"


def _scheduler_names(entry: dict[str, Any]) -> list[str]:
    return [entry["label"], entry["name"], *(entry["aliases"] or [])]


def scheduler_label(name: str | None, dialect: Dialect = A1111) -> str:
    """The label of a scheduler given by name, label or alias; anything unknown is silently Automatic."""
    listed = table("schedulers", dialect.name)
    return next((entry["label"] for entry in listed if name in _scheduler_names(entry)), AUTOMATIC)


def choose(name: str, scheduler: str | None, dialect: Dialect = A1111) -> tuple[str, str | None]:
    """(sampler, scheduler) for what a client sent.

    `DPM++ 2M Karras` splits into its two halves unless a scheduler was sent too; a name that is not on the
    list is silently `DPM++ 2M`, aliases and other spellings of case included.

    Raises:
        ServerError: 404, where schedules are part of the samplers' names and this one is on no list.
    """
    listed = table("samplers", dialect.name)
    if not dialect.has_schedulers:
        if name not in [entry["name"] for entry in listed]:
            raise http_error(404, "Sampler not found")
        return name, None
    found = None
    for entry in table("schedulers", dialect.name):
        ending = next((ending for ending in _scheduler_names(entry) if name.endswith(f" {ending}")), None)
        if ending is not None:
            name, found = name[: -len(ending) - 1], entry
            break
    sampler = next((entry for entry in listed if entry["name"] == name), listed[0])
    if not scheduler and found is not None and sampler["options"].get("scheduler") != found["name"]:
        scheduler = found["label"]
    return str(sampler["name"]), scheduler


def find(name: str, dialect: Dialect = A1111) -> str:
    """The sampler that really runs under this name."""
    listed: list[str] = [entry["name"] for entry in table("samplers", dialect.name)]
    return name if name in listed else listed[0]


def schedule_type(sampler: str, scheduler: str | None, dialect: Dialect = A1111) -> str:
    """What the infotext says: the chosen schedule, or the sampler's own if it was left automatic."""
    label = scheduler_label(scheduler, dialect)
    if label != AUTOMATIC or (scheduler and scheduler.lower() != "automatic"):
        return label
    listed, runs = table("samplers", dialect.name), find(sampler, dialect)
    own = next((entry["options"].get("scheduler") for entry in listed if entry["name"] == runs), None)
    return scheduler_label(own, dialect)


def plot_knows(name: str, dialect: Dialect = A1111) -> bool:
    """Whether the x/y/z plot takes a sampler name: there any case and the aliases do."""
    plain, listed = name.lower(), table("samplers", dialect.name)
    return any(plain in (entry["name"].lower(), *(a.lower() for a in entry["aliases"])) for entry in listed)
