"""How a dataset check is told in the terminal: the verdict, what comes of it, and a table of the groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.dataset.estimates import Estimate
    from orchestrator.dataset.foretell import Compared, Foretold
    from orchestrator.dataset.model import CheckResult, Finding, GroupRow

MARKS = {"blocker": "[x]", "locked in": "[x]", "warning": "[!]", "note": "[-]"}


def show_check(result: CheckResult) -> None:
    """The table of the groups, the findings below it, the verdict last."""
    from orchestrator.cli.console import answer, paragraph, table

    rows = [*result.groups, *([result.overall] if result.overall else [])]
    table(
        ("group", "pictures", "repeats", "faces", "mean roll", "95 % sure", "spread", "framing", "short side"),
        [_row(row, overall=row is result.overall) for row in rows],
    )
    for finding in result.findings:
        answer()
        where = f", {finding.group}" if finding.group else ""
        paragraph(f"{MARKS[finding.level]} {finding.level}{where}: ", finding.what)
        for label, text in (("Means:", finding.means), ("Sure:", finding.sure), ("Fix:", finding.fix)):
            if text:
                paragraph(f"    {label:8}", text)
    answer()
    answer(verdict_line(result))


def verdict_line(result: CheckResult) -> str:
    """`will lock: 2 locked in, 1 warning, 3 notes`."""
    from orchestrator.cli.console import many

    counts = {level: sum(finding.level == level for finding in result.findings) for level in MARKS}
    words = [
        many(counts["blocker"], "blocker") if counts["blocker"] else "",
        f"{counts['locked in']} locked in" if counts["locked in"] else "",
        many(counts["warning"], "warning") if counts["warning"] else "",
        many(counts["note"], "note") if counts["note"] else "",
    ]
    found = ", ".join(filter(None, words))
    if result.verdict != "ready":
        return f"[x] {result.verdict}: {found}"
    if any(group.looked < group.count for group in result.groups):
        return (
            "[?] ready, as far as it was measured: not every picture was, and what it will lock in is not known"
            + (f" ({found})" if found else "")
        )  # fmt: skip
    return "[ok] ready: nothing will be locked in" + (f" ({found})" if found else "")


def show_locks(findings: Sequence[Finding]) -> None:
    """What will be locked in or stops the training, in a line each, as notes before something long."""
    from orchestrator.cli.console import note

    for finding in findings:
        if finding.level in {"blocker", "locked in"}:
            where = f", {finding.group}" if finding.group else ""
            note(f"{MARKS[finding.level]} {finding.level}{where}: {finding.what}")


def show_foretold(told: Sequence[Foretold], compared: Sequence[Compared]) -> None:
    """What was expected of the LoRA, how firmly its pictures say so, and what its grids show."""
    from orchestrator.cli.console import answer, many, table

    seen = {(one.foretold.what, one.foretold.framing): one for one in compared}
    rows = []
    for before in told:
        found = seen.get((before.what, before.framing))
        one = before if found is None else found.foretold
        nothing = found is None or found.seen is None
        rows.append(
            (
                one.what,
                one.framing or "all",
                f"{one.strength:.0%} of {many(one.pictures, 'picture')}",
                _value(one.what, one.value),
                f"{_value(one.what, one.low)} to {_value(one.what, one.high)}",
                "-" if nothing or found is None or found.seen is None else _value(one.what, found.seen),
                "-" if nothing or found is None else f"{many(found.pictures, 'picture')}, {many(found.seeds, 'seed')}",
                "-" if found is None or found.held is None else "yes" if found.held else "NO",
            )
        )
    table(("what", "asked for", "agreement", "expected", "between", "seen", "in the grids", "held"), rows)
    judged = [one for one in compared if one.held is not None]
    if judged:
        answer()
        answer(f"{sum(bool(one.held) for one in judged)} of {many(len(judged), 'expectation')} held.")
    unseen = sorted({one.framing for one in told} - {one.foretold.framing for one in judged})
    if judged and unseen:
        answer(f"No grid asks for {' or '.join(unseen)}, so what was expected of it was not seen.")


def _row(row: GroupRow, *, overall: bool) -> tuple[object, ...]:
    roll = row.angles.get("roll")
    framing = ", ".join(f"{count} {name}" for name, count in row.framings.items())
    return (
        row.group,
        row.count,
        "" if overall else str(row.repeats),
        f"{row.faces}/{row.looked}" if row.looked else "-",
        "-" if row.roll_mean is None else f"{row.roll_mean:+.1f}°",
        _interval(roll.mean) if roll else "-",
        "-" if row.roll_sd is None else f"{row.roll_sd:.1f}°",
        framing,
        row.min_side,
    )


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return "-"
    return f"{estimate.low:+.1f} to {estimate.high:+.1f}°"


def _value(what: str, value: float) -> str:
    return f"{value:+.1f}°" if what == "roll" else f"{value:.0%}"
