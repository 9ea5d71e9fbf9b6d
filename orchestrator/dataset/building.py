"""Writing a dataset the way sd-scripts reads it, with a record of where every picture came from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from orchestrator.dataset import on_disk
from orchestrator.dataset.captions import refuse
from orchestrator.dataset.model import Dataset, DatasetPicture
from orchestrator.errors import DatasetError, PictureError
from orchestrator.files import file_stem, open_picture, replace, storage_error, write_bytes, write_json, write_text
from orchestrator.kohya import dataset_config, toml_file
from orchestrator.profile.model import Group, Profile
from orchestrator.workspace import Workspace

if TYPE_CHECKING:
    from PIL import Image

_EXIF_ORIENTATION = 0x0112


def build(profile: Profile, workspace: Workspace, pictures: Sequence[DatasetPicture]) -> Dataset:
    """Write `dataset/<version>/<repeats>_<group>/0001.png` + `.txt`, dataset.toml and manifest.json.

    Everything is written beside and then renamed. A dataset that is there already and would come out the same is left
    alone; one that was changed by hand is kept under another name. Pictures are copied byte by byte where they are
    plain RGB PNGs, else written as such (upright, without transparency). Raises `DatasetError` for no pictures, an
    empty group, an unusable caption or a folder that is not ours, `PictureError` for an unreadable picture,
    `StorageError`.
    """
    _refuse_unusable(profile, pictures)
    folder = workspace.dataset(profile.subject.version)
    fingerprint = _fingerprint(profile, pictures)
    state = on_disk.look(folder)
    if state.stranger:
        raise DatasetError(
            f"{folder} was not made by orchestrator, so it is not replaced.",
            fix="Move it elsewhere; its pictures can be named under `folders` of a dataset group.",
        )
    _clean(folder)
    if state.fingerprint == fingerprint and not state.changed:
        write_config(folder, folder, _head(profile, pictures))
        return on_disk.read(folder, profile.subject.version, built=False)
    notes: tuple[str, ...] = ()
    beside = folder.with_name(f".{folder.name}.building")
    try:
        _remove(beside)
        _write_all(beside, folder, profile, pictures, fingerprint)
        notes = take_place(beside, folder, state)
    except OSError as error:
        raise storage_error(error, folder) from error
    finally:
        with contextlib.suppress(OSError):
            _remove(beside)
    return on_disk.read(folder, profile.subject.version, built=True, notes=notes)


def _refuse_unusable(profile: Profile, pictures: Sequence[DatasetPicture]) -> None:
    for group in profile.dataset.groups:
        if not any(picture.group == group.name for picture in pictures):
            raise DatasetError(
                f"The group {group.name!r} has no pictures.",
                fix="Name sets or folders for it, import some (orchestrator dataset import FOLDER --group "
                f"{json.dumps(group.name, ensure_ascii=False)}), or remove it from lora.toml.",
            )
    if not pictures:
        raise DatasetError("There are no pictures to make a dataset from.", fix="Add [[dataset.groups]] to lora.toml.")
    for picture in pictures:
        if picture.caption_problem:
            raise refuse(picture.path, picture.caption_problem)


def _fingerprint(profile: Profile, pictures: Sequence[DatasetPicture]) -> str:
    groups = {group.name: group for group in profile.dataset.groups}
    learned = [
        [
            picture.group,
            groups[picture.group].repeats,
            picture.sha256,
            picture.caption,
            # Only where there are such, so that datasets built before they could be named stay the same.
            *([picture.mask_sha256 or "alpha"] if picture.mask else []),
            *(["regularisation"] if groups[picture.group].regularisation else []),
        ]
        for picture in pictures
    ]
    text = json.dumps([on_disk.LAYOUT, profile.dataset.resolution, learned], ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _write_all(
    beside: Path, folder: Path, profile: Profile, pictures: Sequence[DatasetPicture], fingerprint: str
) -> None:
    """Write the dataset into `beside`, to be renamed to `folder`."""
    entries: list[dict[str, Any]] = []
    for group, name in zip(profile.dataset.groups, group_folders(profile.dataset.groups), strict=True):
        ours = [picture for picture in pictures if picture.group == group.name]
        for number, picture in enumerate(ours, start=1):
            file = f"{name}/{number:04d}.png"
            data = as_trained(picture.path, picture.mask)
            write_bytes(beside / file, data)
            write_text((beside / file).with_suffix(".txt"), f"{picture.caption}\n")
            entries.append(_entry(file, data, picture))
    head = _head(profile, pictures)
    write_config(beside, folder, head)
    write_json(beside / on_disk.MANIFEST, {**head, "fingerprint": fingerprint, "pictures": entries})


def _head(profile: Profile, pictures: Sequence[DatasetPicture]) -> dict[str, Any]:
    """The manifest but for its pictures: what sd-scripts is told of them."""
    groups = [
        {
            "name": group.name,
            "folder": name,
            "repeats": group.repeats,
            "count": sum(picture.group == group.name for picture in pictures),
            "caption": profile.fill(group.caption),
            **({"regularisation": True} if group.regularisation else {}),
            **({"alpha_mask": True} if group.masks else {}),
        }
        for group, name in zip(profile.dataset.groups, group_folders(profile.dataset.groups), strict=True)
    ]
    return {
        "made_by": on_disk.MADE_BY,
        "layout": on_disk.LAYOUT,
        "version": profile.subject.version,
        "resolution": profile.dataset.resolution,
        "batch_size": profile.training.batch_size,
        "trigger": profile.trigger,
        "groups": groups,
    }


def group_folders(groups: Sequence[Group]) -> list[str]:
    """The folder names `<repeats>_<group>`, different from each other on every file system."""
    names: list[str] = []
    for group in groups:
        name = f"{group.repeats}_{file_stem(group.name)}"
        taken = {other.casefold() for other in names}
        number = 2
        while name.casefold() in taken:
            name = f"{group.repeats}_{file_stem(group.name)} {number}"
            number += 1
        names.append(name)
    return names


def _entry(file: str, data: bytes, picture: DatasetPicture) -> dict[str, Any]:
    return {
        "file": file,
        "sha256": hashlib.sha256(data).hexdigest(),
        "group": picture.group,
        "caption": picture.caption,
        "from": {
            "path": str(picture.path),
            "sha256": picture.sha256,
            "set": picture.source,
            **({"mask": str(picture.mask), "mask_sha256": picture.mask_sha256} if picture.mask else {}),
            "origin": picture.origin,
        },
    }


def write_config(where: Path, final: Path, manifest: Mapping[str, Any]) -> bool:
    """Write dataset.toml in `where` for the dataset of `manifest`, which lies, or will lie, at `final`.

    Left alone when it would be the same; returns whether it was written.
    """
    trigger, batch_size = manifest.get("trigger", ""), manifest.get("batch_size", 1)
    subsets = [
        dataset_config.Subset(
            final / one["folder"],
            one["repeats"],
            # A picture of the class must never be called by the subject's word.
            "" if one.get("regularisation") else trigger,
            regularisation=bool(one.get("regularisation")),
            alpha_mask=bool(one.get("alpha_mask")),
        )
        for one in manifest["groups"]
    ]
    path, resolution = where / on_disk.CONFIG, manifest["resolution"]
    text = toml_file.dumps(dataset_config.values(subsets, resolution=resolution, batch_size=batch_size))
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    dataset_config.write(path, subsets, resolution=resolution, batch_size=batch_size)
    return True


def as_trained(path: Path, mask: Path | None = None) -> bytes:
    """The picture as an RGB PNG: its own bytes when it is one, so that what A1111 wrote into it stays. With a `mask`
    (itself = its own transparency) it is an RGBA one, opaque where it is learned.

    Raises `PictureError`, `StorageError`.
    """
    from PIL import Image

    image = open_picture(path)
    if mask is not None:
        buffer = BytesIO()
        _masked(image, path, mask).save(buffer, "PNG")
        return buffer.getvalue()
    try:
        with Image.open(path) as raw:
            if raw.format == "PNG" and raw.mode == "RGB" and raw.getexif().get(_EXIF_ORIENTATION, 1) == 1:
                return path.read_bytes()
    except OSError as error:
        raise storage_error(error, path) from error
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _masked(image: Image.Image, path: Path, mask: Path) -> Image.Image:
    from PIL import Image, ImageOps

    if mask == path:
        try:
            with Image.open(path) as raw:
                alpha = ImageOps.exif_transpose(raw).convert("RGBA").getchannel("A")
        except OSError as error:
            raise storage_error(error, path) from error
    else:
        alpha = open_picture(mask).convert("L")
        if alpha.size != image.size:
            alpha = alpha.resize(image.size, Image.Resampling.BILINEAR)
    if alpha.getextrema()[1] == 0:
        raise PictureError(mask, "it is all black, so nothing of its picture would be learned")
    image.putalpha(alpha)
    return image


def take_place(beside: Path, folder: Path, state: on_disk.State) -> tuple[str, ...]:
    """Rename the dataset that is there aside and `beside` to its place; then throw the old one away, unless it was
    changed by hand.

    Only renames stand between the old dataset and the new one: whatever stops this leaves one of them whole.
    """
    if not folder.exists():
        replace(beside, folder)
        return ()
    aside = _name_for_changed(folder) if state.changed else folder.with_name(f".{folder.name}.old-{uuid4().hex[:8]}")
    replace(folder, aside)
    try:
        replace(beside, folder)
    except BaseException:
        if not folder.exists():
            replace(aside, folder)
        raise
    _clean(folder)
    if not state.changed:
        return ()
    some = ", ".join(state.changed[:3]) + (f" and {len(state.changed) - 3} more" if len(state.changed) > 3 else "")
    return (
        f"{folder} had been changed by hand ({some}); that version is kept as {aside.name}. "
        "Changes last when they are made to the pictures and captions the dataset is built from.",
    )


def _name_for_changed(folder: Path) -> Path:
    number = 1
    while (kept := folder.with_name(f"{folder.name} changed {number}")).exists():
        number += 1
    return kept


def _clean(folder: Path) -> None:
    """Remove what earlier builds put aside to be thrown away; what somebody still holds is left for the next time."""
    old = re.compile(re.escape(f".{folder.name}.old-") + "[0-9a-f]{8}")
    with contextlib.suppress(OSError):
        for path in list(folder.parent.iterdir()):
            if old.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    _remove(path)


def _remove(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
