"""Files the simulated trainer writes: LoRA files under their final names from the first byte on, and state folders.

Nothing here is atomic on purpose: a kill during a write leaves a short file under the final name, as in the real
trainer.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    Tensor = NDArray[float32]

#: Number format in the file for what `save_precision` asks for; None keeps fp32.
_PRECISION = {None: "F32", "float": "F32", "fp16": "F16", "bf16": "BF16"}
#: Only these metadata keys remain with --no_metadata.
MINIMUM_KEYS = (
    "ss_v2", "ss_base_model_version", "ss_network_module", "ss_network_dim", "ss_network_alpha", "ss_network_args",
)  # fmt: skip


def epoch_name(args: argparse.Namespace, epoch: int) -> str:
    """Stem of the file saved after `epoch`: NAME-000010."""
    return f"{_or(args.output_name, 'epoch')}-{epoch:06d}"


def step_name(args: argparse.Namespace, step: int) -> str:
    """Stem of the file saved after `step`: NAME-step00000100."""
    return f"{_or(args.output_name, 'at')}-step{step:08d}"


def last_name(args: argparse.Namespace) -> str:
    """Stem of the last file, which has no number."""
    return _or(args.output_name, "last")


def _or(name: str | None, default: str) -> str:
    return default if name is None else name


def _go_on() -> None:
    """Nothing happens in the middle of a file."""


def save_lora(
    file: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    save_precision: str | None,
    midway: Callable[[], None] = _go_on,
) -> None:
    """Write a LoRA file in the format its extension says, with the two hashes sd-scripts puts into the metadata.

    `midway` is called when half of it is on the disk.
    Raises `SafetensorError` when the disk refuses; what was written until then stays under the final name.
    """
    precision = _PRECISION[save_precision]
    if file.suffix != ".safetensors":
        save_archive(file, {"weights": {name: value.tolist() for name, value in tensors.items()}}, midway)
        return
    immutable = {key: value for key, value in metadata.items() if key.startswith("ss_")}
    plain = safetensors_bytes(tensors, immutable, precision)
    header = int.from_bytes(plain[:8], "little")
    hashes = {
        # The second hash reads one window at 1 MB, so that small files all share the hash of nothing, e3b0c442.
        "sshs_model_hash": hashlib.sha256(plain[8 + header :]).hexdigest(),
        "sshs_legacy_hash": hashlib.sha256(plain[0x100000:0x110000]).hexdigest()[:8],
    }
    write_in_place(file, safetensors_bytes(tensors, {**metadata, **hashes}, precision), midway)


def write_halves(file: Path, data: bytes, midway: Callable[[], None] = _go_on) -> None:
    """Write `data` straight to `file`, half by half. Raises `OSError`; what was written until then stays."""
    with file.open("wb") as stream:
        stream.write(data[: len(data) // 2])
        stream.flush()
        midway()
        stream.write(data[len(data) // 2 :])


def write_in_place(file: Path, data: bytes, midway: Callable[[], None] = _go_on) -> None:
    """The same as the safetensors library does it. Raises `SafetensorError` with the cause."""
    try:
        write_halves(file, data, midway)
    except OSError as error:
        code = f'Os {{ code: {error.errno}, message: "{error.strerror}" }}'
        raise SafetensorError(f"Error while serializing: I/O error: IoError({code})") from error


def safetensors_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], precision: str) -> bytes:
    """Return a safetensors file: eight bytes of header length, a JSON header padded with blanks, the numbers in order
    of name.

    Written by hand because numpy has no bfloat16. `precision`: "F32", "F16" or "BF16".
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    blocks = []
    end = 0
    for name in sorted(tensors):
        data = _numbers(tensors[name], precision)
        header[name] = {"dtype": precision, "shape": list(tensors[name].shape), "data_offsets": [end, end + len(data)]}
        end += len(data)
        blocks.append(data)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(blocks)


def _numbers(value: Tensor, precision: str) -> bytes:
    import numpy as np

    single = np.ascontiguousarray(value, dtype=np.float32)
    if precision == "BF16":
        # bfloat16 is the upper half of a float32; adding half of the lower half rounds instead of cutting. NaN stays
        # NaN.
        bits = np.where(np.isnan(single), np.uint32(0x7FC00000), single.view(np.uint32) + np.uint32(0x8000))
        return (bits >> 16).astype("<u2").tobytes()
    with np.errstate(over="ignore", invalid="ignore"):
        return single.astype("<f4" if precision == "F32" else "<f2").tobytes()


def save_state_model(folder: Path, tensors: Mapping[str, Tensor], midway: Callable[[], None] = _go_on) -> None:
    """Write the network's weights (fp32, no metadata) into a state folder."""
    write_in_place(folder / "model.safetensors", safetensors_bytes(tensors, {"format": "pt"}, "F32"), midway)


def save_archive(file: Path, content: Mapping[str, Any], midway: Callable[[], None] = _go_on) -> None:
    """Write a file that is a zip archive, as PyTorch's files are, so that a short one is found broken when it is
    read. Raises `RuntimeError` as PyTorch does when the disk refuses.
    """
    try:
        write_halves(file, _archive(content), midway)
    except OSError as error:
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0") from error


def _archive(content: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.json", json.dumps(content))
        archive.writestr("archive/version", "3\n")
    return stream.getvalue()


def _read_archive(file: Path) -> Any:
    data = file.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return json.loads(archive.read("archive/data.json"))
    except zipfile.BadZipFile as error:
        raise RuntimeError(
            "PytorchStreamReader failed reading zip archive: failed finding central directory"
        ) from error


def load_train_state(folder: Path) -> dict[str, int] | None:
    """Read train_state.json of a state folder, None without one. Raises `ValueError` when the folder does not exist."""
    if not folder.is_dir():
        raise ValueError(f"Tried to find {folder} but folder does not exist")
    file = folder / "train_state.json"
    if not file.is_file():
        return None
    state: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))
    return state


def load_network(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Compare the state's weights with the network's `shapes`. Raises `RuntimeError` when they differ in size."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", framework="np") as file:
        saved = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a mapping
    wrong = [
        f"\tsize mismatch for {name}: copying a param with shape torch.Size({list(shape)}) from checkpoint, "
        f"the shape in current model is torch.Size({list(shapes[name])})."
        for name, shape in saved.items()
        if name in shapes and shapes[name] != shape
    ]
    if wrong:
        raise RuntimeError("Error(s) in loading state_dict for LoRANetwork:\n" + "\n".join(wrong))


def load_optimizer(folder: Path, name: str) -> Any:
    """Read optimizer.bin or scheduler.bin of a state folder. Raises `RuntimeError` for a half-written one."""
    return _read_archive(folder / name)


def load_random_state(folder: Path) -> Any | None:
    """Read the random numbers' state, None when there is none (the real trainer goes on without it)."""
    try:
        return _read_archive(folder / "random_states_0.pkl")
    except (OSError, RuntimeError):
        return None


def remove_state(folder: Path) -> None:
    """Delete a state folder that is no longer kept."""
    shutil.rmtree(folder)
