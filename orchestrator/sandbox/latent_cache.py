"""Opening all pictures once before training, and the cache files beside them (`img0_0512x0512_sd.npz`).

As in sd-scripts, a cache file is used as soon as it holds "latents": neither another resolution nor a picture edited
since is noticed. To make that show in what is learned, the simulated cache also keeps the picture's bytes of that time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.sandbox.console_output import Console, bar_over
from orchestrator.sandbox.dataset_reading import ReadDataset, TrainingPicture
from orchestrator.sandbox.training_faults import Faults
from orchestrator.sandbox.training_kinds import SD, Kind

#: Latents have an eighth of the picture's sides.
_SHRINK = 8


def cache_latents(
    datasets: Sequence[ReadDataset],
    to_disk: bool,
    scratch: Path,
    console: Console,
    kind: Kind = SD,
    faults: Faults | None = None,
) -> dict[Path, Path]:
    """Open every picture, or its cache file, and return where the pixels to learn from are.

    `scratch`: an existing folder for pictures taken out of cache files.
    Raises `OSError` for a picture that cannot be read.
    """
    sources: dict[Path, Path] = {}
    for number, dataset in enumerate(datasets):
        console.info(f"[Dataset {number}]", "train_util.py:2627")
        console.info("caching latents with caching strategy.", "train_util.py:1120")
        console.info("caching latents...", "train_util.py:1170")
        for picture in bar_over(dataset.pictures):
            file = cache_file(picture, kind)
            if faults is not None:
                faults.strike("latents")
            if to_disk and _usable(file, _key(picture, kind)):
                sources[picture.path] = _picture_inside(file, picture.path, scratch / f"{len(sources)}")
                continue
            _write(picture, file if to_disk else None, console, _key(picture, kind))
    return sources


def cache_text_outputs(datasets: Sequence[ReadDataset], to_disk: bool, console: Console, kind: Kind) -> None:
    """Encode every caption once. A file beside the picture is used as soon as it is there, whatever the caption says
    by now.
    """
    for number, dataset in enumerate(datasets):
        console.info(f"[Dataset {number}]", "train_util.py:2641")
        console.info("caching Text Encoder outputs with caching strategy.", "train_util.py:1250")
        console.info("caching Text Encoder outputs...", "train_util.py:1295")
        for picture in bar_over(dataset.pictures):
            file = picture.path.with_name(picture.path.stem + kind.text_outputs)
            if to_disk and not file.exists():
                import numpy as np

                words = np.frombuffer(picture.caption.encode("utf-8"), dtype=np.uint8).astype(np.float32)
                names = ("l_pooled", "t5_out", "txt_ids") if kind.parts else ("hidden_state1", "hidden_state2", "pool2")
                np.savez(file, **dict.fromkeys(names, words))


def cache_file(picture: TrainingPicture, kind: Kind = SD) -> Path:
    """Name of the cache file: the picture's own size is part of it. An old `img0.npz` comes first, except for Flux."""
    old = picture.path.with_suffix(".npz")
    if old.exists() and not kind.several_sizes:
        return old
    width, height = picture.size
    return picture.path.with_name(f"{picture.path.stem}_{width:04d}x{height:04d}{kind.latents}")


def _key(picture: TrainingPicture, kind: Kind) -> str:
    """Flux' files hold one entry for each training size, all others just one for whatever size came first."""
    width, height = picture.target
    return f"latents_{height // _SHRINK}x{width // _SHRINK}" if kind.several_sizes else "latents"


def open_pictures(datasets: Sequence[ReadDataset], console: Console) -> None:
    """Open every picture as the first epoch does without a cache.

    Raises `OSError` for one that cannot be read and `AssertionError` for one larger than the resolution when there
    are no buckets.
    """
    for dataset in datasets:
        width, height = dataset.resolution
        for picture in dataset.pictures:
            _pixels(picture, console)
            too_large = picture.size[0] > width or picture.size[1] > height
            assert dataset.options.enable_bucket or not too_large or dataset.options.subsets[0].values["random_crop"], (
                "image too large, but cropping and bucketing are disabled / "
                "画像サイズが大きいのでface_crop_aug_rangeかrandom_crop、またはbucketを有効にしてください: "
                f"{picture.path}"
            )


def _usable(file: Path, key: str) -> bool:
    import numpy as np

    if not file.exists():
        return False
    with np.load(file) as archive:
        return key in archive.files


def _picture_inside(file: Path, picture: Path, folder: Path) -> Path:
    import numpy as np

    with np.load(file) as archive:
        if "picture" not in archive.files:
            return picture
        content = archive["picture"].tobytes()
    folder.mkdir()
    taken_out = folder / picture.name
    taken_out.write_bytes(content)
    return taken_out


def _pixels(picture: TrainingPicture, console: Console) -> bytes:
    from PIL import Image

    try:
        with Image.open(picture.path) as image:
            image.load()
    except OSError:
        console.error(f"Error loading file: {picture.path}", "train_util.py:2960")
        raise
    return picture.path.read_bytes()


def _write(picture: TrainingPicture, file: Path | None, console: Console, key: str) -> None:
    content = _pixels(picture, console)
    if file is None:
        return
    import numpy as np
    from PIL import Image

    width, height = picture.target[0] // _SHRINK, picture.target[1] // _SHRINK
    with Image.open(picture.path) as image:
        small = np.asarray(image.convert("RGB").resize((width, height)), dtype=np.float32) / 127.5 - 1.0
    latents = np.concatenate([small, small.mean(axis=2, keepdims=True)], axis=2).transpose(2, 0, 1)
    size = key.removeprefix("latents")
    entries = {
        key: latents,
        f"original_size{size}": np.array(picture.size),
        f"crop_ltrb{size}": np.array([0, 0, *picture.target]),
        "picture": np.frombuffer(content, dtype=np.uint8),
    }
    if size and file.exists():
        with np.load(file) as archive:
            entries = {**{name: archive[name] for name in archive.files}, **entries}
    np.savez(file, **entries)
