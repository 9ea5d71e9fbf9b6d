"""Settings of the webui that change pixels and cannot be overridden for one request.

They are part of every recipe's key, so that a grid is not drawn half with one and half with another, and where the
infotext names one, each picture is held against what it was when the server was looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from orchestrator.a1111.infotext import Infotext
from orchestrator.render.recipe import equal_numbers

#: Names as in A1111 1.10; a server that does not have one of them is not asked for it.
OPTIONS = (
    "always_discard_next_to_last_sigma", "beta_dist_alpha", "beta_dist_beta", "comma_padding_backtrack",
    "cross_attention_optimization", "emphasis", "eta_ancestral", "eta_ddim", "eta_noise_seed_delta", "fp8_storage",
    "cache_fp16_weight", "no_dpmpp_sde_batch_determinism", "randn_source", "rho", "s_churn", "s_min_uncond", "s_noise",
    "s_tmax", "s_tmin", "sgm_noise_multiplier", "sigma_max", "sigma_min", "skip_early_cond", "token_merging_ratio",
    "token_merging_ratio_img2img", "upcast_attn", "use_old_emphasis_implementation", "use_old_karras_scheduler_sigmas",
    "use_old_scheduling",
)  # fmt: skip
#: Infotext field → option, with the value at which the field is left out; None = it may be left out at any value.
_MARKS: Mapping[str, tuple[str, Any]] = {
    "ENSD": ("eta_noise_seed_delta", None),
    "RNG": ("randn_source", "GPU"),
    "Token merging ratio": ("token_merging_ratio", None),
    "Emphasis": ("emphasis", None),
}


def standing(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that change pixels, as they are set."""
    return {name: equal_numbers(options[name]) for name in OPTIONS if name in options}


def settings_hash(values: Mapping[str, Any]) -> str:
    """12 hex digits that name `standing`'s values; empty where the server tells none of them."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12] if values else ""


def changed_meanwhile(values: Mapping[str, Any], text: Infotext) -> list[str]:
    """What the infotext says of those options that differs from `values`, each as `what: asked x, used y`."""
    found = []
    for field, (option, left_out) in _MARKS.items():
        if option not in values:
            continue
        asked, used = str(values[option]), text.fields.get(field)
        if used is None and (left_out is None or asked == str(left_out)):
            continue
        if used is None or _number(used) != _number(asked):
            found.append(f"{field}: asked {asked}, used {used or left_out}")
    return found


def _number(text: str) -> str:
    try:
        return repr(float(text))
    except ValueError:
        return text
