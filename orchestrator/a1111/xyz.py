"""The webui's own X/Y/Z plot: its arguments by label, and its answer taken apart into cells.

The numbers of the axes differ between txt2img and img2img, between versions and forks, and so does the number of
arguments (18 on A1111 1.10 and Forge, 21 on reForge). A wrong one is often no error but another plot. So both are read
from the server's script-info, and what is not recognised there is refused.
"""

from __future__ import annotations

import csv
import difflib
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.a1111.models import Generated, ScriptInfo
from orchestrator.errors import InputError, ToolError

SEED = "Seed"
PROMPT_SR = "Prompt S/R"
_NAME = "x/y/z plot"
_NOTHING = "Nothing"
_LETTERS = "xyz"
_TEXT_NOT_MENU = "use text inputs instead of dropdowns"
_SUB_IMAGES = "include sub images"
#: What we send for each argument besides the axes', by its label up to " (".
_SETTINGS: Mapping[str, object] = {
    "draw legend": True,
    _SUB_IMAGES: True,
    "include sub grids": False,
    "keep -1 for seeds": False,
    "vary seeds for x": False,
    "vary seeds for y": False,
    "vary seeds for z": False,
    "grid margins": 0,
    # Whether an axis takes its values from the text or from the menu is not in script-info, and values in the wrong
    # place make an empty plot without an error; with this, every axis takes the text.
    _TEXT_NOT_MENU: True,
    # reForge only: labels drawn into the cells, no grid in front of them, several grids.
    "draw individual labels": False,
    "skip final grid generation": False,
    "items per grid": 0,
}
_UNKNOWN_FIX = "Draw without the webui's own plot, and report the version of the webui: its script has changed."


@dataclass(frozen=True)
class PlotScript:
    """The script as one server has it: the label of each axis number, and the arguments in their order.

    `arguments` holds `x type`, `x text`, `x menu` (and y, z) for the axes and the label in lower case for the others.
    """

    name: str
    axes: tuple[str, ...]
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Axis:
    """What one axis varies, by the webui's label (`Prompt S/R`, `Seed`, `Sampler` …), and its values as texts.

    Of `Prompt S/R` the first value is also the text that is searched.
    """

    label: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class PlotCell:
    """One picture of a plot with what the server says of it. With an `error` the picture shows nothing.

    `at` counts from 0 along x, y and z.
    """

    at: tuple[int, int, int]
    picture: bytes
    infotext: str
    seed: int | None
    error: str = ""


def read_script(scripts: Sequence[ScriptInfo], *, img2img: bool = False) -> PlotScript:
    """Find the plot in the answer of /sdapi/v1/script-info. Raises `ToolError` when it is not there or not as known."""
    script = next((s for s in scripts if s.name.lower() == _NAME and s.is_img2img == img2img), None)
    if script is None:
        raise ToolError(
            f"The webui has no {_NAME} for {'img2img' if img2img else 'txt2img'}.",
            cause="Its scripts folder is not complete, or it is no A1111.",
            fix="Draw without the webui's own plot.",
        )
    roles = tuple(_roles([argument.label.lower().partition(" (")[0].strip() for argument in script.args]))
    choices = script.args[roles.index("x type")].choices if "x type" in roles else None
    # gradio 4 tells a choice as a pair of what is shown and what is meant.
    axes = tuple(str(choice[0] if isinstance(choice, list | tuple) else choice) for choice in choices or ())
    needed = [f"{letter} {part}" for letter in _LETTERS for part in ("type", "text", "menu")]
    missing = [role for role in [*needed, _SUB_IMAGES, _TEXT_NOT_MENU] if roles.count(role) != 1]
    strange = [role for role in roles if role not in needed and role not in _SETTINGS]
    if missing or strange or _NOTHING not in axes:
        listed = ", ".join(map(repr, missing or strange)) or f"an axis {_NOTHING!r}"
        raise ToolError(
            f"The webui's {_NAME} is not as we know it: {'it lacks' if missing or not strange else 'it has'} {listed}.",
            cause="It is an older or newer version, or an extension has changed it.",
            fix=_UNKNOWN_FIX,
        )
    return PlotScript(script.name, axes, roles)


def _roles(labels: Sequence[str]) -> list[str]:
    """Each axis has two arguments labelled `X values`: the text comes first, the menu second."""
    roles: list[str] = []
    for label in labels:
        letter, _, rest = label.partition(" ")
        if rest == "values" and letter in _LETTERS:
            roles.append(f"{letter} menu" if f"{letter} text" in roles else f"{letter} text")
        else:
            roles.append(label)
    return roles


