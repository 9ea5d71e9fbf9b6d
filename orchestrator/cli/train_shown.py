"""What `orchestrator train --dry-run` answers: the training as it would be started."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from orchestrator.cli.console import answer, many, note, table
from orchestrator.kohya import buckets, config_file, toml_file
from orchestrator.training import space

if TYPE_CHECKING:
    from orchestrator.training.plan import TrainingPlanned
    from orchestrator.training.preflight import Ready


def show_plan(ready: Ready) -> None:
    """Answer what would be trained on what, how long it is, what it needs, and both configurations; doubts are notes.

    Nothing is written.
    """
    planned = ready.planned
    answer(f"Would train {planned.name} into {planned.output_folder}")
    answer(f"  trainer   {planned.install.root} ({planned.base.script}, {planned.install.label})")
    answer(f"  base      {planned.base.path} ({planned.base.title}, {planned.base_sha256[:12]})")
    answer(f"  begins    {_begins(planned)}")
    answer(f"  length    {_length(planned)}")
    answer(f"  disk      {_disk(planned)}")
    answer()
    table(
        ("group", "pictures", "repeats", "shown per epoch", "trained at"),
        [
            (g.name, len(g.pictures), g.repeats, len(g.pictures) * g.repeats, _sizes(planned, g.sizes))
            for g in planned.dataset.groups
        ],
    )
    for name, text in (
        ("config.toml", toml_file.text(config_file.ordered(planned.values))),
        ("dataset.toml", toml_file.text(planned.dataset_values)),
        (planned.sample_prompts.name, "\n".join(planned.samples)),
    ):
        if text:
            answer()
            answer(f"# {name}")
            answer(text.rstrip())
    for doubt in ready.doubts:
        note(f"Worth a look: {doubt}")


def steps_per_epoch(planned: TrainingPlanned) -> int | None:
    """Optimizer steps of one epoch; None where the options of the buckets do not tell.

    Batches over cards and accumulation, rounded up, as train_network.py counts them.
    """
    options = planned.dataset_values["datasets"][0]
    if not buckets.is_known(options):
        return None
    groups = planned.dataset.groups
    own, of_the_class = (
        [(size, group.repeats) for group in groups if group.regularisation is which for size in group.sizes]
        for which in (False, True)
    )
    batches = buckets.steps_per_epoch(buckets.with_regularisation(own, of_the_class), options)
    together = max(len(planned.launch.gpus), 1) * int(planned.values.get("gradient_accumulation_steps", 1))
    return math.ceil(batches / together)


def _begins(planned: TrainingPlanned) -> str:
    from orchestrator.training import preflight_run_folder, resume

    if preflight_run_folder.needs_no_start(planned):
        return "not at all: it is finished, or being trained already"
    if not planned.folder.is_dir():
        return "anew"
    epoch = resume.point(planned).epoch
    return f"after epoch {epoch}, where an earlier start came to" if epoch else "anew"


def _length(planned: TrainingPlanned) -> str:
    steps = steps_per_epoch(planned)
    told = f"{many(steps, 'step')} each, {steps * planned.epochs} in all; " if steps is not None else ""
    epochs = many(planned.epochs, "epoch")
    return f"{epochs}, {told}a LoRA file every {many(planned.save_every, 'epoch')}"


def _disk(planned: TrainingPlanned) -> str:
    needed = max(planned.bytes_needed - space.used(planned.output_folder), 0)
    return f"{space.size(needed)} needed, {space.size(space.free(planned.folder))} free"


def _sizes(planned: TrainingPlanned, sizes: tuple[tuple[int, int], ...]) -> str:
    options = planned.dataset_values["datasets"][0]
    if not buckets.is_known(options):
        return "-"
    counts = Counter(buckets.training_size(size, options) for size in sizes)
    named = [f"{size[0]}×{size[1]}" for size, _ in counts.most_common(3) if size is not None]
    return ", ".join(named) + (" …" if len(counts) > len(named) else "")
