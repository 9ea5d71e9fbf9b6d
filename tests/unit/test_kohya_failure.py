"""Console to reason: every observed failure has a sentence and a next step."""

from __future__ import annotations

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
    ("RuntimeError: Error(s) in loading state_dict: size mismatch for x", "another dim"),
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


@pytest.mark.parametrize("code", [-9, -15, -2, -11, 0xC0000005, 0xC000013A])
def test_a_silent_end_is_told_by_its_code(code: int) -> None:
    assert failure.explain([], code) is not None


def test_nothing_known_is_not_invented() -> None:
    assert failure.explain([], 0) is None
    assert failure.explain([console.Warned("WARNING", "no regularization images")], None) is None
