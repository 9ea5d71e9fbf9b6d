"""Console to reason: every observed failure has a sentence and a next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.kohya import console, failure

ROWS = [
    ("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB", "graphics card ran out of memory"),
    ("ImportError: No bitsandbytes / bitsandbytesがインストールされていないようです", "bitsandbytes"),
    ("ModuleNotFoundError: No module named 'bitsandbytes'", "bitsandbytes"),
    ("AssertionError: caption file is empty / キャプションが空です: /d/1_x/0001.txt", "/d/1_x/0001.txt is empty"),
    ("UnicodeDecodeError: 'utf-8' codec can't decode byte 0x83 in position 0: invalid start byte", "not UTF-8"),
    ("ZeroDivisionError: division by zero", "no picture"),
    ("OSError: image file is truncated (3 bytes not processed)", "damaged"),
    ("ValueError: x.safetensors is neither a valid local path nor a valid repo id.", "base checkpoint"),
    ("safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer", "damaged"),
    ("RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory", "damaged"),
    ("AttributeError: module 'torch.optim' has no attribute 'AdamZ'", "no optimizer AdamZ"),
    ("ValueError: foo is not a valid SchedulerType, please select one of", "lr_scheduler"),
    ("RuntimeError: expected m1 and m2 to have the same dtype, but got: struct c10::Half != float", "fp16"),
    (
        "RuntimeError: Error(s) in loading state_dict for LoRANetwork:\n\tsize mismatch for lora_te: copying a param",
        "another dim",
    ),
    ("AssertionError: max_train_steps should be greater than initial step / x: 24 vs 24", "at its end already"),
    ("ValueError: Tried to find /r/lora/m-000004-state but folder does not exist", "is gone"),
    (
        "voluptuous.error.MultipleInvalid: extra keys not allowed @ data['datasets'][0]['subsets'][0]['num_repeat']",
        "does not know num_repeat",
    ),
    ("voluptuous.error.MultipleInvalid: expected int for dictionary value", "refused the dataset file"),
    ("RuntimeError: NaN detected in latents: /d/1_x/0001.png", "/d/1_x/0001.png became NaN"),
    ("toml.decoder.TomlDecodeError: Empty value is invalid (line 1 column 1 char 0)", "no TOML any more"),
    ("RuntimeError: CUDA error: an illegal memory access was encountered", "failed in the middle of its work"),
    ("RuntimeError: DataLoader worker (pid 71) is killed by signal: Killed. ", "loads pictures was ended"),
    ("FileNotFoundError: [Errno 2] No such file or directory: '/d/1_x/0001.png'", "'/d/1_x/0001.png' is gone"),
    ("OSError: [Errno 5] Input/output error", "network drive failed"),
    ("OSError: [Errno 30] Read-only file system: '/r/lora'", "may only be read"),
    ("torch.distributed.DistNetworkError: The server socket has failed: EADDRINUSE, address already in use", "port"),
    ("ModuleNotFoundError: No module named 'voluptuous'", "lacks the module voluptuous"),
    ("OSError: Can't load tokenizer for 'openai/clip-vit-large-patch14'.", "tokenizer"),
    ("PermissionError: [WinError 1224] user-mapped section open", "held by another program"),
    ("RuntimeError: [enforce fail] DefaultCPUAllocator: not enough memory", "computer ran out of memory"),
]


@pytest.mark.parametrize(("line", "words"), ROWS)
def test_what_was_observed_is_explained(line: str, words: str) -> None:
    events = console.parse([f'Traceback (most recent call last):\n  File "x.py", line 1\n{line}\n'.encode()])
    reason = failure.explain(events, 1)
    assert reason is not None
    assert words in reason.why
    assert reason.fix.endswith(".")
    assert "{" not in reason.why + reason.fix
    assert not reason.disk_full


@pytest.mark.parametrize(
    "line",
    [
        "OSError: [Errno 28] No space left on device",
        'SafetensorError: Error while serializing: IoError(Os { code: 27, message: "File too large" })',
        "RuntimeError: [enforce fail] . PytorchStreamWriter failed writing file data/0: file write failed",
        "OSError: [WinError 112] There is not enough space on the disk",
    ],
)
def test_a_full_disk_is_told_apart(line: str) -> None:
    reason = failure.explain([console.Failed(*line.split(": ", 1))], 1)
    assert reason is not None and reason.disk_full


def test_no_data_wins_over_a_good_exit_code() -> None:
    reason = failure.explain([console.NoData()], 0)
    assert reason is not None and "no pictures" in reason.why


def test_the_launchers_echo_is_not_the_reason() -> None:
    events = [console.Failed("ZeroDivisionError", "x"), console.Failed("subprocess.CalledProcessError", "returned 1")]
    reason = failure.explain(events, 1)
    assert reason is not None and "no picture" in reason.why


def test_the_file_named_before_the_exception_is_named() -> None:
    events = [
        console.Warned("ERROR", "Error in reading /d/1_x/b.txt"),
        console.Failed("UnicodeDecodeError", "bad byte"),
    ]
    reason = failure.explain(events, 1)
    assert reason is not None and "/d/1_x/b.txt" in reason.why


def test_an_unknown_failure_is_quoted_in_its_english_half() -> None:
    reason = failure.explain([console.Failed("ValueError", "never seen {0} / 見たことがない")], 1)
    assert reason is not None
    assert "ValueError: never seen {0}" in reason.why
    assert "見" not in reason.why


@pytest.mark.parametrize(
    "code", [-1, -2, -4, -6, -7, -8, -9, -11, -15, 0xC0000005, 0xC000013A, 0xC0000409, 0xC0000135, 0x40010004]
)
def test_a_silent_end_is_told_by_its_code(code: int) -> None:
    reason = failure.explain([], code)
    assert reason is not None and reason.fix.endswith(".")


@pytest.mark.parametrize(("code", "crashed"), [(-11, True), (-9, True), (-15, False), (-2, False), (0xC0000005, True)])
def test_a_crash_is_told_from_a_wish(code: int, crashed: bool) -> None:
    reason = failure.explain([], code)
    assert reason is not None and reason.crashed is crashed


@pytest.mark.parametrize(
    ("echo", "words"),
    [
        ("Command '['python']' returned non-zero exit status 3221225477.", "0xC0000005"),
        ("Command '['python']' died with <Signals.SIGKILL: 9>.", "killed from outside"),
    ],
)
def test_behind_accelerate_the_trainers_own_code_counts(echo: str, words: str) -> None:
    reason = failure.explain([console.Failed("subprocess.CalledProcessError", echo)], 1)
    assert reason is not None and words in reason.why and reason.crashed


def test_memory_advice_is_the_callers() -> None:
    events = [console.Failed("torch.OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 MiB")]
    reason = failure.explain(events, 1, advice="Set this.")
    assert reason is not None and reason.out_of_memory and reason.fix == "Set this."
    other = failure.explain([console.Failed("ZeroDivisionError", "x")], 1, advice="Set this.")
    assert other is not None and other.fix != "Set this."


def test_the_picture_named_in_a_warning_is_named() -> None:
    """Of a file that is no picture the exception itself tells nothing."""
    warned = [
        console.Warned("WARNING", f"failed to get image size: /d/1_x/{n} b.png, error: cannot identify image file")
        for n in range(5)
    ]
    failed = console.Failed("ZeroDivisionError", "division by zero")
    one, many = failure.explain([warned[0], failed], 1), failure.explain([*warned, failed], 1)
    assert one is not None and one.why == "a file in the dataset is no picture (/d/1_x/0 b.png)"
    assert many is not None and many.why.endswith("/d/1_x/2 b.png …)")
    other = failure.explain([warned[0], console.Failed("UnicodeDecodeError", "bad byte")], 1)
    assert other is not None and "b.png" not in other.why


def test_the_logs_decisive_lines_are_quoted() -> None:
    log = (Path(__file__).parents[1] / "golden" / "console" / "accelerate_two_tracebacks.log").read_bytes()
    reason = failure.explain(console.parse([log]), 1)
    assert reason is not None and reason.out_of_memory
    assert len(reason.lines) == 1
    assert reason.lines[0].startswith("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB")
    events = [console.Warned("ERROR", "Error in reading /d/b.txt"), console.Failed("UnicodeDecodeError", "bad byte")]
    named = failure.explain(events, 1)
    assert named is not None and named.lines == ("Error in reading /d/b.txt", "UnicodeDecodeError: bad byte")


def test_nothing_known_is_not_invented() -> None:
    assert failure.explain([], 0) is None
    assert failure.explain([console.Warned("WARNING", "no regularization images")], None) is None
