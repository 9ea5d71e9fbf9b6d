"""What captions say, as sd-scripts reads them: unreadable ones, the trigger missing, words the picture contradicts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from orchestrator.dataset.about_poses import quoted
from orchestrator.dataset.captions import tokens_at_least
from orchestrator.dataset.model import Finding
from orchestrator.dataset.view import ASIDE_FROM, SERIOUS_BELOW, GroupView, Measured, many, named, names
from orchestrator.vision.model import Face

#: sd-scripts' own default (`max_token_length` None): CLIP's 77 without the marks at both ends.
_MOST_TOKENS = 75


def of_group(view: GroupView, trigger: str) -> Iterator[Finding]:
    """The findings of one group."""
    yield from _captions(view, trigger)
    yield from _not_read(view)
    if not view.group.regularisation:
        yield from _contradicted(view)


def _captions(view: GroupView, trigger: str) -> Iterator[Finding]:
    problems: dict[str, list[Measured]] = {}
    for one in view.pictures:
        if one.picture.caption_problem:
            problems.setdefault(one.picture.caption_problem, []).append(one)
    for problem, ones in problems.items():
        encoding = problem.rpartition(" but probably ")[2] if " but probably " in problem else ""
        yield Finding(
            "blocker",
            "caption",
            view.name,
            f"{len(ones)} of {many(len(view.pictures), 'caption')} cannot be trained with ({problem}): {named(ones)}",
            "sd-scripts stops at such a file; the dataset is not built with it",
            "save them as UTF-8 with a caption in them, or delete them: the group's caption is then used"
            + (
                f"; or `orchestrator dataset import FOLDER --caption-encoding {encoding}`, which copies and converts"
                if encoding
                else ""
            ),
            names(ones),
        )
    without = [
        one
        for one in view.pictures
        if trigger
        and not view.group.regularisation
        and not one.picture.caption_problem
        and not _holds(one.picture.caption, trigger)
    ]
    if without:
        yield Finding(
            "warning",
            "trigger",
            view.name,
            f"{trigger} (the trigger) is missing in {len(without)} of {len(view.pictures)} captions: {named(without)}",
            "what these pictures teach goes to the words that do stand there; the trigger calls it up only weakly",
            f'put it there (`orchestrator dataset caption add --first "{{trigger}}" {quoted(f"{view.name}/*")}`); '
            "those that have it are left alone",
            names(without),
        )
    yield from _long(view)
    named_by = [one for one in view.pictures if trigger and _holds(one.picture.caption, trigger)]
    if view.group.regularisation and named_by:
        yield Finding(
            "warning",
            "class named",
            view.name,
            f"{trigger} (the trigger) stands in {len(named_by)} captions of a regularisation group: {named(named_by)}",
            "the class in general is then learned as the subject, the opposite of what these pictures are for",
            "give the group a caption of the class alone, such as `a woman`",
            names(named_by),
        )
    mended = [one for one in view.pictures if one.picture.caption_note]
    if mended:
        yield Finding(
            "note",
            "caption mended",
            view.name,
            f"{many(len(mended), 'caption')} taken with a change ({mended[0].picture.caption_note}): {named(mended)}",
            "sd-scripts would read the first line only, and a byte order mark as part of the trigger word",
            "nothing to do; save them as one line of UTF-8 without BOM to be rid of this note",
            names(mended),
        )


def _holds(caption: str, trigger: str) -> bool:
    """Whether the trigger stands there as a word of its own: `ai_v1` is not in `ai_v10`."""
    return re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", caption) is not None


def _long(view: GroupView) -> Iterator[Finding]:
    ones = [one for one in view.pictures if tokens_at_least(one.picture.caption) > _MOST_TOKENS]
    if ones:
        most = max(tokens_at_least(one.picture.caption) for one in ones)
        yield Finding(
            "warning",
            "long caption",
            view.name,
            f"{many(len(ones), 'caption')} of {len(view.pictures)} longer than sd-scripts reads (at least {most} "
            f"tokens, read are {_MOST_TOKENS}): {named(ones)}",
            "what stands behind is not learned, without a word",
            "shorten them (`orchestrator dataset caption review`), or set max_token_length = 225 under "
            "[training.extra]",
            names(ones),
            "counted: each word and each comma is one token at the least",
        )


def _not_read(view: GroupView) -> Iterator[Finding]:
    elsewhere: dict[str, list[Measured]] = {}
    for one in view.pictures:
        if one.picture.caption_elsewhere:
            elsewhere.setdefault(one.picture.caption_elsewhere.rpartition("/")[0], []).append(one)
    for rule, ones in elsewhere.items():
        file = ones[0].picture.caption_elsewhere.rpartition("/")[2]
        shortened = rule == "shortened"
        yield Finding(
            "warning",
            "caption not read",
            view.name,
            f"{many(len(ones), 'caption')} in files that are not read here ({ones[0].name} has {file}): {named(ones)}",
            "sd-scripts would read it for this picture, for it also tries the name without its last four parts "
            "(a_b_c_d_e → a); here the group's caption is trained on"
            if shortened
            else "the group's caption is trained on; sd-scripts reads .caption only while nothing else is set, .TXT on "
            "Windows alone",
            f"rename {file} to {ones[0].picture.path.stem}.txt"
            + (", or rename the picture" if shortened else "; `dataset import` reads both kinds"),
            names(ones),
            "read from the folder",
        )


def _contradicted(view: GroupView) -> Iterator[Finding]:
    for words, wrong, means in _CONTRADICTIONS:
        ones = [
            (one, face)
            for one, face in view.with_face
            if re.search(words, one.picture.caption.lower()) and wrong(one.picture.caption.lower(), face)
        ]
        if ones:
            pictures = [one for one, _ in ones]
            found = re.search(words, pictures[0].picture.caption.lower())
            word = found[0] if found else ""
            yield Finding(
                "warning",
                "caption contradicts",
                view.name,
                f'{len(ones)} captions say "{word}" and the picture shows {means(ones[0][1])}: {named(pictures)}',
                f'the words come to mean what the pictures show: "{word}" will not give it any more',
                f'say what they show (`orchestrator dataset caption replace "{word}" "…" {quoted(f"{view.name}/*")}`), '
                "or move the pictures to the group they show",
                names(pictures),
                "measured on the face; look at one of them",
            )


_Rule = tuple[str, Callable[[str, Face], bool], Callable[[Face], str]]
_CONTRADICTIONS: tuple[_Rule, ...] = (
    (r"\bfull[ -]body\b", lambda _, face: face.framing == "close-up", lambda face: f"a {face.framing}"),
    (r"\bclose[ -]?up\b", lambda _, face: face.framing == "full body", lambda face: f"a {face.framing}"),
    (r"\bupper[ -]body\b", lambda _, face: face.height_ratio < 0.1, lambda face: f"a {face.framing}"),
    (
        r"\b(smile|smiling|grin|laughing)\b",
        lambda _, face: face.smile is not None and face.smile < SERIOUS_BELOW and not (face.mouth_open or 0) > 0.08,
        lambda _: "a serious face",
    ),
    (
        r"\blooking at (the )?(viewer|camera)\b",
        lambda _, face: face.gaze is not None and abs(face.gaze) >= ASIDE_FROM,
        lambda face: f"a gaze to screen {'left' if (face.gaze or 0) < 0 else 'right'}",
    ),
)
