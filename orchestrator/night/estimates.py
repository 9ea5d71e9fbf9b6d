"""How long a job will take, by what was done on this machine before: steps × step time, pictures × picture time.

An estimate is a range, from the fast to the slow of what was seen. Where nothing like it was done here, there is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.jobs.model import Timing
from orchestrator.jobs.store import Store
from orchestrator.profile.model import GridPlan, Profile
from orchestrator.workspace import Workspace

if TYPE_CHECKING:
    from orchestrator.training.plan import TrainingPlanned
    from orchestrator.training.record import RunRecord

#: Loading the base model, caching latents, proving the files: seconds besides the steps, at least and at most.
_AROUND_TRAINING_S = (10.0, 180.0)
#: Asking the server, sheets, viewer.
_AROUND_DRAWING_S = (2.0, 30.0)
#: What needs no card takes about so long.
_SHORT_S = (1.0, 30.0)
#: So many of the newest trainings and grids count: cards, drivers and settings change.
_NEWEST = 20
#: The range runs from this share of what was seen to the rest of it.
_LOW, _HIGH = 0.1, 0.9


def estimate(kind: str, units: int | None, store: Store, workspace: Workspace) -> tuple[float, float] | None:
    """Seconds at least and at most for a job of `units` steps or pictures; None = not known."""
    if kind in {"deploy", "report"}:
        return _SHORT_S
    if units is None:
        return None
    if kind == "train":
        seen = store.timings("steps", _NEWEST) or past_steps(workspace)
        return _range(units, seen, _AROUND_TRAINING_S)
    return _range(units, store.timings(timed(kind), _NEWEST), _AROUND_DRAWING_S)


def timed(kind: str) -> str:
    """Under which name the pictures of a job are timed: those that are looked at, too, take longer than others."""
    return kind if kind in {"scout", "evaluate"} else "pictures"


def _range(units: int, seen: Sequence[Timing], around: tuple[float, float]) -> tuple[float, float] | None:
    each = sorted(one.seconds / one.units for one in seen if one.units > 0 and one.seconds > 0)
    if not each:
        return None
    return around[0] + units * _share(each, _LOW), around[1] + units * _share(each, _HIGH)


def _share(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the sorted `values` lie."""
    place = share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def past_steps(workspace: Workspace) -> list[Timing]:
    """What the workspace's own runs say, where the queue has not trained yet."""
    from orchestrator.training.runs import list_runs

    return [timing for record in list_runs(workspace)[-_NEWEST:] for timing in step_timings(record)]


def step_timings(record: RunRecord, since: float = 0.0) -> list[Timing]:
    """The steps of a run's starts after a time, and how long they took; what was not measured is left out."""
    found = []
    for attempt in record.attempts:
        if attempt.started_at >= since and attempt.steps and attempt.step_s:
            count = attempt.steps[1] - attempt.steps[0] + 1
            found.append(Timing("steps", count, count * attempt.step_s))
    return found


def steps(planned: TrainingPlanned) -> int:
    """The optimizer steps of a whole training."""
    batch = int(planned.dataset_values["datasets"][0].get("batch_size", 1))
    accumulation = int(planned.values.get("gradient_accumulation_steps", 1) or 1)
    per_epoch = math.ceil(planned.dataset.seen_per_epoch / batch)
    return planned.epochs * math.ceil(per_epoch / accumulation)


def steps_before(profile: Profile) -> int | None:
    """The same where the dataset is not built yet; None where its groups say no number of pictures."""
    counts = [(group.count, group.repeats) for group in profile.dataset.groups]
    if not counts or not all(count for count, _ in counts):
        return None
    seen = sum(count * (repeats or 1) for count, repeats in counts)
    return profile.training.epochs * math.ceil(seen / max(profile.training.batch_size or 1, 1))


def grid_cells(profile: Profile, grid: GridPlan, epochs: int) -> int:
    """The cells of a grid at most, `epochs` LoRA files being there of each version; none of them is made."""
    from orchestrator.grid.definition import from_profile
    from orchestrator.grid.reading import count, read

    reading = read(from_profile(profile, grid))
    lengths = [len(axis.values) or (epochs if axis.kind.name == "epoch" else 1) for axis in reading.axes]
    return count(lengths, [axis.kind.lora for axis in reading.axes], baseline=reading.baseline)


def pictures(kind: str, profile: Profile, names: Sequence[str] = ()) -> int | None:
    """How many pictures a job draws when none is in the cache; None = not known before."""
    # The last epoch's file is there whether or not it was its turn.
    epochs = max(math.ceil(profile.training.epochs / max(profile.training.save_every, 1)), 1)
    if kind == "grid":
        return sum(grid_cells(profile, grid, epochs) for grid in profile.grids if not names or grid.name in names)
    if kind == "pictures":
        from orchestrator.pictures.sets import planned_pictures

        planned: dict[str, int] = {}
        for one in profile.pictures:
            planned[one.name] = planned_pictures(one, planned.get(one.source, 0))
        return sum(count for name, count in planned.items() if not names or name in names)
    if kind == "scout":
        return profile.scouting.candidates * len(profile.evaluation.rounds)
    cells = len(profile.evaluation.epochs or range(epochs)) * len(profile.evaluation.weights) + 1
    return cells * len(profile.evaluation.rounds) * profile.scouting.keep
