"""Grids that arrive as files: manifests, and the sheets that carry one, read without trust.

A sheet's PNG holds the whole manifest (`TEXT_CHUNK`), so that the picture alone says what was asked for and how every
cell was drawn. It may have been sent by anybody: sizes are bounded before anything is built from the text, types are
checked, and pictures are looked for in the grid's own folder only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any

from orchestrator.errors import InputError
from orchestrator.files import storage_error
from orchestrator.grid import manifest as manifests
from orchestrator.grid.manifest import Entry, Manifest, State
from orchestrator.grid.picture_text import MAX_TEXT_BYTES, read_texts
from orchestrator.render import recipe as recipes
from orchestrator.render.recipe import Recipe

#: The PNG text chunk that holds the manifest in a sheet.
TEXT_CHUNK = "orchestrator grid"
#: The one that holds the file name a sheet was written with: which of the grid's sheets it is.
SHEET_CHUNK = "orchestrator sheet"
#: Objects, lists and commas in a manifest: a grid of 60,000 cells has a fifth. As Python values they take some 200 MB.
MAX_CONTAINERS = 600_000
MAX_COMMAS = 4_000_000
#: LoRA files in one picture: more than any graphics card could load.
MAX_LORAS = 64
_DRAW_FIX = "Draw it again where it comes from, with `orchestrator grid render`."


def from_sheet(path: Path) -> Manifest | None:
    """The grid a sheet shows, or None where the picture carries none of ours. Raises `PictureError`, `InputError`."""
    from orchestrator.grid.sheet_text import unpacked

    texts = read_texts(path, {TEXT_CHUNK, "parameters"})
    text = texts.get(TEXT_CHUNK)
    if text is None:
        try:
            # A WebP or JPEG has one text, its user comment.
            text = unpacked(texts.get("parameters", ""), MAX_TEXT_BYTES)
        except ValueError as error:
            raise _refused(path, str(error), "Have it sent again, unchanged.") from None
    return None if text is None else from_text(text, str(path))


def from_file(path: Path) -> Manifest:
    """The grid of a manifest file. Raises `InputError`, `StorageError`."""
    try:
        size = path.stat().st_size
        if size > MAX_TEXT_BYTES:
            raise _refused(path, f"it is larger than {MAX_TEXT_BYTES >> 20} MB", "Give the right file.")
        return from_text(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError:
        raise _refused(
            path, "it is no text", f"Give the grid's {manifests.MANIFEST_NAME}, or one of its sheets."
        ) from None
    except OSError as error:
        raise storage_error(error, path) from error


def from_text(text: str, source: str) -> Manifest:
    """The grid that `text` describes; `source` names it in errors. Raises `InputError`."""
    if text.count("[") + text.count("{") > MAX_CONTAINERS or text.count(",") > MAX_COMMAS:
        raise _refused(source, "it has more parts than any grid", _DRAW_FIX)
    from pydantic import ValidationError
    from pydantic_core import from_json

    try:
        values = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise _refused(source, f"its text is damaged ({error})", "Have it sent again, unchanged.") from None
    if not isinstance(values, dict):
        raise _refused(source, "its text describes no grid", _DRAW_FIX)
    _check_format(values, source)
    try:
        _shape().validate_python(values)
        manifest = manifests.from_dict(values)
        if not all(isinstance(value, str) for value in manifest.made_with.values()):
            raise ValueError("made_with: what it names is no text")
        for entry in manifest.cells:
            _check_cell(manifest, entry)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _refused(source, f"{place}: {first['msg']}", _DRAW_FIX) from None
    except _Outside as error:
        raise _refused(source, str(error), "No grid does that by itself: do not trust this file.") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _refused(source, str(error), _DRAW_FIX) from None
    return manifest


class _Outside(Exception):
    """A picture that is not in the grid's folder."""


