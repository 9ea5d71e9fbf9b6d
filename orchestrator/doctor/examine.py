"""All checks together: the servers side by side, this machine meanwhile."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from orchestrator.doctor import kohya, machine, server
from orchestrator.doctor.finding import Examination, Finding, guarded, sorted_by_area
from orchestrator.doctor.server import Seen
from orchestrator.errors import InputError
from orchestrator.profile.model import Profile
from orchestrator.settings import ServerAddress, Settings
from orchestrator.workspace import Workspace

AGREEMENT = "Servers"
SETTINGS = "Settings"


def examine(settings: Settings, workspace: Workspace | None = None, profile: Profile | None = None) -> Examination:
    """Look at everything; what belongs to a workspace only where there is one. Draws nothing, changes nothing."""
    findings: list[Finding] = []
    try:
        addresses = settings.addresses()
    except InputError as error:
        addresses = ()
        findings.append(unusable_settings(error))
    with ThreadPoolExecutor(max_workers=len(addresses) + 2) as pool:
        looks = [pool.submit(_look, address, profile) for address in addresses]
        training = pool.submit(guarded, kohya.KOHYA, partial(kohya.about_kohya, settings, profile))
        vision = pool.submit(guarded, machine.VISION, machine.about_vision)
        seen = [one.result() for one in looks]
    for one in _judged(seen, settings):
        findings += sorted_by_area(one.findings, server.AREAS)
    findings += _agreement(seen)
    if addresses:
        findings += guarded(machine.STARTED, lambda: machine.about_started(settings))
    findings += [*training.result(), *vision.result()]
    findings += guarded(machine.NOTIFY, lambda: machine.about_notifications(settings))
    if workspace:
        findings += guarded(machine.DISK, lambda: machine.about_disk(workspace))
    return Examination(tuple(findings))


def unusable_settings(error: InputError) -> Finding:
    """The finding for settings that cannot be used at all."""
    return Finding(
        SETTINGS,
        error.what.rstrip("."),
        "blocker",
        ("pictures", "training", "grids", "evaluation"),
        error.cause,
        error.fix,
    )


def _look(address: ServerAddress, profile: Profile | None) -> Seen:
    seen: list[Seen] = []

    def check() -> Iterator[Finding]:
        seen.append(server.look(address, profile))
        yield from ()

    failed = guarded(server.SERVER, check, server=address.url)
    return seen[0] if seen else Seen(address, tuple(failed))


def _judged(seen: Sequence[Seen], settings: Settings) -> Iterator[Seen]:
    """`seen`, with what does not answer weighed by what does: others take over a dead server's work, and one that we
    start ourselves need not run yet.
    """
    others_answer = any(one.answers for one in seen)
    for index, one in enumerate(seen):
        if one.refused and index == 0 and settings.a1111_command and one.address.on_this_machine:
            started = Finding(
                server.SERVER,
                f"{one.address.url} does not run; it is started when it is needed (a1111_command)",
                "optional",
                server=one.address.url,
            )
            yield dataclasses.replace(one, findings=(started,))
        elif not one.answers and others_answer:
            softened = tuple(
                dataclasses.replace(f, level="warning", stops=()) if f.level == "blocker" else f for f in one.findings
            )
            yield dataclasses.replace(one, findings=softened)
        else:
            yield one


def _agreement(seen: Sequence[Seen]) -> Iterator[Finding]:
    """Whether servers that share the work are alike."""
    alive = [one for one in seen if one.answers]
    if len(alive) < 2:
        return
    kinds = {one.address.url: " ".join(filter(None, (one.dialect, one.version))) for one in alive}
    if len(set(kinds.values())) > 1:
        listed = "; ".join(f"{url} is {kind or 'unknown'}" for url, kind in kinds.items())
        yield Finding(
            AGREEMENT,
            f"they differ: {listed}",
            "warning",
            cause="Forks and versions draw other pixels from the same seed, so cells of one grid stay on one server.",
            fix="Update them to the same version, or name only one of them for what is compared.",
        )
    else:
        told = next(iter(kinds.values()))
        yield Finding(AGREEMENT, f"{len(alive)} of {len(seen)} answer, all of them {told or 'of the same kind'}")
