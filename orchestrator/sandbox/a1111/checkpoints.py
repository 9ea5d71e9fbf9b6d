"""The checkpoints in models/Stable-diffusion and which one is loaded."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .failures import ServerError

_ENDINGS = (".safetensors", ".ckpt")
_SHORT = 10


@dataclass
class Checkpoint:
    """One file; its hash is unknown until it is loaded for the first time."""

    path: Path
    name: str
    sha256: str | None = None

    @property
    def model_name(self) -> str:
        """The stem, as it stands in infotexts."""
        return self.path.stem

    @property
    def short(self) -> str | None:
        """The ten digits shown everywhere."""
        return self.sha256[:_SHORT] if self.sha256 else None

    @property
    def title(self) -> str:
        """`name.safetensors [hash]`, without the hash before the first load."""
        return f"{self.name} [{self.short}]" if self.short else self.name

    def answers_to(self, name: str) -> bool:
        """Title, file name, stem, short or full hash."""
        known = {self.title, self.name, self.model_name, self.path.name, self.short, self.sha256}
        return name in known - {None}


class Checkpoints:
    """The listing and the loaded one; loading happens while the queue is held, listing at any time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._known: list[Checkpoint] = []
        self.loaded: Checkpoint | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the folder again; hashes already computed are kept while the file stays."""
        hashes = {one.path: one.sha256 for one in self._known}
        paths = sorted((p for p in self._folder.rglob("*") if p.suffix in _ENDINGS), key=lambda p: str(p).lower())
        with self._lock:
            self._known = [Checkpoint(p, p.relative_to(self._folder).as_posix(), hashes.get(p)) for p in paths]

    def find(self, name: Any) -> Checkpoint | None:
        """The checkpoint a client means, or None."""
        with self._lock:
            return next((one for one in self._known if isinstance(name, str) and one.answers_to(name)), None)

    def first(self) -> Checkpoint:
        """The one a server without any setting starts with. Raises ServerError when the folder is empty."""
        with self._lock:
            if not self._known:
                raise ServerError("FileNotFoundError", f"No checkpoints found. Looked in {self._folder}")
            return self._known[0]

    def holds(self, wanted: Checkpoint) -> bool:
        """Whether it is the loaded one."""
        return self.loaded is not None and self.loaded.path == wanted.path

    def another(self, name: Any) -> str | None:
        """File name of some checkpoint other than this one; None when there is no other."""
        wanted = self.find(name)
        with self._lock:
            return next((one.name for one in self._known if wanted is None or one.path != wanted.path), None)

    def load(self, wanted: Checkpoint) -> bool:
        """Make it the loaded one; False if it already was."""
        if self.holds(wanted):
            return False
        if wanted.sha256 is None:
            wanted.sha256 = hashlib.sha256(wanted.path.read_bytes()).hexdigest()
        self.loaded = wanted
        return True

    def listing(self) -> list[dict[str, Any]]:
        """GET /sd-models."""
        with self._lock:
            return [
                {
                    "title": one.title,
                    "model_name": one.model_name,
                    "hash": one.short,
                    "sha256": one.sha256,
                    "filename": str(one.path),
                    "config": None,
                }
                for one in self._known
            ]

    def titles(self) -> list[str]:
        """Choices of the checkpoint menus."""
        with self._lock:
            return [one.title for one in self._known]
