"""The verdict in two sentences, and what was not measured. Never "these are worse": the seeds cannot show that."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from orchestrator.evaluation.scores import METRICS, Scores
from orchestrator.profile.model import VerdictPlan

if TYPE_CHECKING:
    from orchestrator.evaluation.race_record import Race
    from orchestrator.evaluation.verdict import Verdict

#: With fewer faces than this without LoRA the prompts are at fault, not the LoRA.
WANTED_FACES = 0.8


def sentences(verdict: Verdict, unconfirmed: str = "") -> tuple[str, ...]:
    """Two sentences for a person: what to use, and how sure that is. `unconfirmed`: why no fresh seeds confirmed the
    leader, where there was no race to say it.
    """
    if verdict.outcome == "none passes":
        return _none_passes(verdict)
    if verdict.outcome == "not measured" and verdict.shares:
        left = " and ".join(verdict.shares)
        return (
            "Cannot say which is best: whether it is the same person was not measured.",
            f"By {left} alone the LoRA that does least would win, so no cell is recommended; the figures stand below.",
        )
    if verdict.outcome == "not measured":
        return (
            "Not measured: nothing here could judge the pictures, so no cell is recommended.",
            "Look at the sheets yourself, or add what is missing and run the same command again.",
        )
    if verdict.recommended is None:
        return _none_passes(verdict)
    return (_what(verdict), _how_sure(verdict, unconfirmed))


def missing_metrics(plan: VerdictPlan, scores: Scores) -> list[str]:
    """A sentence for every metric with a share in the utility that was not measured, wholly or in some rounds."""
    shares = {"identity": plan.identity, "obedience": plan.obedience, "upright": plan.upright}
    said: list[str] = []
    for metric in METRICS:
        if not shares[metric]:
            continue
        if metric not in scores.measured:
            said.append(f"The ranking is without {metric}: it was not measured.")
        elif missing := [name for name in scores.rounds if name not in scores.measured[metric]]:
            there = ", ".join(scores.measured[metric])
            said.append(f"The ranking takes {metric} from {there} only, not from {', '.join(missing)}.")
    return said


def _what(verdict: Verdict) -> str:
    use, leader = verdict.recommended, verdict.leader
    if use is None or leader is None:
        raise ValueError("no cell is recommended")
    if use == leader:
        return f"Use {use.label}."
    lead = verdict.result(leader)
    ours = verdict.result(use)
    behind = lead.utility.mean - ours.utility.mean if lead and ours and lead.utility and ours.utility else 0.0
    cost = "needs more weight" if use.weight < leader.weight else "was trained longer"
    return f"Use {use.label}: {leader.label} leads by only {behind:.3f} and {cost}."


def _how_sure(verdict: Verdict, unconfirmed: str) -> str:
    if verdict.race is not None:
        return _how_sure_raced(verdict, verdict.race)
    seeds = len(verdict.seeds)
    ranked = sum(not result.out for result in verdict.cells)
    these = "this 1 seed" if seeds == 1 else f"these {seeds} seeds"
    if seeds == 1:
        return f"With {these} nothing can be said about chance: each of the {ranked} ranked cells may be best."
    out = len(verdict.cells) - ranked
    of = f"{len(verdict.cells)} cells" if not out else f"{len(verdict.cells)} cells ({out} not ranked)"
    if ranked == 1:
        return f"It is the only one of {of} that passes the gates; {these} had nothing to compare it with."
    could = f"the smallest difference they could show is {_figure(verdict.smallest_difference)}"
    count = len(verdict.may_be_best)
    if count == 1:
        return f"It leads {of} with {these}, but is not called the single best: {_not_confirmed(unconfirmed)}; {could}."
    how_many = (
        f"All {ranked} ranked" if count == ranked and out else f"All {ranked}" if count == ranked else f"{count} of"
    )
    cells = f"{how_many} cells" if count == ranked else f"{how_many} {of}"
    more = _more_seeds(verdict, seeds)
    return f"{cells} may be best with {these}; {could}{more}."


def _how_sure_raced(verdict: Verdict, race: Race) -> str:
    out, left = (sum(bool(getattr(r, name)) for r in verdict.cells) for name in ("out", "left"))
    of = f"{len(verdict.cells)} cells" + (f" ({out} not ranked)" if out else "")
    seeds, fresh = race.looks[-1].seeds, len(race.fresh)
    others = [cell.label for cell in race.finalists[1:]]
    if race.confirmed:
        gone = f"{left} left the race, and " if left else ""
        return f"It is the single best of {of}: {gone}{fresh} fresh seeds confirm it over {' and '.join(others)}."
    if race.unconfirmed:
        end = _not_confirmed(race.unconfirmed)
    else:
        end = f"{fresh} fresh seeds did not set {race.finalists[0].label} apart from {' and '.join(others)}"
    count = len(verdict.may_be_best)
    if count == 1:
        return f"It leads {of} after up to {seeds} seeds, but is not called the single best: {end}."
    could = f"the smallest difference they could show is {_figure(verdict.smallest_difference)}"
    more = _more_seeds(verdict, seeds + fresh)
    many = "All" if count == len(verdict.cells) else f"{count} of"
    stopped = f" The budget of {race.budget} pictures ended the race early." if race.set_aside else ""
    return f"{many} {of} may be best with up to {seeds} seeds: {end}; {could}{more}.{stopped}"


def _not_confirmed(why: str) -> str:
    return f"the leader was not confirmed on fresh seeds{': ' if why else ''}{why}"


def _more_seeds(verdict: Verdict, seeds: int) -> str:
    """How many seeds beside those there are would show the practical tie; nothing where they are enough."""
    if verdict.seeds_needed is None or verdict.seeds_needed <= seeds:
        return ""
    more = verdict.seeds_needed - seeds
    return f", and about {more} more {'seed' if more == 1 else 'seeds'} would show one of {verdict.practical_tie:g}"


def _none_passes(verdict: Verdict) -> tuple[str, ...]:
    kinds = Counter(_kind(result.out) for result in verdict.cells)
    if not kinds:
        return ("No cell was observed, so none is recommended.", "Render the rounds, then run the same command again.")
    listed = ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common())
    most = kinds.most_common(1)[0][0]
    bare = verdict.baseline
    if most == "collapsed" and bare and bare.collapsed and 2 * bare.collapsed.count > bare.collapsed.of:
        fix = "The pictures without LoRA are black, flat or noise too: look at the checkpoint and its VAE first."
        return (f"No cell is recommended: none of {len(verdict.cells)} passes the gates ({listed}).", fix)
    if most == "faces lost" and bare and bare.faces and bare.faces.count < WANTED_FACES * bare.faces.of:
        fix = (
            f"Without LoRA a face was found in only {bare.faces.count} of {bare.faces.of} pictures too: take prompts "
            "for the rounds that show the face."
        )
        return (f"No cell is recommended: none of {len(verdict.cells)} passes the gates ({listed}).", fix)
    fix = {
        "collapsed": "The LoRA files are broken or far too strong: try lower weights, or a lower learning rate.",
        "another face": "Train longer, raise the weights, or check that the trigger word is in the prompts.",
        "faces lost": "Use earlier epochs or lower weights, or rounds whose prompts show the face.",
    }.get(most, "Run the same command again: it draws and measures what is missing.")
    return (f"No cell is recommended: none of {len(verdict.cells)} passes the gates ({listed}).", fix)


def _kind(out: str) -> str:
    if out.startswith("black"):
        return "collapsed"
    if out.startswith("another face"):
        return "another face"
    if out.startswith("a face in only"):
        return "faces lost"
    return "pictures missing" if "pictures are not there" in out else "not measured in some pictures"


def _figure(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.2f}" if value >= 0.095 else f"{value:.2g}"
