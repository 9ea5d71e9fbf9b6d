"""Whether LoRA files can be brought to a server: the folder is writable, and it is the one this server reads.

The second cannot be seen from paths, since the server may see the folder by another name (a container, a share). So it
is proven with a canary: a tiny file under a name that was never used is put there, the server is asked for its list,
and the file is taken away again, on Ctrl-C too.
"""

from __future__ import annotations

import contextlib
import json
import re
import struct
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.a1111.client import A1111
from orchestrator.a1111.models import LoraEntry
from orchestrator.doctor.finding import WITH_LORA, Finding
from orchestrator.errors import InputError, StorageError
from orchestrator.files import write_bytes
from orchestrator.lora.deploy import find_lora_folder

AREA = "LoRA folder"
_PREFIX = "orchestrator-canary-"
_CANARY = re.compile(_PREFIX + r"[0-9a-f]{32}\.safetensors")
#: A canary older than this is of a doctor that was killed.
_STALE_S = 60.0
#: A share may show a new file a moment late.
_LOOKS = 3
_PAUSE_S = 0.3


def about_lora_folder(client: A1111, setting: str, *, busy: bool) -> Iterator[Finding]:
    """Whether files put into the server's LoRA folder reach it. `busy`: somebody draws, so nothing is refreshed (A1111
    empties its list for a moment, and a picture begun just then would silently go without its LoRA).
    """
    try:
        folder = find_lora_folder(client, setting or None)
    except InputError as error:
        yield Finding(AREA, error.what.rstrip("."), "blocker", WITH_LORA, error.cause, error.fix)
        return
    _remove_stale(folder)
    try:
        entry = _listed(client, folder, refresh=not busy)
    except StorageError as error:
        yield Finding(
            AREA,
            f"{folder} cannot be written: {error.what.rstrip('.')}",
            "blocker",
            WITH_LORA,
            error.cause or "It belongs to another user, or the share is read-only.",
            "Make the folder writable for this user, or free some space there.",
        )
        return
    if busy:
        yield Finding(
            AREA,
            f"{folder} is writable; whether this server reads it was not tried, because it is drawing",
            "warning",
            cause="Reading the folder anew in the middle of a picture can make A1111 leave out its LoRA.",
            fix="Ask the doctor again when the server is idle.",
        )
    elif entry is None:
        yield Finding(
            AREA,
            f"{folder} is not the folder this server reads",
            "blocker",
            WITH_LORA,
            "A file put there did not appear in its list.",
            "Name its models/Lora as this machine sees it: --lora-folder, or lora_folder in settings.toml.",
        )
    else:
        theirs = Path(entry.path).parent
        here = folder == theirs or (theirs.is_dir() and folder.samefile(theirs))
        yield Finding(
            AREA,
            f"{folder}, writable and read by this server" + ("" if here else f" (as {entry.path.rpartition('/')[0]})"),
        )


def _listed(client: A1111, folder: Path, *, refresh: bool) -> LoraEntry | None:
    """The canary as the server lists it; None = not listed, or not asked."""
    path = folder / f"{_PREFIX}{uuid.uuid4().hex}.safetensors"
    try:
        write_bytes(path, canary(path.stem), durable=False)
        if not refresh:
            return None
        client.refresh_loras()
        for look in range(_LOOKS):
            found = _entry(client.loras(), path.stem)
            if found is not None:
                return found
            if look < _LOOKS - 1:
                time.sleep(_PAUSE_S)
                client.refresh_loras()
        return None
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        if refresh:
            client.refresh_loras()


def canary(stem: str) -> bytes:
    """A valid LoRA file of one number: Forge renames files it cannot read."""
    tensors = {"lora_unet_mid_block_attentions_0_proj_in.alpha": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}
    header = json.dumps({"__metadata__": {"ss_output_name": stem}, **tensors}).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + struct.pack("<f", 1.0)


def _entry(loras: Sequence[LoraEntry], stem: str) -> LoraEntry | None:
    return next((entry for entry in loras if entry.name == stem), None)


def _remove_stale(folder: Path) -> None:
    for path in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if _CANARY.fullmatch(path.name) and time.time() - path.stat().st_mtime > _STALE_S:
                path.unlink()
