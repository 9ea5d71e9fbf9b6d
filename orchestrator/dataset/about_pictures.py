"""What is wrong with pictures as files: depth, colours, transparency, notes that turn them, films, enlarged ones.

The build writes each of them as a plain RGB PNG; what sd-scripts would have made of the file itself is said, because
the same file is often trained on elsewhere.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence

from orchestrator.dataset.estimates import share_of
from orchestrator.dataset.model import Finding
from orchestrator.dataset.view import GroupView, Measured, many, named, names
from orchestrator.files import DEEP_MODES
from orchestrator.vision.model import RawFile

#: `Measurement.detail` below this is an enlarged or a blurred picture. Of 60 sharp photographs and drawings none was
#: below; of as many enlarged twice nearly all, 1.5 times half (tests/benchmarks/check.py). Soft photographs are, too.
ENLARGED_BELOW = -2.9
#: Or this much below the set's median, and not above the second figure.
_ENLARGED_BY, _SOFT_BELOW = 0.7, -2.6
_COMPARED_FROM = 4
_KINDS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP"}


def of_group(view: GroupView) -> Iterator[Finding]:
    """The findings of one group."""
    for kind, applies, what, means, fix in _FILES:
        ones = [one for one in view.readable if applies(one.measurement.file)]
        if kind == "transparent" and view.group.masks == "alpha":
            continue
        if ones:
            yield Finding(
                "warning" if kind in {"16 bits", "animated", "transparent"} else "note",
                kind,
                view.name,
                f"{len(ones)} of {len(view.readable)} pictures {what}: {named(ones)}",
                means,
                fix,
                names(ones),
                "read from the files",
            )
    misnamed = [one for one in view.readable if _is_misnamed(one)]
    if misnamed:
        first = misnamed[0]
        yield Finding(
            "note",
            "misnamed",
            view.name,
            f"{many(len(misnamed), 'file')} of another kind than the name says ({first.name} is a "
            f"{first.measurement.file.kind}): {named(misnamed)}",
            "it does no harm here; other programs may refuse them",
            "",
            names(misnamed),
            "read from the files",
        )


def of_all(views: Sequence[GroupView]) -> Iterator[Finding]:
    """Enlarged pictures, judged by themselves and against the set."""
    judged = [one for view in views for one in view.readable if one.measurement.detail is not None]
    ones = enlarged(judged)
    share = share_of(len(ones), len(judged))
    if ones:
        yield Finding(
            "warning",
            "enlarged",
            "",
            f"{len(ones)} of {len(judged)} pictures lack the detail of their size, as enlarged or blurred ones do: "
            f"{named(ones)}",
            "the LoRA learns soft skin and mushy edges as the subject's",
            "use the pictures they were enlarged from, or leave them out",
            names(ones),
            "of 60 sharp pictures none was called so by mistake; soft photographs are, and what a network enlarged is "
            f"not ({share})",
            share,
        )


def enlarged(ones: Sequence[Measured]) -> list[Measured]:
    """Those that lack detail for their size."""
    details = [one.measurement.detail for one in ones if one.measurement.detail is not None]
    middle = statistics.median(details) if len(details) >= _COMPARED_FROM else None
    found = []
    for one in ones:
        detail = one.measurement.detail
        if detail is None:
            continue
        beside = middle is not None and detail < _SOFT_BELOW and detail < middle - _ENLARGED_BY
        if detail < ENLARGED_BELOW or beside:
            found.append(one)
    return found


def _is_misnamed(one: Measured) -> bool:
    kind = one.measurement.file.kind
    expected = _KINDS.get(one.picture.path.suffix.lower())
    return bool(kind and expected and kind not in {expected, "MPO"})


_Row = tuple[str, Callable[[RawFile], bool], str, str, str]
_FILES: tuple[_Row, ...] = (
    (
        "16 bits",
        lambda file: file.mode in DEEP_MODES,
        "have more than 8 bits of grey",
        "sd-scripts makes white pages of them: it cuts off what is above 255",
        "nothing: the build scales them to 8 bits. To train on them elsewhere, save them as 8-bit PNG",
    ),
    (
        "16 bits a colour",
        lambda file: file.mode.endswith(";16") and file.mode not in DEEP_MODES,
        "have 16 bits for each colour",
        "the upper 8 of them are trained on, here and by sd-scripts; nothing that can be seen is lost",
        "nothing; to be rid of this note, save them as 8-bit PNG",
    ),
    (
        "transparent",
        lambda file: file.transparent,
        "have transparent parts",
        "the build and sd-scripts both drop the transparency; whatever colour lies below, often black, is learned",
        'put them on a background of your own, or give the group masks = "alpha" so that those parts are not learned',
    ),
    (
        "animated",
        lambda file: file.frames > 1,
        "are animated",
        "the first frame alone is trained on",
        "nothing, if the first frame is meant; else save the frame you want as PNG",
    ),
    (
        "turned",
        lambda file: file.turned,
        "are turned upright by a note in them only (EXIF)",
        "sd-scripts does not read it and would train on them lying on their side",
        "nothing: the build turns them",
    ),
    (
        "colour mode",
        lambda file: file.mode in {"CMYK", "YCCK", "LAB"},
        "have colours for print (CMYK)",
        "turned into RGB without a colour profile they look a little different",
        "nothing, if they look right in the page of this check; else save them as sRGB",
    ),
    (
        "grey",
        lambda file: file.mode in {"L", "LA", "1"},
        "are black and white",
        "the LoRA learns that the subject may be grey",
        "colour them, name it in their captions (monochrome), or leave them out",
    ),
)
