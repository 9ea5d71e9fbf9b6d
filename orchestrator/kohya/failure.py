"""Why a training ended without a LoRA file, in words, from what sd-scripts said.

Each row was observed, or read in the source of sd-scripts or of the libraries under it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.kohya.console import Event, Failed, NoData, Warned


@dataclass(frozen=True)
class Reason:
    """What happened (a sentence's end: "… because X"), and what to do. `disk_full` singles out what no setting can
    mend.
    """

    why: str
    fix: str
    disk_full: bool = False


def explain(events: Iterable[Event], exit_code: int | None) -> Reason | None:
    """The reason, or None when the console gives no hint. The last failure counts, except a launcher's echo of it."""
    failures: list[Failed] = []
    errors: list[Warned] = []
    no_data = False
    for event in events:
        if isinstance(event, Failed) and not event.kind.endswith("CalledProcessError"):
            failures.append(event)
        elif isinstance(event, Warned) and event.level == "ERROR":
            errors.append(event)
        no_data = no_data or isinstance(event, NoData)
    if no_data:
        return Reason(
            "sd-scripts found no pictures to train on",
            "Build the dataset again (`orchestrator dataset build`), then run the same command.",
        )
    if failures:
        last = failures[-1]
        return _known(f"{last.kind}: {last.text}", errors) or Reason(
            f"sd-scripts stopped with “{_short(f'{last.kind}: {last.text}' if last.text else last.kind)}”",
            "The console log below tells more; then run the same command again.",
        )
    if exit_code is not None and exit_code in _CODES:
        return _CODES[exit_code]
    if errors:
        text = errors[-1].text
        return _known(text, errors) or Reason(f"sd-scripts said “{_short(text)}”", "The console log below tells more.")
    return None


def _known(text: str, errors: list[Warned]) -> Reason | None:
    # sd-scripts logs the file's name on an ERROR line before the exception that lacks it.
    named = errors[-1].text if errors else ""
    for pattern, reason in _TABLE:
        if match := re.search(pattern, text, re.IGNORECASE):
            why = reason.why.format(*match.groups(), named=f" ({_short(named)})" if named else "")
            return Reason(why, reason.fix, reason.disk_full)
    return None


def _short(text: str) -> str:
    # Messages come in English and Japanese, parted by " / ".
    english = text.partition(" / ")[0].strip()
    return english if len(english) <= 200 else english[:199] + "…"


_REINSTALL = "Run kohya's setup script again, then the same command."
_MORE_MEMORY = (
    'Close A1111 or let it unload its checkpoint, set preset = "8gb" or gradient_checkpointing = true, '
    "or lower batch_size; the same command then goes on."
)
_DATASET = "Mend the file it was made from, build the dataset again, then run the same command."
_TABLE: tuple[tuple[str, Reason], ...] = (
    (
        r"out of memory|CUBLAS_STATUS_ALLOC_FAILED|cudaErrorMemoryAllocation",
        Reason("the graphics card ran out of memory", _MORE_MEMORY),
    ),
    (
        r"No space left|disk quota|File too large|PytorchStreamWriter|not enough space|os error 112",
        Reason(
            "the disk is full", "Free some space; the same command then goes on from the last state.", disk_full=True
        ),
    ),
    (
        r"bitsandbytes|libbitsandbytes",
        Reason(
            "bitsandbytes is missing or does not fit",
            'Set optimizer = "AdamW" in [training], or install it in kohya\'s venv.',
        ),
    ),
    (
        r"DefaultCPUAllocator|^MemoryError|bad allocation|paging file is too small|os error 1455",
        Reason(
            "this computer ran out of memory",
            "Close other programs or enlarge the paging file; then run the same command.",
        ),
    ),
    (r"caption file is empty[^:]*: *(.+)", Reason("the caption file {0} is empty", _DATASET)),
    (r"UnicodeDecodeError", Reason("a caption file is not UTF-8{named}", _DATASET)),
    (r"ZeroDivisionError", Reason("a file in the dataset is no picture", _DATASET)),
    (
        r"image file is truncated|UnidentifiedImageError|broken data stream",
        Reason("a picture of the dataset is damaged{named}", _DATASET),
    ),
    (
        r"image too large, but cropping and bucketing are disabled",
        Reason("a picture is larger than the resolution", "Leave buckets switched on, then run the same command."),
    ),
    (
        r"neither a valid local path nor a valid repo id|Repository Not Found",
        Reason("the base checkpoint was not found", "Name the file in [base] path of lora.toml."),
    ),
    (
        r"HeaderTooLarge|InvalidHeader|MetadataIncompleteBuffer|deserializing header",
        Reason(
            "a .safetensors file, probably the base checkpoint, is damaged",
            "Download or copy it again, then run the same command.",
        ),
    ),
    (
        r"PytorchStreamReader|invalid magic number|failed finding central directory",
        Reason(
            "a saved state or the base checkpoint is damaged",
            "Run the same command again; if it fails again, get the checkpoint anew.",
        ),
    ),
    (
        r"LocalEntryNotFound|OfflineMode|couldn't connect to|Can't load tokenizer|ConnectionError|Max retries exceeded",
        Reason(
            "the tokenizer is not on this machine and could not be fetched",
            "Connect to the internet for the first training; later ones need no network.",
        ),
    ),
    (
        r"xformers",
        Reason(
            "xformers is missing or does not fit", "Leave xformers out of [training.extra]: sdpa needs no installing."
        ),
    ),
    (
        r"Torch not compiled with CUDA|no NVIDIA driver|no kernel image|CUDA driver version|CUDA error",
        Reason(
            "the graphics card cannot be used by kohya's PyTorch",
            "Update its driver, or install the PyTorch that fits it in kohya's venv.",
        ),
    ),
    (
        r"Half.*Float|Float.*Half|not implemented for 'Half'|fp16 mixed precision requires",
        Reason(
            "fp16 does not work on this device",
            'Set mixed_precision = "bf16" (RTX 30 and newer) or "no" in [training].',
        ),
    ),
    (
        r"bf16.*(?:support|requires)|bfloat16.*not supported",
        Reason("this card has no bf16", 'Set mixed_precision = "fp16" in [training].'),
    ),
    (
        r"size mismatch|shape mismatch",
        Reason(
            "the saved state belongs to another dim or network",
            "Give the run another version, or remove its state folders.",
        ),
    ),
    (
        r"torch\.optim.* has no attribute '(\w+)'",
        Reason(
            "there is no optimizer {0}", "Correct optimizer in [training]; AdamW8bit, AdamW and Prodigy are usual ones."
        ),
    ),
    (
        r"is not a valid SchedulerType|Unknown scheduler",
        Reason("there is no such lr_scheduler", "Correct lr_scheduler in [training]."),
    ),
    (r"No module named '([\w.]+)'", Reason("kohya's Python lacks the module {0}", _REINSTALL)),
    (r"ImportError|DLL load failed", Reason("a library of kohya's Python cannot be loaded", _REINSTALL)),
    (
        r"UnicodeEncodeError",
        Reason("the console refused a character of a path", "Use a path without special characters for the workspace."),
    ),
    (
        r"PermissionError|WinError (?:5|32|1224)",
        Reason("a file is held by another program", "Close it (A1111 may have it loaded), then run the same command."),
    ),
    (
        r"^argparse: (.+)",
        Reason("sd-scripts refused its command line ({0})", "Update sd-scripts, then run the same command."),
    ),
    (r"^KeyboardInterrupt", Reason("somebody stopped it", "Run the same command to go on.")),
)
_CODES = {
    -9: Reason(
        "it was killed from outside, most often because the computer ran out of memory",
        "Close other programs; the same command then goes on.",
    ),
    -15: Reason("it was stopped from outside", "Run the same command to go on."),
    -2: Reason("it was interrupted from outside", "Run the same command to go on."),
    -11: Reason("Python itself crashed", _REINSTALL),
    0xC0000005: Reason("Python itself crashed (0xC0000005)", "Update the graphics driver, then run the same command."),
    0xC000013A: Reason("it was interrupted from outside", "Run the same command to go on."),
}
