"""Animated strips: the cells along one axis one after the other, with their labels burnt in, as WebP or GIF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

from orchestrator.errors import InputError, PictureError
from orchestrator.files import beside, file_stem, open_picture
from orchestrator.grid.drawing import without_picture
from orchestrator.grid.fonts import font, wrap
from orchestrator.grid.layout import INK, PAPER, RULE, SOFT, line_height
from orchestrator.grid.manifest import At, Entry, Manifest
from orchestrator.grid.page import Place
from orchestrator.grid.pages import words_of
from orchestrator.grid.sheet import picture_size

#: All frames of a strip are in memory together; beyond these pixels they are made smaller.
_MAX_PIXELS: Final = 64_000_000
#: WebP's side ends at 16,383 pixels; nobody needs a strip that large.
_MAX_SIDE: Final = 2048
_FORMATS: Final = {".webp": "WEBP", ".gif": "GIF"}
#: The last frame stands so many times as long.
_LAST: Final = 3
#: How far along a frame is.
_TRACK: Final = "#1769aa"


def write_strip(
    folder: Path, manifest: Manifest, along: int, fixed: Mapping[int, int | None], target: Path | None = None,
    *, seconds: float = 0.6, side: int = 0,
) -> Path:  # fmt: skip
    """Write the cells along the axis `along`, at the `fixed` values of the others (by index, None = no LoRA).

    The baseline comes first where the axis is a LoRA's. Each frame stands for `seconds`, the last thrice as long;
    `side` is the longer side of pictures in pixels, 0 = as they are. `target` ends in .webp or .gif (default:
    `strip_file`, WebP). Raises `InputError`, `StorageError`.
    """
    places = places_along(manifest, along, fixed)
    path = target or strip_file(folder, manifest, along, fixed)
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"{path.name} is no name for an animation.", fix="Let it end in .webp or .gif.")
    if not 0.02 <= seconds <= 60:
        raise InputError(f"{seconds:g} seconds a picture cannot be shown.", fix="Choose 0.02 to 60 seconds.")
    entries = [manifest.cell(at) for at in places]
    if not any(entry.state == "ready" for entry in entries):
        raise InputError(
            f"None of the {len(entries)} cells along {manifest.axes[along].name} has a picture.",
            fix="Draw them with `orchestrator grid render`, or choose other values.",
        )
    width, height = picture_size(folder, manifest)
    scale = min(
        1.0,
        (side or _MAX_SIDE) / max(width, height),
        _MAX_SIDE / max(width, height),
        (_MAX_PIXELS / len(entries) / (width * height)) ** 0.5,
    )
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    frames = [
        _frame(folder, manifest, entry, along, size, (number, len(entries))) for number, entry in enumerate(entries)
    ]
    times = [round(seconds * 1000)] * (len(frames) - 1) + [round(seconds * 1000) * _LAST]
    with beside(path) as temporary:
        if kind == "GIF":
            # One palette for all frames flickers less than one for each.
            palette = _contact(frames).quantize(256, Image.Quantize.MEDIANCUT)
            frames = [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
            frames[0].save(
                temporary, kind, save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=False
            )
        else:
            frames[0].save(
                temporary, kind, save_all=True, append_images=frames[1:], duration=times, loop=0, quality=88, method=4
            )
    return path


def places_along(manifest: Manifest, along: int, fixed: Mapping[int, int | None]) -> list[At]:
    """The places a strip shows, the baseline first. Raises `InputError` when the values of other axes are not said."""
    axes = manifest.axes
    chosen = {index: fixed.get(index, 0) for index in range(len(axes)) if index != along}
    unsaid = [axes[i].name for i in chosen if i not in fixed and len(axes[i].values) > 1]
    bare = any(index is None for index in chosen.values())
    if bare and axes[along].lora:
        raise InputError(f"Without LoRA there is nothing along {axes[along].name}.", fix="Leave `no LoRA` out.")
    unsaid = [name for name in unsaid if not bare or not next(axis.lora for axis in axes if axis.name == name)]
    if unsaid:
        example = ",".join(f"{axis.name}={axis.values[0]}" for axis in axes if axis.name in unsaid)
        raise InputError(
            f"The grid {manifest.name} has several values of {', '.join(unsaid)}.",
            fix=f"Say which with --at, for example --at {example!r}.",
        )
    found = []
    for value in (None, *range(len(axes[along].values))) if axes[along].lora else range(len(axes[along].values)):
        without = bare or value is None
        at = tuple(
            None if without and axis.lora else value if index == along else chosen[index]
            for index, axis in enumerate(axes)
        )
        if at in manifest.by_place and manifest.cell(at).state != "left out":
            found.append(at)
    return found


def strip_file(
    folder: Path, manifest: Manifest, along: int, fixed: Mapping[int, int | None], ending: str = ".webp"
) -> Path:
    """Where a strip is written to in the grid's folder."""
    words = [f"along {manifest.axes[along].name}"]
    words += [words_of(manifest.axes[index], value) for index, value in sorted(fixed.items()) if index != along]
    return folder / f"{file_stem(' '.join(dict.fromkeys(words)))}{ending}"


