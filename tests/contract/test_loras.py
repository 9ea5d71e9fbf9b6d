"""LoRAs in prompts: what is missing or misspelt is left out without a word."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.a1111.models import Generated
from orchestrator.errors import InputError
from orchestrator.lora.catalog import lora_file
from orchestrator.lora.deploy import find_lora_folder
from orchestrator.render.lint import prompt_problems
from orchestrator.render.proof import differences
from orchestrator.render.recipe import LoraUse
from orchestrator.render.server import refuse_unknown
from tests.contract.subject import PROMPT, Subject, never_used, pixels, text_of


def tagged(subject: Subject, *names: str, weight: str = "1") -> Generated:
    """The small picture with these LoRAs."""
    tags = "".join(f"<lora:{name}:{weight}> " for name in names)
    return subject.draw(prompt=f"{tags}{PROMPT}")


def hashes(answer: Generated) -> dict[str, str]:
    """What the answer shows, which must be the same in both places where it stands."""
    shown = text_of(answer).lora_hashes
    written = ", ".join(f"{name}: {digits}" for name, digits in shown.items())
    assert answer.info.extra_generation_params.get("Lora hashes", "") == written
    return shown


def test_a_lora_is_shown_with_its_hash(subject: Subject) -> None:
    """The hash is that of the file's header, by which our proof knows that it is the right file."""
    entry = subject.lora()
    answer = tagged(subject, entry.name)
    assert pixels(answer) != pixels(subject.draw())
    shown = hashes(answer)
    assert list(shown) == [entry.name]
    if entry.metadata.get("sshs_model_hash"):
        assert shown[entry.name] == entry.metadata["sshs_model_hash"][:12]
    if Path(entry.path).is_file():
        file = lora_file(Path(entry.path))
        assert shown[entry.name] in {file.shown_hash, file.sha256[:12]}
    right, wrong = (LoraUse(entry.name, "f" * 64, digits, 1.0) for digits in (shown[entry.name], "0" * 12))
    assert differences(subject.recipe(loras=(right,)), answer) == []
    assert differences(subject.recipe(loras=(wrong,)), answer) == [
        f"LoRA {entry.name}: asked {'0' * 12}, used {shown[entry.name]}"
    ]


def test_a_missing_lora(subject: Subject) -> None:
    """Trap: 200 and the picture of no LoRA; the only sign is the hash that is not there."""
    missing = "no_such_lora"
    answer = tagged(subject, missing)
    assert pixels(answer) == pixels(subject.draw())
    assert hashes(answer) == {}
    recipe = subject.recipe(loras=(LoraUse(missing, "f" * 64, "", 1.0),))
    assert any(f"LoRA {missing}: asked, not used" in one for one in differences(recipe, answer))
    with pytest.raises(InputError, match=f"no LoRA '{missing}'"):
        refuse_unknown(subject.server, [recipe], subject.client.loras())


def test_one_missing_lora_beside_a_good_one(subject: Subject) -> None:
    """Trap: A1111 uses the good one, the forks none of them."""
    good = subject.lora().name
    answer = tagged(subject, good, "no_such_lora")
    if subject.dialect.drops_all_loras:
        assert pixels(answer) == pixels(subject.draw())
        assert hashes(answer) == {}
    else:
        assert pixels(answer) == pixels(tagged(subject, good))
        assert list(hashes(answer)) == [good]


def test_weight_0(subject: Subject) -> None:
    """The pixels of no LoRA, though its hash is shown: so two weights tell whether a server really applies one."""
    name = subject.lora().name
    answer = tagged(subject, name, weight="0")
    assert pixels(answer) == pixels(subject.draw())
    assert list(hashes(answer)) == [name]


def test_a_weight_that_is_no_number(subject: Subject) -> None:
    """Trap: 200, and none of the prompt's LoRAs."""
    entry = subject.lora()
    answer = tagged(subject, entry.name, weight="abc")
    assert pixels(answer) == pixels(subject.draw())
    assert hashes(answer) == {}
    assert any("is no number" in one for one in prompt_problems(f"<lora:{entry.name}:abc>", "", [entry]))


