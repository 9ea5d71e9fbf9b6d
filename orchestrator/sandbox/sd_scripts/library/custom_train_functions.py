"""Arguments of the loss."""

from __future__ import annotations

import argparse


def add_custom_train_arguments(parser: argparse.ArgumentParser, support_weighted_captions: bool = True) -> None:
    """Add the arguments of the loss."""
    parser.add_argument("--min_snr_gamma", type=float, default=None, help="gamma of min-SNR weighting")
    parser.add_argument(
        "--scale_v_pred_loss_like_noise_pred", action="store_true", help="scale the v loss like a noise loss"
    )
    parser.add_argument("--v_pred_like_loss", type=float, default=None, help="add a v-like loss times this")
    parser.add_argument("--debiased_estimation_loss", action="store_true", help="debiased estimation loss")
    if support_weighted_captions:
        parser.add_argument("--weighted_captions", action="store_true", help="understand (word:1.2) in captions")
