"""Options of the user's A1111, borrowed and given back.

A1111 writes every changed option to the user's config.json, so a run that dies half-way would leave its changes there
for good. What is changed is first written to a journal in the workspace; the next run finds it and puts the options
back before anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from orchestrator.files import read_json, write_json


class Options(Protocol):
    """The part of an A1111 client that reads and changes its options."""

    def options(self) -> Mapping[str, Any]:
        """All options."""

    def set_options(self, values: Mapping[str, Any], /) -> None:
        """Change some; A1111 saves them."""


@contextmanager
def borrowed_options(server: Options, wanted: Mapping[str, Any], journals: Path) -> Iterator[None]:
    """Set `wanted` for the time of the block and put the old values back after it, whatever happens in it.

    `journals` is the folder that remembers them meanwhile. Options the server does not have are left alone (it refuses
    unknown names). When the server is gone at the end, the journal stays and `give_back` undoes the change on the next
    run.
    """
    give_back(server, journals)
    before = server.options()
    changed = {name: before[name] for name, value in wanted.items() if name in before and before[name] != value}
    if not changed:
        yield
        return
    journal = journal_of(server, journals)
    write_json(journal, {"url": _url(server), "options": changed})
    try:
        server.set_options({name: wanted[name] for name in changed})
        yield
    finally:
        server.set_options(changed)
        journal.unlink(missing_ok=True)


def give_back(server: Options, journals: Path) -> bool:
    """Undo what an interrupted run left changed on this server; tells whether there was anything."""
    journal = journal_of(server, journals)
    left = read_json(journal)
    if not isinstance(left, dict) or not isinstance(left.get("options"), dict):
        return False
    server.set_options(left["options"])
    journal.unlink(missing_ok=True)
    return True


def journal_of(server: object, journals: Path) -> Path:
    """The journal of this server; each has its own, so that one's options are never set on another."""
    return journals / f"options-{hashlib.sha256(_url(server).encode('utf-8')).hexdigest()[:12]}.json"


def _url(server: object) -> str:
    return str(getattr(server, "url", ""))
