"""What A1111 was asked to give up, written down so that it is given back even after our death."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.files import read_json, write_json
from orchestrator.processes import ProcessId


@dataclass(frozen=True)
class Lent:
    """`unloaded` are the addresses of servers that were asked to unload. `webui` is a webui that we started and that
    runs, by address, process number and its start time: whoever comes after us may end it.
    """

    unloaded: tuple[str, ...] = ()
    webui: tuple[str, int, float] | None = None

    @property
    def process(self) -> ProcessId | None:
        """The webui's process."""
        return None if self.webui is None else ProcessId(self.webui[1], self.webui[2])


def read(path: Path) -> Lent:
    """The note at `path`; an empty one where there is none."""
    kept = read_json(path)
    try:
        unloaded = tuple(map(str, kept["unloaded"]))
        webui = kept["webui"]
        return Lent(unloaded, None if webui is None else (str(webui[0]), int(webui[1]), float(webui[2])))
    except (TypeError, KeyError, ValueError, IndexError):
        return Lent()


def write(path: Path, lent: Lent) -> None:
    """Keep the note; an empty one is no file. Raises `StorageError`."""
    if lent == Lent():
        path.unlink(missing_ok=True)
    else:
        write_json(path, asdict(lent))
