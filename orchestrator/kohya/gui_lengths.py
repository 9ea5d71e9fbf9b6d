"""How long a preset trains and how fast it learns: words the GUI computes sd-scripts' arguments from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from orchestrator.kohya.arguments import Argument
from orchestrator.kohya.gui_values import number, truth
from orchestrator.kohya.gui_words import Note


def length(given: Mapping[str, Any], values: dict[str, Any], seen_per_epoch: int | None) -> list[Note]:
    """max_train_epochs and save_every_n_epochs, into `values`.

    sd-scripts takes epochs before steps. Where neither is set, the GUI computes steps from `epoch` without regard to
    buckets, so that its run ends a little before that epoch does.
    """
    epochs = int(number(given.get("max_train_epochs"), 0))
    steps = int(number(given.get("max_train_steps"), 0))
    asked = max(int(number(given["epoch"], 1)), 1)
    notes: list[Note] = []
    if not epochs and steps and seen_per_epoch:
        batch = max(int(number(given["train_batch_size"], 1)), 1)
        together = max(int(number(given.get("gradient_accumulation_steps"), 1)), 1)
        if truth(given.get("multi_gpu")):
            together *= max(int(number(given.get("num_processes"), 1)), 1)
        per_epoch = math.ceil(math.ceil(seen_per_epoch / batch) / together)
        epochs = math.ceil(steps / per_epoch)
        why = f"{per_epoch} steps an epoch; whole epochs are trained here"
        kind = "ambiguous" if steps % per_epoch else "converted"
        notes.append(Note(kind, "max_train_steps", steps, f"max_train_epochs = {epochs}", why))  # type: ignore[arg-type]
    elif not epochs and steps:
        epochs = asked
        why = "how many epochs these steps are depends on the pictures; `epoch` is taken instead"
        notes.append(Note("ambiguous", "max_train_steps", steps, f"max_train_epochs = {epochs}", why))
    elif not epochs:
        epochs = asked
        why = "the GUI counts steps without buckets, so its runs end a little earlier"
        notes.append(Note("converted", "epoch", given["epoch"], f"max_train_epochs = {epochs}", why))
    elif steps:
        notes.append(Note("dropped", "max_train_steps", steps, "", "max_train_epochs counts"))
    values["max_train_epochs"] = epochs
    every = int(number(given.get("save_every_n_epochs"), 0))
    values["save_every_n_epochs"] = min(every, epochs) if every > 0 else epochs
    # An empty field means one restart an epoch; a preset without it, one in all.
    if given.get("lr_scheduler_num_cycles") == "":
        values["lr_scheduler_num_cycles"] = asked
    return notes


def warmup(given: Mapping[str, Any], values: dict[str, Any], arguments: Mapping[str, Argument]) -> list[Note]:
    """lr_warmup_steps into `values`: whole steps, or a share of the run where the preset has per cent."""
    steps = int(number(given.get("lr_warmup_steps"), 0))
    percent = number(given["lr_warmup"], 0)
    values.pop("lr_warmup_steps", None)
    if steps > 0:
        values["lr_warmup_steps"] = steps
        return [Note("dropped", "lr_warmup", percent, "", "lr_warmup_steps counts")] if percent else []
    if percent <= 0:
        values["lr_warmup_steps"] = 0
        return []
    if str(given.get("lr_scheduler")) == "constant":
        why = 'sd-scripts stops when the scheduler "constant" is given a warm-up; constant_with_warmup has one'
        values["lr_warmup_steps"] = 0
        return [Note("dropped", "lr_warmup", percent, "", why)]
    if "lr_warmup_steps" in arguments and arguments["lr_warmup_steps"].type == "int":
        values["lr_warmup_steps"] = 0
        why = "this sd-scripts takes no share of the run: write [training] warmup_steps"
        return [Note("ambiguous", "lr_warmup", percent, "warmup_steps = 0", why)]
    values["lr_warmup_steps"] = round(percent / 100, 6)
    return [Note("converted", "lr_warmup", percent, f"lr_warmup_steps = {values['lr_warmup_steps']}", "per cent")]


def rates(given: Mapping[str, Any], values: dict[str, Any]) -> list[Note]:
    """The learning rates, into `values`. A rate of 0 means that this part is not trained, unless both are 0."""
    general, unet, text = (number(given[key], 0.0) for key in ("learning_rate", "unet_lr", "text_encoder_lr"))
    shown = f"unet_lr {unet:g}, text_encoder_lr {text:g}"
    if not unet and not text:
        values |= {"unet_lr": general, "text_encoder_lr": general}
        return [
            Note("converted", "learning_rate", general, "unet_lr and text_encoder_lr", f"{shown}: it counts for both")
        ]
    values["unet_lr"] = unet or general
    if not text:
        values["network_train_unet_only"] = True
        return [Note("converted", "text_encoder_lr", text, "network_train_unet_only")]
    values["text_encoder_lr"] = text
    if not unet:
        values["network_train_text_encoder_only"] = True
        return [Note("converted", "unet_lr", unet, "network_train_text_encoder_only")]
    if general not in (unet, text, 0.0):
        return [Note("dropped", "learning_rate", general, "", f"{shown} are used instead")]
    return []
