"""One thing the doctor has to say, and what follows from all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from orchestrator.errors import OrchestratorError

Level = Literal["ok", "blocker", "warning", "optional"]
#: What people do with the tool, in the order of the work.
Work = Literal["pictures", "training", "grids", "evaluation"]
WORK: tuple[Work, ...] = ("pictures", "training", "grids", "evaluation")
#: What needs a server that draws.
DRAWING: tuple[Work, ...] = ("pictures", "grids", "evaluation")
#: What needs LoRA files of ours on the server.
WITH_LORA: tuple[Work, ...] = ("grids", "evaluation")


@dataclass(frozen=True)
class Finding:
    """`what` was found in `area`; `stops` is the work it prevents, `fix` can be pasted or followed as it stands.

    `server` is the address it is about, empty for this machine. Only a blocker stops anything.
    """

    area: str
    what: str
    level: Level = "ok"
    stops: tuple[Work, ...] = ()
    cause: str = ""
    fix: str = ""
    server: str = ""


@dataclass(frozen=True)
class Examination:
    """All findings, in the order they are shown."""

    findings: tuple[Finding, ...]

    def count(self, level: Level) -> int:
        """How many findings are of that level."""
        return sum(finding.level == level for finding in self.findings)

    @property
    def blocked(self) -> dict[Work, bool]:
        """For each kind of work, whether a blocker stops it."""
        stopped = {work for finding in self.findings if finding.level == "blocker" for work in finding.stops}
        return {work: work in stopped for work in WORK}

    def to_dict(self) -> dict[str, Any]:
        """Everything, for `--json`."""
        return {
            "findings": [asdict(finding) for finding in self.findings],
            "blockers": self.count("blocker"),
            "warnings": self.count("warning"),
            "ready": {work: not blocked for work, blocked in self.blocked.items()},
        }


def guarded(area: str, check: Callable[[], Iterable[Finding]], *, server: str = "") -> list[Finding]:
    """The findings of `check`; if it fails itself, one that says so. What it had found until then is kept."""
    found: list[Finding] = []
    try:
        found.extend(check())
    except OrchestratorError as error:
        found.append(
            Finding(area, f"not checked: {error.what}", "warning", cause=error.cause, fix=error.fix, server=server)
        )
    except Exception as error:
        found.append(
            Finding(
                area,
                f"not checked: the check itself failed ({type(error).__name__}: {error})",
                "warning",
                cause="A defect of ours, or an answer nobody has seen yet.",
                fix="Please report it with the output of: orchestrator doctor --json",
                server=server,
            )
        )
    return found


def plain(text: str) -> str:
    """`text` without the typographic signs that a console of an old code page lacks."""
    return text.translate({ord("→"): ">", ord("“"): '"', ord("”"): '"', ord("…"): "..."})


def sorted_by_area(findings: Sequence[Finding], areas: Sequence[str]) -> list[Finding]:
    """`findings` in the order of `areas`, otherwise as they came."""
    place = {area: index for index, area in enumerate(areas)}
    return sorted(findings, key=lambda finding: place.get(finding.area, len(place)))
