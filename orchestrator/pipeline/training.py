"""dataset → training."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator.a1111.client import A1111
    from orchestrator.kohya.install import KohyaInstall
    from orchestrator.profile.model import Guard, Profile
    from orchestrator.training.events import TrainingEvent
    from orchestrator.training.preflight import Ready
    from orchestrator.training.run import TrainingRun
    from orchestrator.workspace import Workspace


#: How long a training that is over waits for A1111 to answer that it has unloaded (it may be drawing), in seconds.
_UNLOADED_WITHIN_S = 10.0


def check_training(profile: Profile, workspace: Workspace, install: KohyaInstall, checkpoint: Path) -> None:
    """Raise `TrainingRefused` with everything that speaks against the training and can be told before there are
    pictures.
    """
    from orchestrator.errors import TrainingRefused
    from orchestrator.training.inputs import Looked
    from orchestrator.training.plan import draft

    problems = draft(profile, install, workspace, checkpoint, Looked(None)).problems
    if problems:
        raise TrainingRefused(problems)


def train_version(
    profile: Profile,
    workspace: Workspace,
    install: KohyaInstall,
    checkpoint: Path,
    *,
    a1111: Callable[[], A1111] | None = None,
    on_event: Callable[[TrainingEvent], None] | None = None,
) -> TrainingRun:
    """dataset → training: train this version, go on with what was interrupted, or return what is finished.

    Nothing is started while anything speaks against it (`TrainingRefused`). With `a1111`, which opens a client, A1111
    frees the graphics card's memory for as long as sd-scripts trains.
    """
    from orchestrator.training.preflight import preflight

    ready = preflight(profile, install, workspace, checkpoint=checkpoint)
    return train_ready(ready, a1111=a1111, on_event=on_event)


def train_ready(
    ready: Ready,
    *,
    a1111: Callable[[], A1111] | None = None,
    on_event: Callable[[TrainingEvent], None] | None = None,
) -> TrainingRun:
    """Train what `preflight` found nothing against. What it doubts is told when the training is really begun."""
    from orchestrator.training.events import Note, Started
    from orchestrator.training.run import train
    from orchestrator.training.runs import note_asked

    doubts = list(ready.doubts)
    with _card_for_training(a1111, on_event) as listener:

        def listen(event: TrainingEvent) -> None:
            if isinstance(event, Started) and not event.adopted and not event.resumed_from:
                while doubts:
                    listener(Note(f"Worth a look: {doubts.pop(0)}"))
            listener(event)

        run = train(ready.planned, on_event=listen)
    note_asked(run.folder)
    return run


def resume_run(
    workspace: Workspace,
    name: str,
    *,
    guard: Guard | None = None,
    a1111: Callable[[], A1111] | None = None,
    on_event: Callable[[TrainingEvent], None] | None = None,
) -> TrainingRun:
    """Go on with the run `name` as it was begun, whatever the profile says by now but for `guard`."""
    from orchestrator.training import runs

    with _card_for_training(a1111, on_event) as listener:
        run = runs.resume(workspace, name, listener, guard=guard)
    runs.note_asked(run.folder)
    return run


@contextlib.contextmanager
def _card_for_training(
    a1111: Callable[[], A1111] | None, on_event: Callable[[TrainingEvent], None] | None
) -> Iterator[Callable[[TrainingEvent], None]]:
    """Gives the listener to train with: A1111 frees the card once the trainer runs, and loads its checkpoint again at
    the end.

    In a thread: sd-scripts takes longer to load than A1111 to unload, and a webui that is drawing or hung must not keep
    the training from starting.
    """
    from orchestrator.training.events import Started

    tell = on_event or (lambda event: None)
    if a1111 is None:
        yield tell
        return
    opened: list[A1111] = []
    threads: list[threading.Thread] = []

    def unload() -> None:
        # A webui that is not running holds nothing; one that cannot unload (forks) may still leave enough memory.
        with contextlib.suppress(OrchestratorError):
            client = a1111()
            client.unload_checkpoint()
            opened.append(client)

    def listen(event: TrainingEvent) -> None:
        if isinstance(event, Started) and not threads:
            threads.append(threading.Thread(target=unload, name="unload A1111", daemon=True))
            threads[0].start()
        tell(event)

    try:
        yield listen
    finally:
        for thread in threads:
            thread.join(_UNLOADED_WITHIN_S)
        for client in opened:
            # The training's own outcome matters more than a webui that was closed meanwhile; it loads by itself when it
            # is asked to draw.
            with contextlib.suppress(OrchestratorError):
                client.reload_checkpoint()
