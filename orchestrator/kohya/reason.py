"""Values that sd-scripts takes and that cannot work together, or hardly do what was meant."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import Problem
from orchestrator.kohya.known import is_adaptive

#: sd-scripts' own number of steps when nobody names one. Ten times less hardly changes a picture, ten times more is a
#: night too many.
_USUAL_STEPS = 1600
#: sd-scripts' docs/train_network.md: dims of 4 to 128 are common, alpha is half of dim or equal to it.
_LARGE_DIM = 128

Values = Mapping[str, Any]
_CACHED_TEXTS = ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk")


@dataclass(frozen=True)
class _Clash:
    """Two values of which sd-scripts (48d368fa) says in an assertion or ValueError that they exclude each other."""

    place: str
    holds: Callable[[Values], bool]
    what: str
    fix: str


_CLASHES = (
    _Clash(
        "full_fp16",
        lambda v: bool(v.get("full_fp16")) and v.get("mixed_precision") != "fp16",
        "full_fp16 works only with mixed_precision fp16",
        'write mixed_precision = "fp16", or leave full_fp16 out',
    ),
    _Clash(
        "full_bf16",
        lambda v: bool(v.get("full_bf16")) and v.get("mixed_precision") != "bf16",
        "full_bf16 works only with mixed_precision bf16",
        'write mixed_precision = "bf16", or leave full_bf16 out',
    ),
    _Clash(
        "fp8_base",
        lambda v: bool(v.get("fp8_base") or v.get("fp8_base_unet")) and v.get("mixed_precision", "no") == "no",
        "fp8_base works only with mixed_precision fp16 or bf16",
        'write mixed_precision = "bf16" or "fp16"',
    ),
    _Clash(
        "cache_latents",
        lambda v: _on(v, "cache_latents", "cache_latents_to_disk") and _on(v, "color_aug", "random_crop"),
        "cached latents exclude color_aug and random_crop, which change the pictures each time",
        "leave color_aug and random_crop out, or write cache_latents = false",
    ),
    _Clash(
        "cache_text_encoder_outputs",
        lambda v: (
            _on(v, *_CACHED_TEXTS)
            and _on(v, "shuffle_caption", "caption_dropout_rate", "caption_tag_dropout_rate", "token_warmup_step")
        ),
        "cached text encoder outputs exclude everything that changes captions (shuffle_caption, caption_dropout_rate, "
        "caption_tag_dropout_rate, token_warmup_step)",
        "leave one of the two out",
    ),
    _Clash(
        "use_8bit_adam",
        lambda v: _on(v, "use_8bit_adam", "use_lion_optimizer") and bool(v.get("optimizer_type")),
        "use_8bit_adam and use_lion_optimizer exclude an optimizer named otherwise",
        'write optimizer = "AdamW8bit" or "Lion" in [training] instead',
    ),
    _Clash(
        "lr_warmup_steps",
        lambda v: (
            _on(v, "lr_warmup_steps")
            and v.get("lr_scheduler") == "constant"
            and not v.get("lr_scheduler_type")
            and not _adafactor_schedules(v)
        ),
        "the scheduler constant has no warm-up",
        'write lr_scheduler = "constant_with_warmup"',
    ),
    _Clash(
        "lr_warmup_steps",
        lambda v: _on(v, "lr_warmup_steps") and bool(v.get("lr_scheduler_type")),
        "a scheduler named by lr_scheduler_type has no warm-up",
        "write warmup_steps = 0 in [training]",
    ),
    _Clash(
        "lr_warmup_steps",
        lambda v: _on(v, "lr_warmup_steps") and not v.get("lr_scheduler_type") and _adafactor_schedules(v),
        "Adafactor brings its own scheduler, which takes no warm-up of this kind",
        'write warmup_steps = 0 in [training], or optimizer_args = ["relative_step=False"]',
    ),
    _Clash(
        "lr_scheduler_min_lr_ratio",
        lambda v: (
            v.get("lr_scheduler") == "cosine_with_min_lr"
            and not v.get("lr_scheduler_type")
            and v.get("lr_scheduler_min_lr_ratio") is None
            and not _has_pair(v, "lr_scheduler_args", "min_lr")
        ),
        "the scheduler cosine_with_min_lr needs to know how low",
        "write lr_scheduler_min_lr_ratio = 0.1",
    ),
    _Clash(
        "fused_backward_pass",
        lambda v: _on(v, "fused_backward_pass") and str(v.get("optimizer_type") or "").lower() != "adafactor",
        "fused_backward_pass works only with the optimizer Adafactor",
        "leave it out",
    ),
    _Clash(
        "fused_backward_pass",
        lambda v: _on(v, "fused_backward_pass") and _number(v, "gradient_accumulation_steps") > 1,
        "fused_backward_pass excludes gradient_accumulation_steps above 1",
        "leave one of the two out",
    ),
    _Clash(
        "adaptive_noise_scale",
        lambda v: v.get("adaptive_noise_scale") is not None and v.get("noise_offset") is None,
        "adaptive_noise_scale works only with noise_offset",
        "write noise_offset, such as 0.05, or leave it out",
    ),
    _Clash(
        "scale_v_pred_loss_like_noise_pred",
        lambda v: _on(v, "scale_v_pred_loss_like_noise_pred") and not _on(v, "v_parameterization"),
        "it works only with v_parameterization",
        "leave it out, or write v_parameterization = true",
    ),
    _Clash(
        "v_pred_like_loss",
        lambda v: v.get("v_pred_like_loss") is not None and _on(v, "v_parameterization"),
        "it excludes v_parameterization",
        "leave one of the two out",
    ),
    _Clash(
        "blocks_to_swap",
        lambda v: _on(v, "blocks_to_swap") and _on(v, "cpu_offload_checkpointing"),
        "blocks_to_swap excludes cpu_offload_checkpointing",
        "leave one of the two out",
    ),
    _Clash(
        "log_with",
        lambda v: v.get("log_with") in {"tensorboard", "all"} and not v.get("logging_dir"),
        "a log for TensorBoard needs a folder",
        "leave log_with out: training.tensorboard decides",
    ),
)


def clashes(values: Values, *, caches_all_texts: bool = False) -> list[Problem]:
    """Values that exclude each other, and `key=value` lists sd-scripts will not be able to read; the place is the
    argument.

    With `caches_all_texts` cached text encoder outputs leave no text encoder to train: so it is with SDXL, whereas the
    scripts for Flux and SD3 cache those of T5 and train CLIP.
    """
    found = [Problem(clash.place, clash.what, clash.fix) for clash in _CLASHES if clash.holds(values)]
    if caches_all_texts and _on(values, *_CACHED_TEXTS) and not _on(values, "network_train_unet_only"):
        what = "cached text encoder outputs exclude training the text encoders"
        found.append(Problem("cache_text_encoder_outputs", what, "write text_encoder_lr = 0 in [training]"))
    for key in ("optimizer_args", "lr_scheduler_args", "network_args"):
        items = values.get(key)
        for item in items if isinstance(items, (list, tuple)) else ():
            wrong = _wrong_pair(item, literal=key != "network_args") if isinstance(item, str) else ""
            if wrong:
                found.append(Problem(key, f"{item!r} {wrong}", 'write each as "name=value"'))
    return found


def doubts(values: Values, *, pictures: int, steps: int) -> list[Problem]:
    """Values that are allowed and hardly meant; nothing here stops a training.

    `pictures` is how many are seen per epoch (repeats counted), `steps` the optimizer steps of the whole run; 0 = not
    known. The place is the argument of sd-scripts.
    """
    return [*_rates(values), *_size(values), *_length(values, pictures, steps), *_ignored(values)]


def _rates(values: Values) -> Iterator[Problem]:
    optimizer = values.get("optimizer_type")
    unet = _number(values, "unet_lr") or _number(values, "learning_rate")
    texts = values.get("text_encoder_lr")
    given = [texts] if isinstance(texts, (int, float)) else texts if isinstance(texts, (list, tuple)) else []
    text = max((rate for rate in given if isinstance(rate, (int, float))), default=0.0)
    if is_adaptive(optimizer):
        if 0 < unet < 0.1:
            yield Problem(
                "unet_lr",
                f"{optimizer} finds its learning rate itself and takes {unet:g} as a factor: it would learn almost "
                "nothing",
                "write unet_lr = 1.0",
            )
        if text and unet and text != unet:
            yield Problem(
                "text_encoder_lr", f"{optimizer} uses the first learning rate for all parts", f"write {unet:g} here too"
            )
        return
    if unet > 1e-3:
        yield Problem(
            "unet_lr", f"{unet:g} is ten times what LoRAs are usually trained with; it often ends in NaN", "try 1e-4"
        )
    elif 0 < unet < 1e-6:
        yield Problem("unet_lr", f"{unet:g} is so low that almost nothing is learned", "try 1e-4")
    if text > unet > 0:
        yield Problem(
            "text_encoder_lr",
            f"the text encoder learns faster ({text:g}) than the U-Net ({unet:g}); it overfits first",
            f"try {unet / 2:g}",
        )


def _size(values: Values) -> Iterator[Problem]:
    dim, alpha = _number(values, "network_dim"), _number(values, "network_alpha")
    if dim > _LARGE_DIM:
        yield Problem(
            "network_dim", f"{dim:g} makes large files that learn their pictures by heart", "4 to 128 are usual"
        )
    if dim and alpha > dim:
        yield Problem(
            "network_alpha",
            f"{alpha:g} is more than dim ({dim:g}): the learning rate acts {alpha / dim:g} times as strong",
            f"half of dim ({dim / 2:g}) is usual",
        )
    if values.get("mixed_precision") == "no":
        yield Problem("mixed_precision", "without it a training takes about twice the memory", 'write "fp16"')
    for key in ("network_dropout", "caption_dropout_rate", "noise_offset"):
        limit = 0.3 if key == "noise_offset" else 0.5
        if _number(values, key) > limit:
            yield Problem(key, f"{_number(values, key):g} is more than anybody recommends", "0.1 or less is usual")


def _length(values: Values, pictures: int, steps: int) -> Iterator[Problem]:
    warmup = values.get("lr_warmup_steps")
    share = warmup if isinstance(warmup, float) else warmup / steps if isinstance(warmup, int) and steps else 0.0
    if share >= 1:
        yield Problem(
            "lr_warmup_steps",
            f"the run has {steps} steps, so the learning rate is still rising when it ends",
            f"a tenth is usual ({max(1, steps // 10)})",
        )
    elif share > 0.5:
        yield Problem("lr_warmup_steps", f"{share:.0%} of the run are warm-up", "a tenth is usual")
    if 0 < steps < _USUAL_STEPS / 10:
        yield Problem(
            "max_train_epochs",
            f"the whole run has {steps} steps, and a LoRA usually takes some {_USUAL_STEPS}",
            "more epochs or repeats, or smaller batches",
        )
    elif steps > _USUAL_STEPS * 10:
        yield Problem(
            "max_train_epochs",
            f"the run has {steps} steps, and a LoRA usually takes some {_USUAL_STEPS}",
            "fewer epochs or repeats, or larger batches",
        )
    accumulated = values.get("gradient_accumulation_steps")
    if isinstance(accumulated, int) and pictures and accumulated > pictures:
        yield Problem(
            "gradient_accumulation_steps",
            f"{accumulated} is more than the {pictures} pictures of an epoch: every epoch is a single step",
            "choose less",
        )


def _ignored(values: Values) -> Iterator[Problem]:
    scheduler = values.get("lr_scheduler")
    for key, usual, needs in (
        ("lr_scheduler_num_cycles", 1, ("cosine_with_restarts", "cosine_with_min_lr", "warmup_stable_decay")),
        ("lr_scheduler_power", 1, ("polynomial",)),
        ("lr_scheduler_min_lr_ratio", None, ("cosine_with_min_lr", "warmup_stable_decay")),
    ):
        if values.get(key) not in {None, usual} and scheduler not in needs:
            yield Problem(key, f"does nothing with the scheduler {scheduler}", f"it belongs to {', '.join(needs)}")
    if str(values.get("optimizer_type") or "").lower().endswith("schedulefree") and scheduler not in {None, "constant"}:
        yield Problem("lr_scheduler", f"{values['optimizer_type']} uses no scheduler, {scheduler} does nothing")


def _wrong_pair(item: str, *, literal: bool) -> str:
    name, sign, value = item.partition("=")
    if not sign or not name.strip():
        return "is no name=value"
    if not literal:
        return ""
    if "=" in value:
        return 'holds more than one "="'
    try:
        ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return f"has a value Python does not understand ({value!r}; texts need quotes of their own)"
    return ""


def _has_pair(values: Values, key: str, name: str) -> bool:
    """Whether the list of `name=value` called `key` holds one that begins with `name`."""
    items = values.get(key)
    return isinstance(items, (list, tuple)) and any(str(item).strip().startswith(name) for item in items)


def _adafactor_schedules(values: Values) -> bool:
    """Whether Adafactor puts its own scheduler in the place of any other, as it does unless it is told not to."""
    items = values.get("optimizer_args")
    fixed = isinstance(items, (list, tuple)) and "relative_step=False" in {str(item).replace(" ", "") for item in items}
    return str(values.get("optimizer_type") or "").lower() == "adafactor" and not fixed


def _on(values: Values, *keys: str) -> bool:
    return any(bool(values.get(key)) for key in keys)


def _number(values: Values, key: str) -> float:
    value = values.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
