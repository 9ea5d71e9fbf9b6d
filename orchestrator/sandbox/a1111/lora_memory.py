"""LoRA files as the forks treat them: all or none of a prompt, and held in memory by path, whatever the file became."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from . import painting
from .dialects import Dialect
from .failures import ServerError
from .loras import Loaded, LoraFile, LoraShelf, content_hash
from .painting import Weights
from .prompts import LoraTag

_BUS_ERROR_CODE = 135
_MISFIT = "The size of tensor a (320) must match the size of tensor b (64) at non-singleton dimension 1"

Asked = list[tuple[str, float, float]]


def shelf(folder: Path, dialect: Dialect) -> LoraShelf:
    """The LoRA files of a server of this dialect."""
    return ForkShelf(folder, dialect) if dialect.keeps_files else LoraShelf(folder)


def bus_error() -> None:
    """The process dies as it does when a mapped file shrinks under it."""
    sys.stderr.write("Bus error (core dumped)\n")
    sys.stderr.flush()
    os._exit(_BUS_ERROR_CODE)


@dataclass
class _Held:
    """A file mapped into memory. Replaced on disk, the old one stays mapped; overwritten in place, it changes too."""

    weights: Weights
    inode: int
    mtime: float
    size: int


class ForkShelf(LoraShelf):
    """As LoraShelf, with the memory of Forge, reForge and classic."""

    def __init__(self, folder: Path, dialect: Dialect, die: Callable[[], None] = bus_error) -> None:
        super().__init__(folder)
        self._dialect = dialect
        self._die = die
        self._held: OrderedDict[Path, _Held] = OrderedDict()
        self._applied: Asked = []

    def load(self, tags: Iterable[LoraTag]) -> list[tuple[Loaded, float, float]]:
        """As LoraShelf, but a name that cannot be found leaves nothing of the prompt's LoRAs.

        Raises:
            ServerError: RuntimeError on Forge for a LoRA whose sizes do not fit.
        """
        try:
            asked: Asked = [(tag.name, *tag.weights()) for tag in tags]
        except (ValueError, IndexError):
            asked = []
        if self._dialect.counts_lora_once:
            asked = list({entry[0]: entry for entry in reversed(asked)}.values())[::-1]
        with self._lock:
            files = self.find(name for name, _, _ in asked)
            if any(file is None for file in files.values()):
                asked = []
            same, self._applied = asked == self._applied, asked
            loaded = [(self._hold(name, files[name], same), text, unet) for name, text, unet in asked]
        return [(one, text, unet) for one, text, unet in loaded if one is not None]

    def _hold(self, name: str, file: LoraFile | None, same: bool) -> Loaded | None:
        if file is None:
            return None
        held = self._held.get(file.path) or self._map(file.path)
        if held is None:
            return None
        self._held[file.path] = held
        self._held.move_to_end(file.path)
        while len(self._held) > self._dialect.keeps_files:
            self._held.popitem(last=False)
        if not same:  # while the same LoRAs stay applied, nobody looks at the mapped bytes
            self._look_again(file.path, held)
        if not held.weights.fits and self._dialect.misfit == "error":
            raise ServerError("RuntimeError", _MISFIT)
        return Loaded(name, file, held.mtime, held.weights, self._shown(file))

    def _map(self, path: Path) -> _Held | None:
        try:
            status = path.stat()
            return _Held(painting.weights(path), status.st_ino, status.st_mtime, status.st_size)
        except Exception:  # an unreadable LoRA is left out without a word
            if self._dialect.renames_broken_loras and path.is_file():
                path.replace(path.with_name(f"{path.name}.corrupted"))
            return None

    def _look_again(self, path: Path, held: _Held) -> None:
        try:
            status = path.stat()
        except OSError:
            return
        if status.st_ino != held.inode or status.st_mtime == held.mtime:
            return
        if status.st_size < held.size:
            self._die()
        held.weights, held.mtime = painting.weights(path), status.st_mtime

    def _shown(self, file: LoraFile) -> str:
        if not file.path.is_file():
            return ""
        if not file.hash:
            whole = self._dialect.hashes_whole_file
            file.hash = hashlib.sha256(file.path.read_bytes()).hexdigest() if whole else content_hash(file.path)
        return file.short_hash
