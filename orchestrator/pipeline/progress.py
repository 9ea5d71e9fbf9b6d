"""How far a stage is, and the names of what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from orchestrator.errors import InputError

if TYPE_CHECKING:
    pass


OnProgress = Callable[[str, int, int], None]


def quiet(what: str, done: int, total: int) -> None:
    """Progress nobody watches."""


def named(names: Sequence[str], only: Iterable[str], kind: str) -> set[str]:
    chosen = list(only)
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise InputError(
            f"The profile has no {kind} {', '.join(map(repr, unknown))}.", fix=f"It has: {', '.join(names) or 'none'}."
        )
    return set(chosen or names)


def counter(on_progress: OnProgress, what: str, total: int) -> Callable[..., None]:
    done = 0

    def count(*_: object) -> None:
        nonlocal done
        done += 1
        on_progress(what, done, total)

    return count
