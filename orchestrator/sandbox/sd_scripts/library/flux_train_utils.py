"""Arguments of Flux."""

from __future__ import annotations

import argparse


def add_flux_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that only Flux has."""
    parser.add_argument("--clip_l", type=str, help="file of the first text encoder")
    parser.add_argument("--t5xxl", type=str, help="file of the second text encoder")
    parser.add_argument("--ae", type=str, help="file of the autoencoder")
    parser.add_argument("--controlnet_model_name_or_path", type=str, default=None, help="file of a ControlNet")
    parser.add_argument(
        "--t5xxl_max_token_length", type=int, default=None, help="longest caption of the second text encoder in tokens"
    )
    parser.add_argument("--apply_t5_attn_mask", action="store_true", help="mask what lies behind a caption's end")

    parser.add_argument("--guidance_scale", type=float, default=3.5, help="guidance of the distilled model")

    parser.add_argument(
        "--timestep_sampling",
        choices=["sigma", "uniform", "sigmoid", "shift", "flux_shift"],
        default="sigma",
        help="how timesteps are drawn",
    )
    parser.add_argument("--sigmoid_scale", type=float, default=1.0, help="scale of sigmoid timestep sampling")
    parser.add_argument(
        "--model_prediction_type",
        choices=["raw", "additive", "sigma_scaled"],
        default="sigma_scaled",
        help="what the model's answer is taken for",
    )
    parser.add_argument("--discrete_flow_shift", type=float, default=3.0, help="shift of the timesteps")

    parser.add_argument(
        "--model_type", type=str, choices=["flux", "chroma"], default="flux", help="kind of model trained"
    )
