"""Sampler and scheduler names, with the server's silent fallbacks."""

from __future__ import annotations

from typing import Any

from .facts import table

AUTOMATIC = "Automatic"


def _scheduler_names(entry: dict[str, Any]) -> list[str]:
    return [entry["label"], entry["name"], *(entry["aliases"] or [])]


def scheduler_label(name: str | None) -> str:
    """The label of a scheduler given by name, label or alias; anything unknown is silently Automatic."""
    return next((entry["label"] for entry in table("schedulers") if name in _scheduler_names(entry)), AUTOMATIC)


def choose(name: str, scheduler: str | None) -> tuple[str, str | None]:
    """(sampler, scheduler) for what a client sent.

    `DPM++ 2M Karras` splits into its two halves unless a scheduler was sent too; a name that is not on the
    list is silently `DPM++ 2M`, aliases and other spellings of case included.
    """
    found = None
    for entry in table("schedulers"):
        ending = next((ending for ending in _scheduler_names(entry) if name.endswith(f" {ending}")), None)
        if ending is not None:
            name, found = name[: -len(ending) - 1], entry
            break
    sampler = next((entry for entry in table("samplers") if entry["name"] == name), table("samplers")[0])
    if not scheduler and found is not None and sampler["options"].get("scheduler") != found["name"]:
        scheduler = found["label"]
    return str(sampler["name"]), scheduler


def find(name: str) -> str:
    """The sampler that really runs under this name."""
    listed: list[str] = [entry["name"] for entry in table("samplers")]
    return name if name in listed else listed[0]


def schedule_type(sampler: str, scheduler: str | None) -> str:
    """What the infotext says: the chosen schedule, or the sampler's own if it was left automatic."""
    label = scheduler_label(scheduler)
    if label != AUTOMATIC or (scheduler and scheduler.lower() != "automatic"):
        return label
    own = next(
        (entry["options"].get("scheduler") for entry in table("samplers") if entry["name"] == find(sampler)), None
    )
    return scheduler_label(own)


def plot_knows(name: str) -> bool:
    """Whether the x/y/z plot takes a sampler name: there any case and the aliases do."""
    plain = name.lower()
    return any(plain in (entry["name"].lower(), *(a.lower() for a in entry["aliases"])) for entry in table("samplers"))
