"""Simulated LoRA trainer with the command line of sd-scripts: `python train_network.py --config_file X.toml [flags]`.

It reads the same arguments and dataset folders, prints the same console and writes real LoRA files, but trains no
network: what a file holds is measured in the dataset's pictures. Any working directory will do.
"""

# mypy: disable-error-code="import-not-found,no-any-return"
# The folder is a checkout of its own: its modules are found beside this file, not through the package around it.
from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from library import config_util, custom_train_functions, deepspeed_utils, sai_model_spec, train_util
from library.utils import add_logging_arguments

# Before numpy is imported: its matrices are small here, and a second BLAS thread doubles the time they take.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def setup_parser() -> argparse.ArgumentParser:
    """Return the parser with every argument of the trainer."""
    parser = argparse.ArgumentParser()

    add_logging_arguments(parser)
    train_util.add_sd_models_arguments(parser)
    sai_model_spec.add_model_spec_arguments(parser)
    train_util.add_dataset_arguments(parser, True, True, True)
    train_util.add_training_arguments(parser, True)
    train_util.add_masked_loss_arguments(parser)
    deepspeed_utils.add_deepspeed_arguments(parser)
    train_util.add_optimizer_arguments(parser)
    config_util.add_config_arguments(parser)
    custom_train_functions.add_custom_train_arguments(parser)

    parser.add_argument(
        "--cpu_offload_checkpointing", action="store_true", help="keep checkpointed tensors in main memory"
    )
    parser.add_argument("--no_metadata", action="store_true", help="write almost no metadata")
    parser.add_argument(
        "--save_model_as",
        type=str,
        default="safetensors",
        choices=[None, "ckpt", "pt", "safetensors"],
        help="format of the trained file",
    )
    parser.add_argument("--unet_lr", type=float, default=None, help="learning rate of the U-Net")
    parser.add_argument(
        "--text_encoder_lr", type=float, nargs="*", default=None, help="learning rate of the text encoder(s)"
    )
    parser.add_argument("--fp8_base_unet", action="store_true", help="U-Net in fp8, text encoder not")
    parser.add_argument("--network_weights", type=str, default=None, help="weights to start from")
    parser.add_argument("--network_module", type=str, default=None, help="module that makes the network, networks.lora")
    parser.add_argument("--network_dim", type=int, default=None, help="rank of the network (4 for LoRA when not given)")
    parser.add_argument("--network_alpha", type=float, default=1, help="alpha: weights are scaled by alpha / rank")
    parser.add_argument("--network_dropout", type=float, default=None, help="share of neurons left out")
    parser.add_argument("--network_args", type=str, nargs="*", default=None, help="more network arguments, key=value")
    parser.add_argument("--network_train_unet_only", action="store_true", help="train the U-Net's part only")
    parser.add_argument(
        "--network_train_text_encoder_only", action="store_true", help="train the text encoder's part only"
    )
    parser.add_argument("--training_comment", type=str, default=None, help="comment written into the metadata")
    parser.add_argument("--dim_from_weights", action="store_true", help="take the rank from network_weights")
    parser.add_argument("--scale_weight_norms", type=float, default=None, help="limit of the weights' norm")
    parser.add_argument(
        "--base_weights", type=str, nargs="*", default=None, help="networks merged into the base model first"
    )
    parser.add_argument("--base_weights_multiplier", type=float, nargs="*", default=None, help="their multipliers")
    parser.add_argument("--no_half_vae", action="store_true", help="VAE in full precision")
    parser.add_argument(
        "--skip_until_initial_step",
        action="store_true",
        help="go through the data up to the initial step without training",
    )
    parser.add_argument("--initial_epoch", type=int, default=None, help="first epoch, counted from 1")
    parser.add_argument(
        "--initial_step", type=int, default=None, help="first step, counted from 0; wins over initial_epoch"
    )
    parser.add_argument("--validation_seed", type=int, default=None, help="seed of the validation set")
    parser.add_argument("--validation_split", type=float, default=0.0, help="share of pictures kept for validation")
    parser.add_argument("--validate_every_n_steps", type=int, default=None, help="validate every N steps")
    parser.add_argument("--validate_every_n_epochs", type=int, default=None, help="validate every N epochs")
    parser.add_argument("--max_validation_steps", type=int, default=None, help="most validation batches")
    return parser


def main(parser: argparse.ArgumentParser, kind: str) -> None:
    """Read the arguments and train. `kind` names a constant of the sandbox's `training_kinds`."""
    args = parser.parse_args()
    try:
        import orchestrator.sandbox  # noqa: F401
    except ImportError:
        # Started with an interpreter that does not know the package: this file lies in it.
        sys.path.append(str(Path(__file__).resolve().parents[3]))
    from orchestrator.sandbox import training_kinds
    from orchestrator.sandbox.training_run import start

    start(args, parser, getattr(training_kinds, kind))


if __name__ == "__main__":
    main(setup_parser(), "SD")
