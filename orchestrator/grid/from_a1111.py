"""A1111's own pictures and X/Y/Z sheets as definitions: "draw this again", with our axes, baseline and cache.

Everything comes from the infotext that A1111 writes into its pictures. What a definition cannot say is told in `notes`,
one sentence each; what would make the pictures other ones silently is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.a1111.infotext import Infotext, parse
from orchestrator.a1111.plot_text import PLOT_FIELDS, Tag, plot_axes, replace_in, without_tags
from orchestrator.a1111.xyz import PROMPT_SR
from orchestrator.a1111.xyz import Axis as PlotAxis
from orchestrator.errors import InputError
from orchestrator.files import file_stem, storage_error
from orchestrator.grid.axes import KINDS
from orchestrator.grid.axis_values import BadValues
from orchestrator.grid.definition import AskedAxis, Definition, FurtherLora, Settings
from orchestrator.grid.picture_text import read_texts
from orchestrator.grid.templates import Collision, Phrase, template
from orchestrator.render.recipe import number

#: A1111's axes that are ours by another name.
_AXES = {
    "Seed": "seed", "Steps": "steps", "CFG Scale": "cfg", "Sampler": "sampler", "Schedule type": "scheduler",
    "Checkpoint name": "checkpoint", "VAE": "vae", "Clip skip": "clip skip", "Denoising": "denoise", "Size": "size",
    "Styles": "styles",
}  # fmt: skip
_UNDERSTOOD = PLOT_FIELDS | {
    "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model hash", "Model", "VAE hash", "VAE",
    "Lora hashes", "Clip skip", "Version", "Denoising strength",
}  # fmt: skip
#: Settings of the webui that it writes into its texts: no request sets them, but the webui may be set the same.
_OF_THE_WEBUI = {
    "RNG", "ENSD", "Eta", "Token merging ratio", "NGMS", "Emphasis", "Pad conds", "Downcast alphas_cumprod",
    "FP8 weight", "Cache FP16 weight for LoRA", "Skip Early CFG", "UniPC variant", "Eta DDIM", "Sigma churn",
    "Schedule rho",
}  # fmt: skip
#: Longest value told in a note.
_LONG = 80
#: Letters of an infotext at most, and of all prompts that one axis makes: no person writes so much.
_MOST_TEXT = 200_000
_MOST_PROMPTS = 5_000_000


@dataclass(frozen=True)
class FromA1111:
    """What an infotext asks for, and what it says was used: names of LoRA files → the 12 digits A1111 shows of them,
    the short hashes of checkpoint and VAE (empty = none told), the server's version.
    """

    definition: Definition
    notes: tuple[str, ...] = ()
    lora_hashes: Mapping[str, str] = field(default_factory=dict)
    checkpoint_hash: str = ""
    vae_hash: str = ""
    version: str = ""
    is_plot: bool = False


def from_picture(path: Path, *, init: str = "") -> FromA1111:
    """What the picture at `path` says it was asked for. `init` is the picture an img2img one was made from.

    Raises `PictureError` for what is no picture, `InputError` for one that carries no infotext.
    """
    text = read_texts(path, {"parameters"}).get("parameters", "")
    if "Steps: " not in text:
        raise InputError(
            f"{path} does not say how it was drawn.",
            cause="It was saved without its text: by a program that drops it, by a chat that packs pictures anew, or "
            "through the API, which leaves the text out of sheets.",
            fix="Take the file as the webui saved it (outputs/txt2img-grids, outputs/txt2img-images).",
        )
    return from_infotext(text, file_stem(path.stem), source=str(path), init=init)


def from_text_file(path: Path, *, init: str = "") -> FromA1111:
    """What the text that A1111 saves beside a picture says (as `from_picture`). Raises `InputError`, `StorageError`."""
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_MOST_TEXT + 1)
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        raise storage_error(error, path) from error
    if "Steps: " not in text:
        raise InputError(f"{path} does not say how a picture was drawn.", fix="Name the picture itself, or its text.")
    return from_infotext(text, file_stem(path.stem), source=str(path), init=init)


def from_infotext(text: str, name: str, *, source: str = "The picture", init: str = "") -> FromA1111:
    """What `text` asks for as the grid `name`: every axis of the plot it speaks of, else the one seed.

    Raises `InputError` for an infotext without what every picture has, and for img2img without its `init` picture.
    """
    if len(text) > _MOST_TEXT:
        raise InputError(
            f"{source} carries a text of more than {_MOST_TEXT:,} letters, which no person wrote.",
            fix="Do not trust this file.",
        )
    said = parse(text)
    fields = said.fields
    notes: list[str] = []
    asked_again = f"Write the grid into lora.toml by hand; the text of {source} says what was asked."
    try:
        width, height = (int(side) for side in fields["Size"].split("x"))
        settings = Settings(
            sampler=fields["Sampler"],
            # Before 1.9 the schedule was part of the sampler's name, which a server puts apart where it must.
            scheduler=fields.get("Schedule type", "Automatic"),
            steps=int(fields["Steps"]),
            cfg_scale=float(fields["CFG scale"]),
            width=width,
            height=height,
            clip_skip=int(fields.get("Clip skip", 1)),
            checkpoint=fields.get("Model", ""),
            vae=fields.get("VAE", ""),
            denoising_strength=float(fields.get("Denoising strength", Settings.denoising_strength)),
        )
        if not all(map(math.isfinite, (settings.cfg_scale, settings.denoising_strength))):
            raise ValueError("a number is none")
        seed = str(int(fields["Seed"]))
    except (KeyError, ValueError) as error:
        missing = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{source} does not say all that a picture needs: {missing}.", fix=asked_again) from None
    hires = any(key.startswith("Hires") for key in fields)
    if "Denoising strength" in fields and not hires and not init:
        raise InputError(
            f"{source} was drawn by img2img, and the picture it started from is not in it.",
            fix="Name that picture with --init FILE.",
        )
    prompt, tags = without_tags(said.prompt)
    axes, axis_notes = _axes(said, plot_axes(fields), with_init=bool(init))
    notes += [*_unused(fields), *axis_notes, *(_strange(tag) for tag in tags if tag.strange)]
    negative, lost = without_tags(said.negative_prompt)
    notes += [f"A <lora:{tag.name}:…> in the negative prompt does nothing in A1111: it is left out." for tag in lost]
    axes = _apart(axes)
    # A1111's x and y come first in its text.
    x, y = (*(axis.name or axis.kind for axis in axes[:2]), "", "")[:2]
    axes, further = _with_loras(axes, tags)
    if not any(axis.kind == "seed" for axis in axes):
        axes.append(AskedAxis("seed", seed))
    definition = Definition(
        name=name,
        axes=tuple(axes),
        prompt=prompt,
        negative_prompt=negative,
        x=x,
        y=y,
        baseline=False,
        loras=further,
        init=init,
        settings=settings,
    )
    return FromA1111(
        _readable(definition, source),
        tuple(notes),
        said.lora_hashes,
        fields.get("Model hash", ""),
        fields.get("VAE hash", ""),
        fields.get("Version", ""),
        bool(plot_axes(fields)),
    )


def with_axes(definition: Definition, axes: Sequence[AskedAxis]) -> Definition:
    """`definition` with further axes; one of a kind that is there already takes its place.

    A picture drawn with one LoRA file gets an axis of weights for that file, and the baseline that goes with it.
    """
    kinds = {axis.kind for axis in axes}
    kept = [axis for axis in definition.axes if axis.kind not in kinds]
    loras = definition.loras
    if "weight" in kinds and not any(axis.kind in {"lora", "epoch", "version"} for axis in [*kept, *axes]):
        if len(loras) != 1:
            raise InputError(
                f"There is no one LoRA whose weight could be varied: the picture was drawn with {len(loras)}.",
                fix="Name the files with --axis lora=NAME.",
            )
        kept, loras = [AskedAxis("lora", (loras[0].name,)), *kept], ()
    if "lora" in kinds:
        loras = loras[1:]
    return replace(
        definition, axes=(*axes, *kept), loras=loras, x="", y="", baseline=None if kinds & _lora_kinds() else False
    )


def renamed(found: FromA1111, names: Mapping[str, str]) -> Definition:
    """The definition with LoRA files called as this server calls them: `names` maps those said to those here."""
    definition = found.definition
    axes = tuple(
        replace(axis, values=tuple(_renamed(str(value), names) for value in axis.values))
        if axis.kind == "lora" and not isinstance(axis.values, str)
        else axis
        for axis in definition.axes
    )
    loras = tuple(replace(lora, name=names.get(lora.name, lora.name)) for lora in definition.loras)
    return replace(definition, axes=axes, loras=loras)


def lora_names(definition: Definition) -> list[str]:
    """The LoRA files a definition made here names."""
    names = [lora.name for lora in definition.loras]
    for axis in definition.axes:
        if axis.kind == "lora" and not isinstance(axis.values, str):
            names += [str(value) for value in axis.values if str(value).casefold() != "none"]
    return list(dict.fromkeys(names))


def _renamed(value: str, names: Mapping[str, str]) -> str:
    return names.get(value, value)


def _lora_kinds() -> set[str]:
    return {kind.name for kind in KINDS.values() if kind.lora}


def _readable(definition: Definition, source: str) -> Definition:
    """`definition`, if every axis can be read: what A1111 takes and we do not shows here."""
    for axis in definition.axes:
        try:
            KINDS[axis.kind].read(axis.values)
        except BadValues as error:
            raise InputError(
                f"{source}: the axis {axis.kind} cannot be drawn again: {error}.",
                fix=f'Give other values: --axis "{axis.kind}=…"',
            ) from None
    return definition


def _axes(said: Infotext, axes: Sequence[PlotAxis], *, with_init: bool) -> tuple[list[AskedAxis], list[str]]:
    found: list[AskedAxis] = []
    notes = []
    for axis in axes:
        values = tuple(dict.fromkeys(axis.values))
        kind = _AXES.get(axis.label, "")
        if axis.label == PROMPT_SR:
            asked, note = _replaced(said, PlotAxis(axis.label, values))
            found += asked
            notes += [note] * bool(note)
        elif kind and not (kind == "denoise" and not with_init):
            # Words are kept as they were split; numbers are put together again, since a range may hold a comma.
            written = values if KINDS[kind].sort == "words" else ", ".join(values)
            found.append(AskedAxis(kind, written))
        else:
            notes.append(
                f"The axis {axis.label!r} ({_cut(', '.join(values))}) is not one of ours: every picture is drawn as "
                "its first value was."
            )
    return found, notes


def _replaced(said: Infotext, axis: PlotAxis) -> tuple[list[AskedAxis], str]:
    """A `Prompt S/R` axis: of LoRA files, of weights, of words, or none that we can draw (with a note)."""
    shown = _cut(", ".join(axis.values))
    first = axis.values[0] if axis.values else ""
    found = sum(text.count(first) for text in (said.prompt, said.negative_prompt)) if first else 0
    length = len(said.prompt) + len(said.negative_prompt)
    if not first or sum(length + found * len(value) for value in axis.values) > _MOST_PROMPTS:
        return [], f"The axis Prompt S/R ({shown}) makes no prompts that could be drawn: it is left out."
    texts = [replace_in(said.prompt, said.negative_prompt, axis, value) for value in axis.values]
    bare = [without_tags(prompt) for prompt, _ in texts]
    words = {text for text, _ in bare}
    negatives = list(dict.fromkeys(negative for _, negative in texts))
    tags = [found for _, found in bare]
    varied = [k for k in range(len(tags[0])) if len({tag[k] if k < len(tag) else None for tag in tags}) > 1]
    together = ""
    if varied and (len(words) > 1 or len(negatives) > 1 or len(varied) > 1 or len({len(tag) for tag in tags}) > 1):
        together = "a LoRA and other words"
    elif varied:
        ones = [tag[varied[0]] for tag in tags]
        names, weights = {one.name for one in ones}, {one.weight for one in ones}
        if len(names) == 1:
            return [AskedAxis("weight", tuple(number(one.weight) for one in ones))], ""
        if len(weights) == 1:
            return [AskedAxis("lora", tuple(one.name for one in ones))], ""
        together = "the name and the weight of a LoRA"
    elif len(words) > 1 and len(negatives) > 1:
        together = "prompt and negative prompt"
    if together:
        return [], (
            f"The axis Prompt S/R ({shown}) changes {together} together, which is no axis of ours: every picture is "
            "drawn as its first value was."
        )
    if len(negatives) > 1:
        return [AskedAxis("negative prompt", tuple(negatives))], ""
    if len(words) == 1:
        return [], f"The axis Prompt S/R ({shown}) changed nothing in the prompt."
    prompts = [text for text, _ in bare]
    try:
        made = template(bare[0][0], [Phrase("replace", axis.values[0])])
        same = [made.filled({"replace": value}).strip() for value in axis.values] == prompts
    except Collision:
        same = False
    return [AskedAxis("replace", axis.values) if same else AskedAxis("prompt", tuple(prompts))], ""


def _with_loras(axes: list[AskedAxis], tags: Sequence[Tag]) -> tuple[list[AskedAxis], tuple[FurtherLora, ...]]:
    """The axes with the LoRA files of the prompt: the one an axis varies, and those that every picture has besides."""
    usable = [tag for tag in tags if "no number" not in tag.strange]
    by_kind = {axis.kind: axis for axis in axes}
    if "lora" in by_kind:
        first = by_kind["lora"].values[0]
        one = next((tag for tag in usable if tag.name == first), None)
        if one is not None and "weight" not in by_kind:
            axes = [*axes, AskedAxis("weight", number(one.weight))]
        usable = [tag for tag in usable if tag is not one]
    elif "weight" in by_kind:
        first = by_kind["weight"].values[0]
        one = next((tag for tag in usable if number(tag.weight) == first), None)
        if one is not None:
            axes = [*axes, AskedAxis("lora", (one.name,))]
        usable = [tag for tag in usable if tag is not one]
    return axes, tuple(FurtherLora(tag.name, tag.weight) for tag in usable)


def _apart(axes: Sequence[AskedAxis]) -> list[AskedAxis]:
    """The axes with names of their own where two are of one kind."""
    kinds = [axis.kind for axis in axes]
    return [
        replace(axis, name=f"{axis.kind} {kinds[: k + 1].count(axis.kind)}") if kinds.count(axis.kind) > 1 else axis
        for k, axis in enumerate(axes)
    ]


def _unused(fields: Mapping[str, str]) -> Iterable[str]:
    for key, value in fields.items():
        if key in _UNDERSTOOD:
            continue
        if key in _OF_THE_WEBUI:
            yield f"{key}: {_cut(value)} is a setting of the webui: set it there if the pictures are to be the same."
        elif key == "TI hashes":
            yield f"Embeddings were used ({_cut(value)}): the webui needs the same files."
        else:
            yield f"{key}: {_cut(value)} is not taken over: pictures are drawn without it."


def _strange(tag: Tag) -> str:
    return f"<lora:{tag.name}:…>: {tag.strange}."


def _cut(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
