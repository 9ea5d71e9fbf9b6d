"""Captions beside the pictures, as the simulated trainer reads them: first line only, UTF-8 only, never empty."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.sandbox.console_output import Console, bar_over
from orchestrator.sandbox.dataset_options import SubsetOptions


def read_captions(paths: list[Path], subset: SubsetOptions, console: Console) -> tuple[list[str], list[Path]]:
    """Return the captions and the pictures without one (the class tokens stand in for it).

    Raises `AssertionError` for an empty caption file and `UnicodeDecodeError` for one that is not UTF-8.
    """
    captions, missing = [], []
    for path in bar_over(paths, "read caption"):
        caption = _caption(path, subset, console)
        if caption is None:
            missing.append(path)
            if subset.class_tokens is None:
                console.warning(
                    f"neither caption file nor class tokens are found. use empty caption for {path} / "
                    f"キャプションファイルもclass tokenも見つかりませんでした。空のキャプションを使用します: {path}",
                    "train_util.py:2072",
                )
        captions.append(caption if caption is not None else subset.class_tokens or "")
    return captions, missing


def _caption(path: Path, subset: SubsetOptions, console: Console) -> str | None:
    stem = os.path.splitext(path)[0]  # noqa: PTH122 - the text of the path is what the caption's name is made of
    parts = stem.split("_")
    # Pictures cut out by the face detector carry four numbers behind their name; their caption need not.
    names = [stem, "_".join(parts[:-4]) if len(parts) >= 5 else stem]
    for name in names:
        file = Path(name + subset.caption_extension)
        if file.is_file():
            try:
                lines = file.read_text(encoding="utf-8").splitlines()
            except UnicodeDecodeError:
                console.error(
                    f"illegal char in file (not UTF-8) / ファイルにUTF-8以外の文字があります: {file}",
                    "train_util.py:1961",
                )
                raise
            assert len(lines) > 0, f"caption file is empty / キャプションファイルが空です: {file}"
            if subset.values["enable_wildcard"]:
                return "\n".join(line.strip() for line in lines if line.strip())
            return lines[0].strip()
    return None


def count_tags(frequency: dict[str, int], captions: list[str]) -> None:
    """Count the parts of the captions, in small letters, into `frequency`."""
    for caption in captions:
        for part in caption.split(","):
            tag = part.strip().lower()
            if tag:
                frequency[tag] = frequency.get(tag, 0) + 1


def warn_about_missing(missing: list[Path], console: Console) -> None:
    """Say how many captions are missing and name the first five."""
    if not missing:
        return
    console.warning(
        f"No caption file found for {len(missing)} images. Training will continue without captions for these images. "
        "If class token exists, it will be used. / "
        f"{len(missing)}枚の画像にキャプションファイルが見つかりませんでした。"
        "これらの画像についてはキャプションなしで学習を続行します。class tokenが存在する場合はそれを使います。",
        "train_util.py:2090",
    )
    for index, path in enumerate(missing):
        if index == 5:
            console.warning(f"{path}... and {len(missing) - 5} more", "train_util.py:2095")
            break
        console.warning(str(path), "train_util.py:2097")
