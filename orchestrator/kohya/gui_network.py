"""The GUI's "LoRA type": which module of sd-scripts it names, and which of the preset's values go into network_args."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.kohya.gui_words import Note

#: Passed to the networks of sd-scripts itself wherever they are not empty or 0.
_KOHYA = (
    "down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_lr_zero_threshold", "block_dims", "block_alphas",
    "conv_block_dims", "conv_block_alphas", "rank_dropout", "module_dropout", "loraplus_lr_ratio",
    "loraplus_unet_lr_ratio", "loraplus_text_encoder_lr_ratio",
)  # fmt: skip
_CONV = ("conv_dim", "conv_alpha")
_DROPOUT = ("rank_dropout", "module_dropout")
#: Type → module and the values passed on: those that may be left out, those that never are.
_KINDS: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "Standard": ("networks.lora", _KOHYA, ()),
    "Kohya LoCon": ("networks.lora", _KOHYA, _CONV),
    "LoRA-FA": ("networks.lora_fa", _KOHYA, ()),
    "Kohya DyLoRA": ("networks.dylora", (*_CONV, *_KOHYA, "unit"), ()),
    "Flux1": ("networks.lora_flux", (*_KOHYA, "train_blocks", "split_qkv", "train_t5xxl", "in_dims",
              "img_attn_dim", "img_mlp_dim", "img_mod_dim", "single_dim", "txt_attn_dim", "txt_mlp_dim", "txt_mod_dim",
              "single_mod_dim", "train_double_block_indices", "train_single_block_indices"), ()),
    "Flux1 OFT": ("networks.oft_flux", ("enable_all_linear",), ()),
}  # fmt: skip
#: LyCORIS: type → algorithm and the values its module takes; the package lycoris-lora must be installed.
_COMMON = ("use_tucker", "use_scalar", "rank_dropout_scale", "train_norm", *_DROPOUT)
_WEIGHTED = ("bypass_mode", "dora_wd", *_COMMON)
_LYCORIS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "LyCORIS/LoCon": ("locon", (*_CONV, *_WEIGHTED)),
    "LyCORIS/LoHa": ("loha", (*_CONV, *_WEIGHTED)),
    "LyCORIS/LoKr": ("lokr", (*_CONV, *_WEIGHTED, "factor", "use_cp", "decompose_both")),
    "LyCORIS/iA3": ("ia3", (*_CONV, "train_on_input")),
    "LyCORIS/DyLoRA": ("dylora", (*_CONV, *_DROPOUT, "use_tucker", "train_norm", "unit")),
    "LyCORIS/GLoRA": ("glora", (*_CONV, *_DROPOUT, "rank_dropout_scale", "train_norm")),
    "LyCORIS/BOFT": ("boft", (*_CONV, *_COMMON, "constrain", "rescaled")),
    "LyCORIS/Diag-OFT": ("diag-oft", (*_CONV, *_COMMON, "constrain", "rescaled")),
    "LyCORIS/Native Fine-Tuning": ("full", _COMMON),
}
#: Names of before: the "LoCon" of 2023 was LyCORIS', too.
_OLD: Mapping[str, str] = {"LoCon": "LyCORIS/LoCon", "LyCORIS/LoKR": "LyCORIS/LoKr", "LyCORIS/LoHA": "LyCORIS/LoHa"}
#: Every word read here, so that it is not called unknown elsewhere.
WORDS = frozenset(
    {key for _, some, always in _KINDS.values() for key in (*some, *always)}
    | {key for _, keys in _LYCORIS.values() for key in keys}
    | {"train_lora_ggpo", "ggpo_sigma", "ggpo_beta", "module_dropout"}
)


def network(preset: Mapping[str, Any]) -> tuple[str, list[str], list[Note]]:
    """Module, network_args (`name=value` each) and notes for the preset's LoRA type."""
    kind = str(preset.get("LoRA_type") or "Standard")
    name = _OLD.get(kind, kind)
    if name in _LYCORIS:
        algorithm, keys = _LYCORIS[name]
        args = [f"preset={preset.get('LyCORIS_preset') or 'full'}", f"algo={algorithm}"]
        for key in keys:
            text = _text(preset.get(key)) or ("1" if key in _CONV else "")  # what a fresh GUI shows
            args += [f"{'block_size' if key == 'unit' else key}={text}"] if text else []
        note = Note(
            "converted", "LoRA_type", kind, f"lycoris.kohya, {' '.join(args)}", "needs the package lycoris-lora"
        )
        return "lycoris.kohya", args, [note]
    if name not in _KINDS:
        why = "no such type is known; taken for Standard"
        return "networks.lora", [], [Note("ambiguous", "LoRA_type", kind, "networks.lora", why)]
    module, some, always = _KINDS[name]
    args = [f"{key}={_text(preset.get(key)) or '1'}" for key in always]
    args += [f"{key}={text}" for key in some if (text := _text(preset.get(key))) and not _is_nothing(key, text)]
    if preset.get("train_lora_ggpo") and name == "Flux1":
        args += [f"{key}={text}" for key in ("ggpo_sigma", "ggpo_beta") if (text := _text(preset.get(key)))]
    notes = [] if name == "Standard" and not args else [Note("converted", "LoRA_type", kind, " ".join((module, *args)))]
    return module, args, notes


def _text(value: Any) -> str:
    """As the GUI writes it; empty for what it leaves out."""
    if value is None or value is False or value == "":
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # network_args are split at blanks: a value can hold none.
    return "".join(str(value).replace('"', "").split())


def _is_nothing(key: str, text: str) -> bool:
    """Whether the value is what is there without it."""
    return text in {"0", "0.0", "False"} or text == "all" or (key == "unit" and text == "1")