def script_args(script: PlotScript, axes: Sequence[Axis]) -> list[Any]:
    """The `script_args` of a request for up to three axes, x first.

    Every cell comes as a picture of its own behind the grid; nothing is added between or into the cells. Raises
    `InputError` for an axis the server does not have and for values that would not arrive as they are.
    """
    if len(axes) > len(_LETTERS):
        raise InputError(f"A plot has three axes, not {len(axes)}.", fix="Draw several plots.")
    sent = dict(_SETTINGS)
    for letter, axis in itertools.zip_longest(_LETTERS, axes):
        sent[f"{letter} type"] = _number(script, axis.label) if axis else script.axes.index(_NOTHING)
        sent[f"{letter} text"] = _csv(axis) if axis else ""
        sent[f"{letter} menu"] = []
    return [sent[role] for role in script.arguments]


def _number(script: PlotScript, label: str) -> int:
    if label in script.axes and label != _NOTHING:
        return script.axes.index(label)
    by_folded = {known.casefold(): known for known in script.axes if known != _NOTHING}
    close = [by_folded[near] for near in difflib.get_close_matches(label.casefold(), by_folded, n=3, cutoff=0.5)]
    hint = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
    raise InputError(
        f"The webui's {_NAME} has no axis {label!r}.", fix=f"{hint}It has: {', '.join(by_folded.values())}."
    )


def _csv(axis: Axis) -> str:
    """The values as one line of CSV, which is how the script reads them."""
    if not axis.values:
        raise InputError(f"The axis {axis.label} has no values.", fix="Give it one at least.")
    for value in axis.values:
        # The script takes blanks off both ends and reads line by line.
        if not value or value != value.strip() or len(value.splitlines()) != 1:
            raise InputError(
                f"The axis {axis.label} cannot have the value {value!r}.",
                cause="The script takes off what is blank at its ends and reads it as one line.",
                fix="Choose a value without blank ends and line breaks.",
            )
        if "seed" in axis.label.casefold() and (not value.lstrip("-").isdecimal() or value == "-1"):
            raise InputError(
                f"The axis {axis.label} cannot have the value {value!r}.",
                cause="-1 is drawn at random, and a range is several values.",
                fix="Write out the seeds as whole numbers.",
            )
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(axis.values)
    return text.getvalue()


def take_apart(answer: Generated, axes: Sequence[Axis]) -> list[PlotCell]:
    """The cells of a plot's answer, x fastest, then y, then z; the grid in front of them is left out.

    An error inside a cell, an interruption and NaN leave a black picture in a 200: such cells carry an `error`. Raises
    `ToolError` when the answer does not hold the cells that were asked for.
    """
    nx, ny, nz = (len(axes[n].values) if n < len(axes) else 1 for n in range(len(_LETTERS)))
    count = nx * ny * nz
    if not answer.images:
        raise ToolError(
            "The webui's plot drew no cell.",
            cause="It found no values on one of its axes, or failed before the first cell.",
            fix="The webui's console says more. Drawing without its own plot names what is wrong.",
        )
    pictures, texts, seeds = answer.pictures, answer.infotexts, answer.info.all_seeds or []
    if not len(pictures) == len(texts) == len(seeds) == count:
        raise ToolError(
            f"The webui's plot was asked for {count} cells and sent {len(pictures)} pictures, {len(texts)} infotexts "
            f"and {len(seeds)} seeds.",
            cause="It understood the values of its axes otherwise, or lays out its answer in another way.",
            fix=_UNKNOWN_FIX,
        )
    return [
        PlotCell((k % nx, k // nx % ny, k // (nx * ny)), picture, text or "", seed, _error(picture, text, seed))
        for k, (picture, text, seed) in enumerate(zip(pictures, texts, seeds, strict=True))
    ]


def _error(picture: bytes, text: str | None, seed: int | None) -> str:
    if not text or seed is None:
        return "not drawn: an error in this cell, which only the webui's console shows, or the plot was interrupted"
    return "the picture is all black: it became NaN" if _is_black(picture) else ""


def _is_black(picture: bytes) -> bool:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(picture)) as image:
            # Packed, a flat picture is a thousandth of its pixels and its text: any other need not be decoded.
            if len(picture) > image.width * image.height / 30 + 10_000:
                return False
            return image.convert("RGB").getbbox() is None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