def _frame(
    folder: Path, manifest: Manifest, entry: Entry, along: int, size: tuple[int, int], number: tuple[int, int]
) -> Image.Image:
    """A picture over a bar with its value, what stays the same, and how far along it is."""
    width, height = size
    text = max(11, round(min(width, height) / 22))
    small = max(9, round(text * 0.72))
    bar = line_height(text) + line_height(small) + text
    image = Image.new("RGB", (width, height + bar), PAPER)
    image.paste(_picture(folder, entry, size, text), (0, 0))
    pen = ImageDraw.Draw(image)
    count = max(1, number[1])
    track = max(2, text // 6)
    pen.rectangle((0, height, width, height + track - 1), fill=RULE)
    pen.rectangle((0, height, round(width * (number[0] + 1) / count), height + track - 1), fill=_TRACK)
    pad, y = round(text * 0.6), height + track + round(text * 0.25)
    axis, index = manifest.axes[along], entry.at[along]
    bold, face = font(text, bold=True), font(small)
    place = f"{number[0] + 1} of {count}"
    room = width - 2 * pad - round(face.getlength(place)) - text
    head = wrap(words_of(axis, index), max(1, room), bold.getlength, lines=1)[0]
    pen.text((pad, y + round(text * 1.02)), head, fill=INK, font=bold, anchor="ls")
    pen.text((width - pad, y + round(text * 1.02)), place, fill=SOFT, font=face, anchor="rs")
    same = [
        words_of(other, value)
        for other, value in zip(manifest.axes, entry.at, strict=True)
        if other is not axis and value is not None
    ]
    # What may be cut off comes last.
    words = " · ".join(["simulated"] * manifest.simulated + [*same, manifest.title])
    line = wrap(words, width - 2 * pad, face.getlength, lines=1)[0]
    pen.text((pad, y + line_height(text) + round(small * 1.02)), line, fill=SOFT, font=face, anchor="ls")
    return image


def _picture(folder: Path, entry: Entry, size: tuple[int, int], text: int) -> Image.Image:
    place = Place(None, entry.state if entry.state != "ready" else "failed", entry.reason)
    if entry.state == "ready" and entry.picture:
        try:
            picture = open_picture(folder / entry.picture)
        except PictureError as problem:
            place = Place(None, "failed", problem.what)
        else:
            picture.thumbnail(size, Image.Resampling.LANCZOS)
            if picture.size == size:
                return picture
            ground = Image.new("RGB", size, PAPER)
            ground.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
            return ground
    return without_picture(place, *size, text)


def _contact(frames: Sequence[Image.Image]) -> Image.Image:
    """Small copies of up to sixteen frames in one picture, for its colours."""
    chosen = frames[:: max(1, len(frames) // 16)][:16]
    side = 128
    image = Image.new("RGB", (side * len(chosen), side))
    for index, frame in enumerate(chosen):
        image.paste(frame.resize((side, side)), (index * side, 0))
    return image
