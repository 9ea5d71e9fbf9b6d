"""Why a training ended without a LoRA file, in words, from what sd-scripts said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from orchestrator.kohya.console import Event, Failed, NoData, Warned
from orchestrator.kohya.failure_table import CODES, TABLE, Reason

__all__ = ["Reason", "explain"]

#: What a file that is no picture is told by, when the dataset is read (train_util.py, get_image_size).
_NO_PICTURE = re.compile(r"failed to get image size: (.+?), error: ")
#: So many files are named at most.
_NAMED = 3


def explain(events: Iterable[Event], exit_code: int | None, advice: str = "") -> Reason | None:
    """The reason, or None when the console gives no hint. The last failure counts, except a launcher's echo of it.

    `advice` is what to do for this very training when the graphics card was too small for it.
    """
    failures: list[Failed] = []
    errors: list[Warned] = []
    pictures: list[str] = []
    no_data = False
    for event in events:
        if isinstance(event, Failed):
            failures.append(event)
        elif isinstance(event, Warned) and event.level == "ERROR":
            errors.append(event)
        elif isinstance(event, Warned) and (picture := _NO_PICTURE.search(event.text)):
            pictures.append(picture[1])
        no_data = no_data or isinstance(event, NoData)
    echo = next((f.text for f in reversed(failures) if f.kind.endswith("CalledProcessError")), "")
    failures = [f for f in failures if not f.kind.endswith("CalledProcessError")]
    named = tuple(_short(e.text) for e in errors[-2:])
    found: Reason | None = None
    lines = named
    if no_data:
        found = Reason(
            "sd-scripts found no pictures to train on",
            "Build the dataset again (`orchestrator dataset build`), then run the same command.",
        )
    elif failures:
        last = failures[-1]
        whole = f"{last.kind}: {last.text}" if last.text else last.kind
        lines = (*named, _short(whole))
        found = _known(whole if last.text else f"{last.kind}: ", errors, pictures) or Reason(
            f"sd-scripts stopped with “{_short(whole)}”",
            "The console log below tells more; then run the same command again.",
        )
    elif (code := _code_in(echo, exit_code)) in CODES:
        found = CODES[code]
        lines = (*named, _short(echo)) if echo else named
    elif errors:
        text = errors[-1].text
        found = _known(text, errors, pictures) or Reason(
            f"sd-scripts said “{_short(text)}”", "The console log below tells more."
        )
    if found is None:
        return None
    return replace(found, lines=lines, fix=advice if found.out_of_memory and advice else found.fix)


def _code_in(echo: str, exit_code: int | None) -> int | None:
    # accelerate always ends with 1; the trainer's own end is only in the words of its exception.
    if match := re.search(r"died with <Signals\.\w+: (\d{1,3})>", echo):
        return -int(match[1])
    match = re.search(r"exit status (\d{1,10})", echo)
    return int(match[1]) if match else exit_code


def _known(text: str, errors: list[Warned], pictures: list[str]) -> Reason | None:
    # sd-scripts logs the file's name on an ERROR line before the exception that lacks it; of a file that is no picture
    # in a warning, long before.
    named = errors[-1].text if errors else ""
    unread = ", ".join(pictures[:_NAMED]) + (" …" if len(pictures) > _NAMED else "")
    for pattern, reason in TABLE:
        if match := re.search(pattern, text, re.IGNORECASE):
            why = reason.why.format(
                *(_short(g or "") for g in match.groups()),
                named=f" ({_short(named)})" if named else "",
                pictures=f" ({unread})" if unread else "",
            )
            return replace(reason, why=why)
    return None


def _short(text: str) -> str:
    # Messages come in English and Japanese, parted by " / ".
    english = text.partition(" / ")[0].strip()
    return english if len(english) <= 200 else english[:199] + "…"
