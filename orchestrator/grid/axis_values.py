"""The values of an axis as people write them: `10-80 (+10)`, `0.2-1.0 [5]`, `1-10`, `20, 28, 40`, `"a, b", c`.

Ranges are those of A1111's X/Y/Z plot: (+STEP) counts by a step (and down by a negative one), [COUNT] spreads so many
values evenly; without either the step is 1. Both ends belong to the range, and decimals are exact: 0.1-0.5 (+0.1) has
five values, none of them 0.30000000000000004.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from decimal import Decimal

#: Values of one axis at most. A typing error (1-10000000) must not fill the memory before anybody can say so.
MOST_VALUES = 100_000

_NUMBER = r"[+-]?\s*(?:\d+(?:\.\d*)?|\.\d+)"
_RANGE = re.compile(
    rf"^\s*({_NUMBER})\s*-\s*({_NUMBER})\s*(?:\(\s*({_NUMBER})\s*\)|\[\s*(\d{{1,9}})\s*\])?\s*$", re.ASCII
)
_SINGLE = re.compile(rf"^\s*{_NUMBER}\s*$", re.ASCII)
#: Digits of a number at most: Decimal would happily compute with a million of them.
_DIGITS = 40


class BadValues(ValueError):
    """Values that cannot be read; the text says why, for a person."""


def texts(written: str | Iterable[object]) -> tuple[str, ...]:
    """The values of a list of words: parts between commas, `"quoted, with a comma"`; a sequence is taken as it is.

    Raises `BadValues` for an empty list and for a quote that is never closed.
    """
    if not isinstance(written, str):
        return _some(tuple(str(value).strip() for value in written))
    try:
        rows = list(csv.reader(io.StringIO(written, newline=""), skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise BadValues(f"the quotes do not fit: {error}") from None
    found = tuple(part.strip() for row in rows for part in row)
    # A comma at the end is no further value.
    return _some(found[:-1] if len(found) > 1 and not found[-1] else found)


def numbers(written: str | Iterable[object], *, whole: bool) -> tuple[str, ...]:
    """The values of a list of numbers and ranges, each as its shortest text; `whole` numbers only where that is asked.

    Raises `BadValues` for what is no number, a range that never arrives and one of more than 100,000 values.
    """
    parts = texts(written)
    found: list[str] = []
    for part in parts:
        room = MOST_VALUES - len(found)
        found += _range(part, whole, room)
    return tuple(found)


def _some(found: tuple[str, ...]) -> tuple[str, ...]:
    if not any(found):
        raise BadValues("it has no values")
    if len(found) > MOST_VALUES:
        raise BadValues(f"it has {len(found):,} values; {MOST_VALUES:,} are the most")
    return found


def _range(part: str, whole: bool, room: int) -> list[str]:
    if _SINGLE.match(part):
        return [_text(_decimal(part), part, whole)]
    match = _RANGE.match(part)
    if match is None:
        raise BadValues(f"{part!r} is no number and no range such as 10-80 (+10) or 0.2-1.0 [5]")
    first, last = _decimal(match[1]), _decimal(match[2])
    if match[4] is not None:
        return _spread(first, last, int(match[4]), part, whole, room)
    step = _decimal(match[3]) if match[3] is not None else Decimal(1 if last >= first else -1)
    if step == 0 or (first != last and (last > first) != (step > 0)):
        raise BadValues(f"{part!r} never arrives: from {first} by steps of {step} there is no way to {last}")
    # Counted before it is made.
    count = int((last - first) / step) + 1
    if count > room:
        raise BadValues(f"{part!r} has {count:,} values; {MOST_VALUES:,} are the most")
    return [_text(first + step * k, part, whole) for k in range(count)]


def _spread(first: Decimal, last: Decimal, count: int, part: str, whole: bool, room: int) -> list[str]:
    if count < 1:
        raise BadValues(f"{part!r} asks for no values")
    if count > room:
        raise BadValues(f"{part!r} has {count:,} values; {MOST_VALUES:,} are the most")
    if count == 1:
        return [_text(first, part, whole)]
    values = [first + (last - first) * k / (count - 1) for k in range(count)]
    if whole:
        # As A1111 does: the part behind the point is cut off.
        return [_text(Decimal(int(value)), part, whole) for value in values]
    return [_text(value.quantize(Decimal("0.000001")), part, whole) for value in values]


def _decimal(text: str) -> Decimal:
    bare = re.sub(r"\s", "", text)
    if len(bare) > _DIGITS:
        raise BadValues(f"{bare[:12]}… has more digits than any value here")
    return Decimal(bare)


def _text(value: Decimal, part: str, whole: bool) -> str:
    if whole and value != int(value):
        raise BadValues(f"{part!r} is no whole number")
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"-0", ""} else text