def test_a_name_in_other_letters(subject: Subject) -> None:
    """Trap: names are case-sensitive, also where file names are not."""
    name = subject.lora().name.swapcase()
    if name in {called for one in subject.client.loras() for called in (one.name, one.alias)}:
        pytest.skip("its name has no other letters")
    answer = tagged(subject, name)
    assert pixels(answer) == pixels(subject.draw())
    assert hashes(answer) == {}


def test_a_lora_in_the_negative_prompt(subject: Subject) -> None:
    """Trap: there its tag is plain text."""
    tag = f"<lora:{subject.lora().name}:1>"
    answer = subject.draw(negative_prompt=tag)
    assert answer.info.negative_prompt == text_of(answer).negative_prompt == tag
    assert hashes(answer) == {}
    assert any("negative prompt" in one for one in prompt_problems("", tag))


def test_a_new_file_needs_no_refresh(subject: Subject) -> None:
    """A name the server does not know makes it look into its folder. Only with a name that was never used: a file
    replaced under its old name goes on with its old weights on forks.
    """
    entry = subject.lora()
    folder, source = _folder(subject), Path(entry.path)
    subject.must_be_idle()
    with _copied(source, folder) as name:
        answer = tagged(subject, name)
        assert pixels(answer) == pixels(tagged(subject, entry.name))
        assert list(hashes(answer)) == [name]
        assert name in {one.name for one in subject.client.loras()}
    subject.client.refresh_loras()
    assert name not in {one.name for one in subject.client.loras()}


def _folder(subject: Subject) -> Path:
    if sys.platform == "win32" and subject.dialect.keeps_replaced_loras:
        pytest.skip("this fork holds its files open, and Windows would not let the copy be removed")
    try:
        folder = find_lora_folder(subject.client)
    except InputError as error:
        pytest.skip(error.what)
    if not os.access(folder, os.W_OK) or not Path(subject.lora().path).is_file():
        pytest.skip(f"{folder} cannot be written from here")
    return folder


@contextmanager
def _copied(source: Path, folder: Path) -> Iterator[str]:
    """The LoRA under a name of its own, for as long as the block runs: never seen half written, and without the alias,
    which two files must not share while somebody may be using it.
    """
    target = folder / f"{never_used()}{source.suffix}"
    temporary = target.with_suffix(".part")
    try:
        _copy_without_alias(source, temporary)
        temporary.replace(target)
        yield target.stem
    finally:
        temporary.unlink(missing_ok=True)
        target.unlink(missing_ok=True)


def _copy_without_alias(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("wb") as new:
        start = old.read(8)
        header = old.read(struct.unpack("<Q", start)[0]) if source.suffix == ".safetensors" else b""
        known = json.loads(header) if header else {}
        if "sshs_model_hash" in known.get("__metadata__", {}):  # else the hash may be that of the whole file
            known["__metadata__"].pop("ss_output_name", None)
            header = json.dumps(known).encode()
            start = struct.pack("<Q", len(header))
        new.write(start + header)
        shutil.copyfileobj(old, new)


def test_the_copy_is_the_same_lora(subject: Subject, tmp_path: Path) -> None:
    """That the test above compares what it means to: the same tensors, no alias."""
    source = Path(subject.lora().path)
    if not source.is_file() or source.suffix != ".safetensors":
        pytest.skip("the server's files are not on this machine")
    copy = tmp_path / "copy.safetensors"
    _copy_without_alias(source, copy)
    assert _tensors(copy) == _tensors(source)
    assert lora_file(copy).problem == lora_file(source).problem


def _tensors(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(8 + struct.unpack("<Q", file.read(8))[0])
        return hashlib.sha256(file.read()).hexdigest()
