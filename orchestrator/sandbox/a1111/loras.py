"""LoRA files as the server knows them: stems, aliases, clashes, hashes, and what is loaded right now."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import painting
from .painting import Weights
from .prompts import LoraTag

_ENDINGS = (".safetensors", ".pt", ".ckpt")
_SHOWN_FIRST = ("ss_sd_model_name", "ss_resolution", "ss_clip_skip", "ss_num_train_images", "ss_tag_frequency")
_HASH_DIGITS = 12
_READ_FILES_KEPT = 24


def read_metadata(path: Path) -> dict[str, Any]:
    """`__metadata__` of a .safetensors header with its nested JSON opened; empty for a file whose header
    cannot be read."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            found = json.loads(file.read(size))["__metadata__"] if 2 < size < path.stat().st_size else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    if not isinstance(found, dict):
        return {}
    opened: dict[str, Any] = {}
    for key in sorted(found, key=lambda key: _SHOWN_FIRST.index(key) if key in _SHOWN_FIRST else len(_SHOWN_FIRST)):
        opened[key] = found[key]
        if isinstance(found[key], str) and found[key].startswith("{"):
            with contextlib.suppress(ValueError):
                opened[key] = json.loads(found[key])
    return opened


def content_hash(path: Path) -> str:
    """Sha256 of everything after the header, which is what kohya writes as sshs_model_hash."""
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        return (
            hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file.read())
        )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class LoraFile:
    """A listed file. Its metadata and hash are those of the moment it was listed, whatever the file became since."""

    stem: str
    path: Path
    metadata: dict[str, Any] = field(default_factory=dict)
    hash: str = ""

    @property
    def alias(self) -> str:
        """ss_output_name, shared by all epochs of a run, or the stem."""
        return str(self.metadata.get("ss_output_name") or self.stem)

    @property
    def short_hash(self) -> str:
        """The twelve digits of `Lora hashes`."""
        return self.hash[:_HASH_DIGITS]


def _listed(path: Path) -> LoraFile:
    metadata = read_metadata(path)
    return LoraFile(path.stem, path, metadata, str(metadata.get("sshs_model_hash") or ""))


@dataclass(frozen=True)
class Loaded:
    """A LoRA in the model: the listed file it was loaded from and what its tensors hold."""

    name: str
    file: LoraFile
    mtime: float
    weights: Weights
    shown_hash: str = ""
    """The digits of `Lora hashes`; "" when the server does not tell any."""

    @property
    def learned(self) -> Any:
        """What the painter makes of it."""
        return self.weights.learned


class LoraShelf:
    """All LoRA files under models/Lora."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._by_stem: dict[str, LoraFile] = {}
        self._by_name: dict[str, LoraFile] = {}
        self._clashing: set[str] = set()
        self._loaded: dict[str, Loaded] = {}
        self._contents: OrderedDict[tuple[str, int, int], Weights] = OrderedDict()
        self.refresh()

    def refresh(self) -> None:
        """Forget everything listed and read the folder again; loaded LoRAs stay loaded."""
        with self._lock:
            self._by_stem, self._by_name, self._clashing = {}, {}, {"none"}
            self._register(None)

    def _files(self) -> Iterator[Path]:
        for folder, subfolders, names in os.walk(self._folder):
            subfolders.sort()
            for name in sorted(names, key=str.lower):
                if name.endswith(_ENDINGS) and not name.startswith("."):
                    yield Path(folder, name)

    def _register(self, stems: set[str] | None) -> None:
        for path in self._files():
            if stems is not None and path.stem not in stems:
                continue
            entry = _listed(path)
            self._by_stem[entry.stem] = entry
            if entry.alias in self._by_name:
                self._clashing.add(entry.alias.lower())
            self._by_name[entry.stem] = entry
            self._by_name[entry.alias] = entry

    def _resolve(self, name: str) -> LoraFile | None:
        return (self._by_stem if name.lower() in self._clashing else self._by_name).get(name)

    def find(self, names: Iterable[str]) -> dict[str, LoraFile | None]:
        """Stem, or alias unless several files share it. An unknown name makes the server look into the folder again."""
        wanted = list(names)
        with self._lock:
            unknown = {name for name in wanted if self._resolve(name) is None}
            if unknown:
                self._register(unknown)
            if any(self._resolve(name) is None for name in wanted):
                self.refresh()
            return {name: self._resolve(name) for name in wanted}

    def load(self, tags: Iterable[LoraTag]) -> list[tuple[Loaded, float, float]]:
        """(LoRA, text-encoder weight, UNet weight) of every tag that means something; what cannot be found or
        read is left out silently.

        A weight that is no number makes the whole list be ignored, as on the real server.
        """
        try:
            asked = [(tag.name, *tag.weights()) for tag in tags]
        except (ValueError, IndexError):
            asked = []
        with self._lock:
            found = self.find(name for name, _, _ in asked)
            kept: dict[str, Loaded] = {}
            for name, file in found.items():
                loaded = self._load_one(name, file)
                if loaded is not None:
                    kept[name] = loaded
            self._loaded = kept
        return [(kept[name], text, unet) for name, text, unet in asked if name in kept]

    def _load_one(self, name: str, file: LoraFile | None) -> Loaded | None:
        if file is None:
            return None
        try:
            status = file.path.stat()
            before = self._loaded.get(name)
            if before is not None and status.st_mtime <= before.mtime:
                return before
            content = self._content(file.path, status)
            if not file.hash:
                file.hash = content_hash(file.path)
            loaded = Loaded(name, file, status.st_mtime, content, file.short_hash)
        except Exception:  # an unreadable LoRA is left out without a word: the trap a client has to survive
            return None
        return loaded

    def _content(self, path: Path, status: os.stat_result) -> Weights:
        key = (str(path), status.st_mtime_ns, status.st_size)
        if key not in self._contents:
            self._contents[key] = painting.weights(path)
            while len(self._contents) > _READ_FILES_KEPT:
                self._contents.popitem(last=False)
        return self._contents[key]

    def preferred_names(self, by_file_name: bool) -> dict[str, str]:
        """Short hash -> the name the server itself writes for that LoRA: its alias, or the stem if the alias
        clashes."""
        with self._lock:
            return {
                file.short_hash: file.stem if by_file_name or file.alias.lower() in self._clashing else file.alias
                for file in self._by_stem.values()
                if file.hash
            }

    def stems(self) -> set[str]:
        """Names as listed."""
        with self._lock:
            return set(self._by_stem)

    def listing(self) -> list[dict[str, Any]]:
        """GET /loras: also files deleted since the last refresh."""
        with self._lock:
            return [
                {"name": one.stem, "alias": one.alias, "path": str(one.path), "metadata": one.metadata}
                for one in self._by_stem.values()
            ]
