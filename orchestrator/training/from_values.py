"""sd-scripts' arguments, from wherever they come, back into our words: `words.py` read backwards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from orchestrator.kohya import dataset_config
from orchestrator.kohya.arguments import Argument
from orchestrator.kohya.gui_words import Note
from orchestrator.profile.load import parse_profile
from orchestrator.profile.model import DatasetPlan, Profile, TrainingPlan
from orchestrator.training import words

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: As any sd-scripts of today; an older one says at the plan what it does not take.
_TODAY = {
    "sdpa": Argument("sdpa", "bool", "", False, None, flag=True),
    "text_encoder_lr": Argument("text_encoder_lr", "float", "*", None, None, flag=False),
}


def to_plan(
    values: Mapping[str, Any],
    dataset: Mapping[str, Any],
    *,
    family: str = "sd1",
    launch: Mapping[str, Any] | None = None,
    samples: Mapping[str, Any] | None = None,
) -> tuple[TrainingPlan, DatasetPlan, list[Note]]:
    """The training and the dataset's size that `words.values` turns into `values` again.

    `values` are arguments of sd-scripts, `dataset` keys of a dataset_config (resolution in any form `words.sides`
    reads), `launch` and `samples` ours. What has no word of ours goes into `extra`; a key that is not there is left to
    our defaults. A number no word of ours takes (Prodigy's rate of 1.0) goes into `extra`, too.
    """
    notes: list[Note] = []
    left = dict(values)
    ours: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    general = left.pop("learning_rate", None)
    left.setdefault("unet_lr", general)
    for name, theirs in words.SAME.items():
        _place(name, theirs, left.pop(theirs, None), ours, extra)
    skip = left.pop("clip_skip", None)
    if family in {"sd1", "sd2"}:
        _place("clip_skip", "clip_skip", skip, ours, extra)
    elif skip not in (None, 1):
        notes.append(Note("dropped", "clip_skip", skip, "", "this kind of model is trained without"))
    _text_encoder(left, general, ours, extra)
    if "unet_lr" in extra:
        extra["learning_rate"] = extra["unet_lr"]
    _place("batch_size", "train_batch_size", dataset.get("batch_size"), ours, {})
    if "epochs" in ours:
        ours["save_every"] = min(ours.get("save_every", TrainingPlan().save_every), ours["epochs"])
    size, more = _size(dataset, extra)
    notes += more
    plan = TrainingPlan(
        **ours,
        **({"launch": dict(launch)} if launch else {}),
        **({"samples": dict(samples)} if samples else {}),
        extra=extra,
    )
    written = words.values(plan, family=family, output_name="", accepted=_TODAY)
    for key, value in left.items():
        if value is None or (key in written and key not in extra and written[key] == value):
            continue
        (refused,) = words.refused({key: value}) or (None,)
        if refused is None:
            extra[key] = value
        else:
            notes.append(Note("dropped", key, value, "", refused.what))
    plan = plan.model_copy(update={"extra": {**extra, **_of_dataset_file(dataset, size)}})
    return plan, DatasetPlan(resolution=size[0]) if _is_plain(size) else DatasetPlan(), notes


def profile_text(
    training: TrainingPlan,
    dataset: DatasetPlan,
    *,
    subject: Mapping[str, Any] | None = None,
    base: Mapping[str, str] | None = None,
    groups: Iterable[Mapping[str, Any]] = (),
    notes: Iterable[Note] = (),
    heading: str = "",
) -> str:
    """A profile that `load_profile` accepts, with `heading` and the notes above it as comments. Only what was given is
    written.
    """
    table: dict[str, Any] = {}
    if subject:
        table["subject"] = dict(subject)
    if base:
        table["base"] = dict(base)
    described = dataset.model_dump(mode="json", exclude_unset=True)
    if listed := [dict(group) for group in groups]:
        described["groups"] = listed
    if described:
        table["dataset"] = described
    table["training"] = _set(training)
    comments = [*heading.splitlines(), *(str(note) for note in notes)]
    # A comment ends with its line and holds no control characters; sd-scripts' texts may hold anything.
    shown = "".join(f"# {_CONTROL.sub('?', ' '.join(line.split()))}\n" for line in comments)
    text = f"{shown}\n{tomli_w.dumps(table)}" if shown else tomli_w.dumps(table)
    parse_profile(text, "the profile that was put together")
    return text


def onto(profile: Profile, training: TrainingPlan, dataset: DatasetPlan) -> Profile:
    """`profile` with this training in the place of its own; its pictures, groups, guards and grids stay, and of how it
    is started what the training does not say.
    """
    kept: dict[str, Any] = {name: getattr(profile.training, name) for name in ("guard", "tensorboard")}
    # Which cards there are is a matter of this machine: the preset has the last word only where it says one.
    said = {name: getattr(training.launch, name) for name in training.launch.model_fields_set}
    kept["launch"] = profile.training.launch.model_copy(update=said)
    if not training.samples.prompts:
        kept["samples"] = profile.training.samples
    sized = "resolution" in dataset.model_fields_set or "resolution" in training.extra
    size = dataset.resolution if sized else profile.dataset.resolution
    return profile.model_copy(
        update={
            "training": training.model_copy(update=kept),
            "dataset": profile.dataset.model_copy(update={"resolution": size}),
        }
    )


def _place(name: str, theirs: str, value: Any, ours: dict[str, Any], extra: dict[str, Any]) -> None:
    """`value` as our word where that takes it, else as sd-scripts' own."""
    if value is None:
        return
    try:
        found = getattr(TrainingPlan.model_validate({name: value}), name)
    except ValidationError:
        extra[theirs] = value
    else:
        # 0.1 steps would be read as no steps at all; a share of the run is another thing than a number of steps.
        if isinstance(value, float) and isinstance(found, int) and not value.is_integer():
            extra[theirs] = value
        else:
            ours[name] = found


def _text_encoder(left: dict[str, Any], general: Any, ours: dict[str, Any], extra: dict[str, Any]) -> None:
    rate = left.pop("text_encoder_lr", None)
    if left.get("network_train_unet_only"):
        del left["network_train_unet_only"]
        ours["text_encoder_lr"] = 0.0
        return
    rates = list(rate) if isinstance(rate, (list, tuple)) else [general if rate is None else rate]
    if any(each != rates[0] for each in rates):
        extra["text_encoder_lr"] = rates
    elif rates and rates[0] is not None:
        _place("text_encoder_lr", "text_encoder_lr", rates[0], ours, extra)
        if "text_encoder_lr" in extra:
            extra["text_encoder_lr"] = rates[:1]


def _size(dataset: Mapping[str, Any], extra: dict[str, Any]) -> tuple[list[int], list[Note]]:
    asked = dataset.get("resolution")
    usual = [DatasetPlan().resolution] * 2
    if asked is None:
        return usual, []
    size = words.sides(asked)
    if size is None:
        return usual, [Note("ambiguous", "resolution", asked, f"{usual[0]}", "it is no size")]
    if not _is_plain(size):
        extra["resolution"] = f"{size[0]},{size[1]}"
    return size, []


def _is_plain(size: list[int]) -> bool:
    """Whether [dataset] resolution can say it: a square in steps of 64 pixels."""
    return size[0] == size[1] and size[0] % 64 == 0 and 64 <= size[0] <= 4096


def _of_dataset_file(dataset: Mapping[str, Any], size: list[int]) -> dict[str, Any]:
    """What of `dataset` differs from the dataset file we write."""
    usual = dataset_config.values([dataset_config.Subset(Path())], resolution=(size[0], size[1]))
    written = {**usual["general"], **usual["datasets"][0]}
    bucketed = dataset.get("enable_bucket", True)
    limited = bucketed and not dataset.get("bucket_no_upscale", True)
    idle = {"resolution", "batch_size", "subsets", "caption_extension"}
    idle |= set() if bucketed else {"bucket_reso_steps", "bucket_no_upscale"}
    idle |= set() if limited else {"min_bucket_reso", "max_bucket_reso"}  # ignored where nothing is enlarged
    return {
        key: value
        for key, value in dataset.items()
        if key in written and key not in idle and value is not None and value != written[key]
    }


def _set(training: TrainingPlan) -> dict[str, Any]:
    found: dict[str, Any] = training.model_dump(mode="json", exclude_unset=True)
    if not found.get("extra"):
        found.pop("extra", None)
    return found
