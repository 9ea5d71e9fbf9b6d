"""Names as one server knows them: samplers with their schedules, forks with their versions, near misses."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from orchestrator.a1111.dialect import dialect_of_version


def server_version(version: str) -> str:
    """`A1111 v1.10.1`, `Forge f2.0.1v1.10.1…`: the fork with its version, which together decide pixels.

    `version` is what the server writes into its infotexts.
    """
    fork = dialect_of_version(version)
    return f"{fork.name if fork else 'A1111'} {version}" if version else ""


def split_sampler(
    sampler: str, scheduler: str, samplers: Iterable[str], schedulers: Mapping[str, str]
) -> tuple[str, str]:
    """(sampler, schedule) as this server takes them.

    `DPM++ 2M Karras`, the name of before 1.9, becomes `DPM++ 2M` and `Karras`. `schedulers` maps every name and label
    the server takes for a schedule to its label; a server without schedules (forge-classic) has none, and its samplers
    keep the schedule in their names.
    """
    known = set(samplers)
    if not schedulers:
        together = f"{sampler} {scheduler}".strip()
        if together in known:
            return together, ""
        # "Automatic" is what a sampler without a schedule in its name does; any other is refused before it is sent.
        return sampler, "" if scheduler.casefold() == "automatic" or sampler.endswith(f" {scheduler}") else scheduler
    if sampler in known:
        return sampler, scheduler
    for name, label in sorted(schedulers.items(), key=lambda pair: -len(pair[0])):
        bare = sampler[: -len(name) - 1]
        if sampler.casefold().endswith(f" {name.casefold()}") and bare in known:
            return bare, label
    return sampler, scheduler


def unknown(kind: str, name: str, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> str:
    """The sentence for a name the server does not know, with the name that was probably meant.

    `aliases` maps other names of a thing, which the API does not take, to the one it takes.
    """
    names = sorted(set(known))
    alias = (aliases or {}).get(name)
    if alias:
        return f"A1111 takes the {kind} {name!r} only as {alias!r} (the other is an alias, which it does not take)."
    exact = next((n for n in names if n.casefold() == name.casefold()), None)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if exact or close:
        return f"A1111 has no {kind} {name!r}. Did you mean {exact or close[0]!r}?"
    return f"A1111 has no {kind} {name!r}. It has: {', '.join(names[:12]) or 'none'}."
