"""What is wrong with a prompt before it is sent: mistakes that A1111 answers with a 200 and another picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from orchestrator.a1111.models import LoraEntry

_TAG = re.compile(r"<\s*(lora|lyco)\s*:([^<>]*)>", re.IGNORECASE)
#: `<name:1.0>`: a LoRA tag without its first word. With a "-" in the name it goes to CLIP as words and changes the
#: picture; of letters, digits and _ alone it is taken for an unknown kind of network and vanishes (both observed).
_BARE = re.compile(r"<\s*([^<>:]+?)\s*:\s*[-+]?\d*\.?\d*\s*>")
_KINDS = frozenset({"lora", "lyco", "hypernet"})


def prompt_problems(prompt: str, negative: str, loras: Sequence[LoraEntry] = ()) -> list[str]:
    """One sentence for each mistake in a prompt of A1111's own kind, LoRA tags included.

    `loras` is what the server lists; without it the names in tags are not looked up.
    """
    found = [*_tag_problems(prompt, loras), *bare_tags(prompt), *bare_tags(negative)]
    if _TAG.search(negative):
        found.append("The negative prompt holds a LoRA tag: A1111 reads it there as plain words.")
    return found + comment_problems(prompt, negative)


def bare_tags(prompt: str) -> list[str]:
    """`<name:1.0>` without its `lora:`."""
    return [
        f"{tag[0]} is no LoRA tag: write <lora:{tag[0][1:-1].strip()}>."
        for tag in _BARE.finditer(prompt)
        if tag[1].strip().casefold() not in _KINDS
    ]


def comment_problems(prompt: str, negative: str) -> list[str]:
    """What follows a # is left out by A1111 and Forge, to the end of the line."""
    if "#" in prompt + negative:
        return ["A prompt holds a #: A1111 takes what follows for a comment and leaves it out."]
    return []


def option_problems(options: Mapping[str, object]) -> list[tuple[str, str, str]]:
    """Settings of the webui that a request cannot override and that spoil every picture: (what, why, what to do)."""
    found = []
    standing = str(options.get("sd_lora") or "None")
    if standing != "None":
        found.append(
            (
                f"The webui adds the LoRA {standing} to every picture (option “Add network to prompt”).",
                "It would be in the baseline too, and nothing could be compared.",
                "Settings → Extra Networks → Add network to prompt: None.",
            )
        )
    if options.get("lora_add_hashes_to_infotext") is False:
        found.append(
            (
                "The webui does not write the hashes of LoRA files into its pictures.",
                "Without them nothing proves which LoRA a picture was drawn with.",
                "Settings → Extra Networks → Add Lora hashes to infotext: on.",
            )
        )
    kind = str(options.get("samples_format") or "png")
    if kind != "png":
        found.append(
            (
                f"The webui sends pictures as {kind}, which loses detail each time.",
                "",
                "Settings → Saving images/grids → File format for images: png.",
            )
        )
    return found


def alias_hint(name: str, loras: Iterable[LoraEntry]) -> str:
    """What to say of a name that is no file's stem but the alias of some: all epochs of a run share one."""
    stems = sorted(entry.name for entry in loras if entry.alias == name and entry.name != name)
    if not stems:
        return ""
    listed = ", ".join(repr(stem) for stem in stems[:4]) + (" …" if len(stems) > 4 else "")
    return f"{name!r} is an alias, not a file: A1111 takes one of {listed} for it, or none. Name the file."


def _tag_problems(prompt: str, loras: Sequence[LoraEntry]) -> list[str]:
    found = []
    stems = {entry.name for entry in loras}
    for tag in _TAG.finditer(prompt):
        name, *weights = tag[2].split(":")
        for weight in weights:
            value = weight.rpartition("=")[2]
            try:
                float(value)
            except ValueError:
                found.append(f"{tag[0]}: {value!r} is no number; A1111 then leaves out every LoRA of the prompt.")
        if loras and name.strip() not in stems:
            found.append(alias_hint(name.strip(), loras) or f"{tag[0]}: there is no LoRA file {name.strip()!r}.")
    return found
