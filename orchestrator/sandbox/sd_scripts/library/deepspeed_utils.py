"""Arguments of DeepSpeed."""

from __future__ import annotations

import argparse


def add_deepspeed_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of DeepSpeed; the simulated trainer takes and ignores them."""
    parser.add_argument("--deepspeed", action="store_true", help="use DeepSpeed")
    parser.add_argument("--zero_stage", type=int, default=2, choices=[0, 1, 2, 3], help="DeepSpeed ZeRO stage")
    parser.add_argument(
        "--offload_optimizer_device",
        type=str,
        default=None,
        choices=[None, "cpu", "nvme"],
        help="DeepSpeed: where the optimizer is kept",
    )
    parser.add_argument(
        "--offload_optimizer_nvme_path", type=str, default=None, help="DeepSpeed: path for the optimizer"
    )
    parser.add_argument(
        "--offload_param_device",
        type=str,
        default=None,
        choices=[None, "cpu", "nvme"],
        help="DeepSpeed: where parameters are kept",
    )
    parser.add_argument("--offload_param_nvme_path", type=str, default=None, help="DeepSpeed: path for parameters")
    parser.add_argument("--zero3_init_flag", action="store_true", help="DeepSpeed: stage 3 initialisation")
    parser.add_argument(
        "--zero3_save_16bit_model", action="store_true", help="DeepSpeed: save 16-bit weights in stage 3"
    )
    parser.add_argument(
        "--fp16_master_weights_and_gradients", action="store_true", help="DeepSpeed: keep master weights in fp16"
    )
