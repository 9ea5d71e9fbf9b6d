"""What a picture file says of itself: whether it can be trained on at all, and how A1111 made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.a1111 import infotext
from orchestrator.errors import PictureError, Problem
from orchestrator.files import open_picture, read_json, sha256_file, storage_error

# EXIF: A1111 writes its parameters there in JPEG, WebP and AVIF, as "UNICODE\0" and UTF-16.
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286
#: What of a picture set's manifest is carried along when one of its pictures is imported.
_SAID = ("recipe_key", "recipe", "seed", "source", "source_sha256", "straightened_deg")
#: More than this is no infotext.
_LONGEST = 100_000


def what_is_wrong(path: Path) -> Problem | None:
    """Why a file cannot be trained on as a still picture, or None. Decodes it once. Raises `StorageError`."""
    from PIL import Image

    try:
        open_picture(path)
        with Image.open(path) as image:
            frames = getattr(image, "n_frames", 1)
    except PictureError as error:
        why = error.what.partition("as a picture: ")[2] or error.what
        return Problem(str(path), why.rstrip("."), "replace it, or leave it out")
    except OSError as error:
        raise storage_error(error, path) from error
    if frames > 1:
        return Problem(str(path), f"it is animated ({frames} frames)", "save the frame that is meant as a picture")
    return None


def made_by_a1111(path: Path) -> dict[str, Any]:
    """What A1111 wrote into the picture: `{"infotext": …, "prompt": …, "seed": …}`; empty where there is nothing."""
    text = infotext_of(path)
    if not text:
        return {}
    parsed = infotext.parse(text)
    if not parsed.fields:
        return {}
    seed = parsed.fields.get("Seed", "")
    return {
        "infotext": text,
        "prompt": parsed.prompt,
        **({"seed": int(seed)} if seed.isdecimal() else {}),
        **({"loras": parsed.lora_hashes} if parsed.lora_hashes else {}),
    }


def made_of(path: Path, sha256: str) -> dict[str, Any]:
    """What the manifest beside a picture says it was made of, such as `{"source": …, "source_sha256": …,
    "straightened_deg": 13.4}`, with what A1111 wrote into that source; empty where there is none, or the picture was
    changed since.
    """
    manifest = read_json(path.with_name("manifest.json"))
    listed = manifest.get("pictures") if isinstance(manifest, dict) else None
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and entry.get("file") == path.name and entry.get("sha256") == sha256:
            source = Path(str(entry.get("source") or ""))
            made = {name: entry[name] for name in _SAID if entry.get(name) is not None}
            known = source.is_file() and sha256_file(source) == entry.get("source_sha256")
            return (made_by_a1111(source) if known else {}) | made
    return {}


def infotext_of(path: Path) -> str:
    """The "generation parameters" in a PNG's text chunk or a JPEG's or WebP's EXIF; empty where there are none."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            text = image.info.get("parameters")
            if not isinstance(text, str):
                comment = image.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT)
                text = _comment(comment) if isinstance(comment, bytes) else ""
    except (OSError, SyntaxError, ValueError):
        return ""
    return text if len(text) <= _LONGEST else ""


def _comment(data: bytes) -> str:
    kind, text = data[:8], data[8:]
    if kind == b"UNICODE\x00":
        # piexif writes big-endian without a mark; others write the machine's order with one.
        encoding = "utf-16" if text[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-16-be"
        return text.decode(encoding, "replace")
    return text.decode("utf-8", "replace") if kind in {b"ASCII\x00\x00\x00", bytes(8)} else ""
