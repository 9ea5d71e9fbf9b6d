"""The card for commands at the keyboard: who has it is told, and waited for where that was asked.

Two trainings never share a card, whoever began them. Drawing goes beside drawing, for A1111 lets requests wait by
itself; beside a training it would be slow, or end it for want of memory. What only simulates a card never waits for
the real one, nor the real one for it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import orchestrator
from orchestrator.errors import CardTaken, OrchestratorError
from orchestrator.gpu import Holder, Lease
from orchestrator.jobs.place import state_folder

if TYPE_CHECKING:
    from orchestrator.settings import Settings
    from orchestrator.training.events import TrainingEvent
    from orchestrator.training.plan import TrainingPlanned

#: How often it is looked whether the card is free. A look may have to go through all processes of the machine.
_AGAIN_S = 2.0

Say = Callable[[str], object]
#: Makes of a listener of a training one that also keeps the lease's note.
Listening = Callable[["Callable[[TrainingEvent], None]"], "Callable[[TrainingEvent], None]"]


@contextlib.contextmanager
def for_training(planned: TrainingPlanned, *, wait: bool, say: Say) -> Iterator[Listening]:
    """Have every card of a training for as long as the block takes.

    One that is finished or simulated needs none, and one that runs already is watched without. Raises `CardTaken` when
    somebody else computes on one and `wait` is not asked.
    """
    from orchestrator.kohya import command
    from orchestrator.training.events import Started
    from orchestrator.training.run import is_finished

    if _simulated(planned) or is_finished(planned):
        yield lambda tell: tell
        return
    holder = Holder(title=f"train {planned.name}", signs=command.signs(planned.config))
    leases = [Lease(number, state_folder() / "cards") for number in sorted(cards(planned.launch.gpus))]
    with contextlib.ExitStack() as stack:
        for lease in leases:
            stack.callback(lease.release)
        _take(leases, holder, wait=wait, say=say)
        held = [lease for lease in leases if lease.held]
        for lease in held:
            lease.use(holder)

        def listening(tell: Callable[[TrainingEvent], None]) -> Callable[[TrainingEvent], None]:
            def hear(event: TrainingEvent) -> None:
                if isinstance(event, Started):
                    for lease in held:
                        lease.use(replace(holder, pid=event.pid))
                tell(event)

            return hear

        try:
            yield listening
        finally:
            if holder.trainer() is None:
                for lease in held:
                    lease.use(Holder())


def for_drawing(settings: Settings, *, wait: bool, say: Say) -> None:
    """Return when no training of ours computes on the card of this machine's A1111; at once where it is elsewhere.

    Raises `CardTaken` when one does and `wait` is not asked.
    """
    if not any(address.on_this_machine for address in settings.addresses()):
        return
    lease = Lease(min(cards()), state_folder() / "cards")
    waited = False
    while (holder := _training_on(lease)) is not None:
        if not waited and not _draws_here(settings):
            return
        if not wait:
            raise CardTaken(
                f"The graphics card is taken: {whose(holder)}.",
                cause="Drawing beside a training is slow for both, and may end it for want of memory.",
                fix=f"--wait waits for it. {_cure(holder)}",
            )
        if not waited:
            say(f"Waiting for the graphics card: {whose(holder)}.")
        waited = True
        time.sleep(_AGAIN_S)


def cards(gpus: Sequence[int] = (), environment: Mapping[str, str] = os.environ) -> set[int]:
    """The cards something of ours computes on: those named, else the first that it is let see."""
    first = environment.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    return set(gpus) or {int(first) if first.isdigit() else 0}


def whose(holder: Holder) -> str:
    """`job 3 of the queue (train ai_model_v1) has it since 23:12`."""
    if not holder.title:
        return "another command or queue of ours has just taken it"
    who = f"job {holder.job} of the queue" if holder.job else "a command at the keyboard"
    since, now = time.localtime(holder.since), time.localtime()
    clock = time.strftime("%H:%M" if since[:3] == now[:3] else "%d %b %H:%M", since)
    return f"{who} ({holder.title}) has it since {clock}"


def _cure(holder: Holder) -> str:
    if holder.job:
        return f"`orchestrator queue show {holder.job}` says how far it is, `queue pause {holder.job}` pauses it."
    return "Or let the queue do it when its turn comes: `orchestrator queue add`."


def _simulated(planned: TrainingPlanned) -> bool:
    return planned.install.root.resolve().is_relative_to(Path(orchestrator.__file__).parent / "sandbox")


def _take(leases: Sequence[Lease], holder: Holder, *, wait: bool, say: Say) -> None:
    """Take all, or none where the very training runs already: it is watched, and whoever began it has the card."""
    said = False
    while (other := _first_taken(leases, holder)) is not None:
        for lease in leases:
            lease.release()
        if other.signs == holder.signs and other.trainer() is not None:
            return
        if not wait:
            raise CardTaken(
                f"The training was not started, for the graphics card is taken: {whose(other)}.",
                fix=f"--wait waits for it. {_cure(other)}",
            )
        if not said:
            say(f"Waiting for the graphics card: {whose(other)}.")
        said = True
        time.sleep(_AGAIN_S)


def _first_taken(leases: Sequence[Lease], holder: Holder) -> Holder | None:
    """Who has one of the cards; None = now we have them all."""
    for lease in leases:
        if not lease.take():
            return lease.before()
        before = lease.before()
        if before.signs and before.signs != holder.signs and before.trainer() is not None:
            return before  # its command is gone, and it trains on
    return None


def _training_on(lease: Lease) -> Holder | None:
    holder = lease.before()
    if not holder.signs:
        return None
    return holder if lease.is_taken() or holder.trainer() is not None else None


def _draws_here(settings: Settings) -> bool:
    """Whether a server of this machine draws on its card, and does not only simulate that."""
    from orchestrator.a1111.connection import port_is_open
    from orchestrator.installs import open_clients
    from orchestrator.settings import is_loopback

    with contextlib.ExitStack() as stack:
        for client in [stack.enter_context(each) for each in open_clients(settings)]:
            if not is_loopback(client.url):
                continue
            if not port_is_open(client.url):
                return True  # it will be started, and then it is a real one
            with contextlib.suppress(OrchestratorError):
                client.progress()
            if not client.simulated:
                return True
    return False