def _check_cell(manifest: Manifest, entry: Entry) -> None:
    if entry.picture and not _is_inside(entry.picture):
        raise _Outside(f"the cell {entry.label[:60]!r} names a picture outside of its folder ({entry.picture[:60]!r})")
    values = manifest.recipe_of(entry)
    if values is None:
        return
    try:
        if len(values.get("loras", ())) > MAX_LORAS:
            raise ValueError(f"it has more than {MAX_LORAS} LoRA files")
        # The one takes no field it does not know, the other looks at the types.
        recipes.from_dict({**values, "init_path": None, "mask_path": None})
        recipe: Recipe = _recipe_shape().validate_python({**values, "init_path": None, "mask_path": None})
        _ = recipe.key
    except (TypeError, ValueError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        why = " ".join(lines[1:3]) or lines[0]
        raise ValueError(f"the recipe of {entry.label[:60]!r} cannot be read ({why[:120]})") from None


def recipe_of(manifest: Manifest, entry: Entry) -> Recipe | None:
    """The recipe of a cell; None where the cell is left out.

    Pictures that the recipe starts from are named by their content alone: a path may come from another machine.
    """
    values = manifest.recipe_of(entry)
    return None if values is None else recipes.from_dict({**values, "init_path": None, "mask_path": None})


def picture_of(folder: Path | None, entry: Entry) -> Path | None:
    """Where the picture of a cell lies, if it is there and in the grid's own `folder`."""
    if folder is None or not entry.picture or not _is_inside(entry.picture):
        return None
    path = folder / entry.picture
    try:
        # A link that leads out of the folder shows another file's content.
        inside = path.is_file() and path.resolve().is_relative_to(folder.resolve())
    except OSError:
        return None
    return path if inside else None


def _is_inside(name: str) -> bool:
    # Both ways of writing: what is harmless here may be a path where the file is opened next.
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    absolute = posix.is_absolute() or windows.is_absolute() or windows.drive or windows.root
    return not absolute and ".." not in windows.parts and "\0" not in name and ":" not in name


def _check_format(values: Mapping[str, Any], source: str) -> None:
    found = values.get("format")
    if found == manifests.FORMAT and type(found) is int:
        return
    if type(found) is int and found > manifests.FORMAT:
        raise _refused(source, f"a newer orchestrator wrote it (format {found})", "Update orchestrator.")
    if (found is None and {"manifest", "grid", "seeds"} <= values.keys()) or type(found) is int:
        raise _refused(source, "an earlier orchestrator wrote it, without what is needed to draw it again", _DRAW_FIX)
    raise _refused(source, "its text describes no grid", _DRAW_FIX)


def _refused(source: Path | str, why: str, fix: str) -> InputError:
    return InputError(f"{source} cannot be read as a grid: {why}.", fix=fix)


@lru_cache(maxsize=1)
def _shape() -> Any:
    """The types of a manifest as JSON has it. It stops at the first wrong element of each list: to name a million of
    them would take gigabytes.
    """
    from pydantic import FailFast, TypeAdapter, create_model

    place = Annotated[list[int | None], FailFast()]
    axis = create_model("axis", kind=(str, ...), name=(str, ...), values=(Annotated[list[str], FailFast()], ...))
    sheet = create_model("sheet", file=(str, ...), at=(place, ...))
    cell = create_model(
        "cell", at=(place, ...), label=(str, ...), state=(State, ...), picture=(str, ""), key=(str, ""),
        reason=(str, ""), cached=(bool, False), recipe=(dict[str, Any] | None, None), seconds=(float | None, None),
    )  # fmt: skip
    manifest = create_model(
        "manifest", name=(str, ...), title=(str, ...), simulated=(bool, ...), definition=(dict[str, Any], ...),
        axes=(Annotated[list[axis], FailFast()], ...), baseline=(bool, ...), shared=(dict[str, Any], ...),
        cells=(Annotated[list[cell], FailFast()], ...), highlighted=(Annotated[list[place], FailFast()], []),
        sheets=(Annotated[list[sheet], FailFast()], []), drawn=(str, ""), made_with=(dict[str, Any], {}),
    )  # fmt: skip
    return TypeAdapter(manifest)


@lru_cache(maxsize=1)
def _recipe_shape() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Recipe)
