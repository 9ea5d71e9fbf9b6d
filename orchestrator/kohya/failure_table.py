"""The failures of sd-scripts that are known, by the words of their exceptions and by exit codes.

Each row was observed, or read in the source of sd-scripts or of the libraries under it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Reason:
    """What happened (a sentence's end: "… because X"), and what to do.

    `disk_full` singles out what no setting can mend, `out_of_memory` (of the graphics card) what smaller settings can,
    `crashed` what a new start may survive. `lines` are the words of the log it was told by.
    """

    why: str
    fix: str
    disk_full: bool = False
    out_of_memory: bool = False
    crashed: bool = False
    lines: tuple[str, ...] = ()


_REINSTALL = "Run kohya's setup script again, then the same command."
_MORE_MEMORY = (
    'Close A1111 or let it unload its checkpoint, set preset = "8gb" or gradient_checkpointing = true, '
    "or lower batch_size; the same command then goes on."
)
_DATASET = "Mend the file it was made from, build the dataset again, then run the same command."
#: First match wins; braces are filled with the pattern's groups, {named} with the file an ERROR line named before,
#: {pictures} with the files a warning did.
TABLE: tuple[tuple[str, Reason], ...] = (
    (
        r"out of memory|CUBLAS_STATUS_ALLOC_FAILED|cudaErrorMemoryAllocation",
        Reason("the graphics card ran out of memory", _MORE_MEMORY, out_of_memory=True),
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
    (
        r"NaN detected in (?:latents|text encoder outputs): *(.+)",
        Reason(
            "{0} became NaN when it was encoded",
            "Set no_half_vae = true in [training.extra]; should it stay, take that picture out of the dataset.",
        ),
    ),
    (
        r"extra keys not allowed @ data(?:\['\w+'\]|\[\d+\])*\['(\w+)'\]",
        Reason(
            "this sd-scripts does not know {0} in its dataset file",
            "Update kohya_ss, or take it out of [training.extra].",
        ),
    ),
    (r"MultipleInvalid", Reason("sd-scripts refused the dataset file", "Update kohya_ss, then run the same command.")),
    (
        r"TomlDecodeError",
        Reason("a configuration file was edited and is no TOML any more", "Run the same command: it is written anew."),
    ),
    (
        r"max_train_steps should be greater than initial step",
        Reason("it went on from a state that was at its end already", "Give more epochs, or another version."),
    ),
    (
        r"Tried to find .* but folder does not exist",
        Reason("the state it should go on from is gone", "Run the same command: it looks for another one."),
    ),
    (
        r"Input/output error|\[Errno 5\]|Stale file handle|WinError (?:1117|59|64|121)\b",
        Reason(
            "a disk or network drive failed while it was read or written",
            "Check that the drive is there; the same command then goes on.",
            crashed=True,
        ),
    ),
    (
        r"Read-only file system",
        Reason("the disk may only be read", "Use a workspace on a disk that can be written, or mount it for writing."),
    ),
    (
        r"DataLoader worker .*(?:exited unexpectedly|killed by signal)",
        Reason(
            "a process that loads pictures was ended from outside, most often because the computer ran out of memory",
            "Close other programs; the same command then goes on.",
            crashed=True,
        ),
    ),
    (
        r"illegal memory access|unspecified launch failure|device-side assert|CUDNN_STATUS|CUBLAS_STATUS|GPU is lost|"
        r"CUDA error: unknown error",
        Reason(
            "the graphics card failed in the middle of its work",
            "Run the same command to go on. Should it come back: take overclocking away, update the driver.",
            crashed=True,
        ),
    ),
    (
        r"Address already in use|EADDRINUSE|WinError 10048",
        Reason(
            "another training holds the port that the graphics cards talk over",
            "Wait for it, or give main_process_port in [training.extra] another number.",
        ),
    ),
    (
        r"NCCL",
        Reason(
            "the graphics cards lost each other", "Run the same command to go on, or train on one card.", crashed=True
        ),
    ),
    (r"UnicodeDecodeError", Reason("a caption file is not UTF-8{named}", _DATASET)),
    (r"ZeroDivisionError", Reason("a file in the dataset is no picture{pictures}", _DATASET)),
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
    (
        r"FileNotFoundError: .*No such file or directory: (.+)",
        Reason("the file {0} is gone", "Put it back, or build the dataset again; then run the same command."),
    ),
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
_CRASHED = Reason(
    "Python itself crashed", f"Run the same command to go on. Should it come back: {_REINSTALL}", crashed=True
)
_DRIVER = "Run the same command to go on. Should it come back: update the graphics driver."
#: Exit codes of a trainer that said nothing: signals (negative) and Windows' crash codes.
CODES: Mapping[int | None, Reason] = {
    -9: Reason(
        "it was killed from outside, most often because the computer ran out of memory",
        "Close other programs; the same command then goes on.",
        crashed=True,
    ),
    -15: Reason("it was stopped from outside", "Run the same command to go on."),
    -2: Reason("it was interrupted from outside", "Run the same command to go on."),
    -1: Reason("its terminal was closed", "Run the same command to go on."),
    **dict.fromkeys((-4, -6, -7, -8, -11), _CRASHED),
    **{
        code: replace(_CRASHED, why=f"Python itself crashed (0x{code:X})", fix=_DRIVER)
        for code in (0xC0000005, 0xC0000374, 0xC0000409, 0xC00000FD, 0xC000001D)
    },
    0xC0000135: Reason("a library of kohya's Python is missing (0xC0000135)", _REINSTALL),
    0xC000013A: Reason("it was interrupted from outside", "Run the same command to go on."),
    0x40010004: Reason("Windows was shut down", "Run the same command to go on."),
}
