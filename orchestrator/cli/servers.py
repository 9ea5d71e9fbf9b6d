"""The A1111 servers a command draws on; what happens to them meanwhile is told to the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator import installs
from orchestrator.cli.console import note
from orchestrator.cli.options import asked_to_wait

if TYPE_CHECKING:
    from orchestrator.installs import Servers
    from orchestrator.settings import Settings


@contextlib.contextmanager
def open_servers(settings: Settings, *, draws: bool = True) -> Iterator[Servers]:
    """The settings' servers, ready to be asked. A webui that we start is ended with the block.

    With `draws`, not before the card is free of trainings of ours. Raises `CardTaken`.
    """
    if draws:
        from orchestrator.night.keyboard import for_drawing

        for_drawing(settings, wait=asked_to_wait(), say=note)
    with installs.open_servers(settings, note) as servers:
        yield servers
