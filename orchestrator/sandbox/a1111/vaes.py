"""VAE files and embeddings: listed, hashed, with a visible effect (VAE) or one that is only told (embedding)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

_ENDINGS = (".safetensors", ".pt", ".ckpt")
_SHORT = 10
_TI_DIGITS = 12
_NOTHING = {None, "", "None", "Automatic"}
_STRENGTH = 0.05
"""Largest change of one colour channel by a VAE, as a share of full brightness."""


def _files(folder: Path) -> list[Path]:
    found = folder.rglob("*") if folder.is_dir() else []
    return sorted((path for path in found if path.suffix in _ENDINGS), key=lambda path: path.name.lower())


@dataclass(frozen=True)
class Vae:
    """One file; `name` is the file name, as it stands in infotexts."""

    path: Path
    sha256: str

    @property
    def name(self) -> str:
        """With its ending."""
        return self.path.name

    @property
    def short(self) -> str:
        """The ten digits shown."""
        return self.sha256[:_SHORT]

    def tint(self, image: Image.Image) -> Image.Image:
        """Slightly other colours, always the same for the same file content."""
        gains = [1.0 + _STRENGTH * (byte / 127.5 - 1.0) for byte in bytes.fromhex(self.sha256)[:3]]
        return image.point([min(255, round(value * gain)) for gain in gains for value in range(256)])


class VaeFolder:
    """models/VAE."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hashes: dict[tuple[Path, int], str] = {}
        self._known: list[Path] = []
        self.refresh()

    def refresh(self) -> None:
        """Read the folder again."""
        self._known = _files(self._folder)

    def knows(self, name: Any) -> bool:
        """A listed name, or one of the words for none."""
        return name in _NOTHING or any(path.name == name for path in self._known)

    def find(self, name: Any) -> Vae | None:
        """By file name or full path; None for the words that mean none, and for unknown names."""
        path = next((path for path in self._known if name in (path.name, str(path))), None)
        if name in _NOTHING or path is None or not path.is_file():
            return None
        key = (path, path.stat().st_mtime_ns)
        if key not in self._hashes:
            self._hashes[key] = hashlib.sha256(path.read_bytes()).hexdigest()
        return Vae(path, self._hashes[key])

    def listing(self) -> list[dict[str, str]]:
        """GET /sd-vae, and /sd-modules on Forge."""
        return [{"model_name": path.name, "filename": str(path)} for path in self._known]


class Embeddings:
    """embeddings/: words of the prompt that stand for a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, str] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the folder again."""
        self._known = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in _files(self._folder)}

    def listing(self) -> dict[str, Any]:
        """GET /embeddings."""
        about = {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None, "shape": 768, "vectors": 2}
        return {"loaded": {name: dict(about) for name in self._known}, "skipped": {}}

    def hashes(self, texts: Iterable[str]) -> str | None:
        """`TI hashes` of the embeddings named in these texts, None without any."""
        whole = "\n".join(texts)
        named = [name for name in self._known if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", whole)]
        return ", ".join(f"{name}: {self._known[name][:_TI_DIGITS]}" for name in named) or None
