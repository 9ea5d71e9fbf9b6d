"""The LoRA network of the simulated trainer: sizes and scale only, the weights come from what the dataset shows."""

from __future__ import annotations

from dataclasses import dataclass

#: Modules of Stable Diffusion 1.5 that a LoRA is attached to.
_TEXT_ENCODER_MODULES = 72
_UNET_MODULES = 192


@dataclass(frozen=True)
class LoRANetwork:
    """Rank and alpha of a LoRA and how many modules it has; `notes` are its log lines with their places."""

    lora_dim: int
    alpha: float
    text_encoder_modules: int
    unet_modules: int
    notes: tuple[tuple[str, str], ...]

    def enabled(self, train_text_encoder: bool, train_unet: bool) -> tuple[tuple[str, str], ...]:
        """Log lines for the parts that are trained."""
        text_encoder = (f"enable LoRA for text encoder: {self.text_encoder_modules} modules", "lora.py:1084")
        unet = (f"enable LoRA for U-Net: {self.unet_modules} modules", "lora.py:1089")
        return (*((text_encoder,) if train_text_encoder else ()), *((unet,) if train_unet else ()))


def create_network(
    multiplier: float,
    network_dim: int | None,
    network_alpha: float | None,
    *,
    neuron_dropout: float | None = None,
    **options: str | float | None,
) -> LoRANetwork:
    """Make the network.

    Raises `TypeError` for a rank that is no whole number, as PyTorch does when it makes the weights.
    """
    del multiplier
    dim = 4 if network_dim is None else network_dim
    alpha = 1.0 if network_alpha is None else network_alpha
    parts = [
        (f"create LoRA network. base dim (rank): {dim}, alpha: {alpha}", "lora.py:935"),
        (
            f"neuron dropout: p={neuron_dropout}, rank dropout: p={_number(options.get('rank_dropout'))}, "
            f"module dropout: p={_number(options.get('module_dropout'))}",
            "lora.py:936",
        ),
    ]
    if options.get("conv_dim") is not None:
        conv = int(str(options["conv_dim"]))
        conv_alpha = float(str(options.get("conv_alpha") or 1.0))
        parts.append(
            (f"apply LoRA to Conv2d with kernel size (3,3). dim (rank): {conv}, alpha: {conv_alpha}", "lora.py:940")
        )
    if not isinstance(dim, int):
        raise TypeError(
            "empty(): argument 'size' failed to unpack the object at pos 1 with error "
            f'"type must be tuple of ints,but got {type(dim).__name__}"'
        )
    if dim < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {dim}: [{dim}, 768]")
    scale = alpha / dim  # a rank of 0 or an alpha that is text fails here
    del scale
    parts += [
        ("create LoRA for Text Encoder:", "lora.py:1030"),
        (f"create LoRA for Text Encoder: {_TEXT_ENCODER_MODULES} modules.", "lora.py:1035"),
        (f"create LoRA for U-Net: {_UNET_MODULES} modules.", "lora.py:1043"),
    ]
    return LoRANetwork(dim, alpha, _TEXT_ENCODER_MODULES, _UNET_MODULES, tuple(parts))


def _number(given: str | float | None) -> float | None:
    return None if given is None else float(given)
