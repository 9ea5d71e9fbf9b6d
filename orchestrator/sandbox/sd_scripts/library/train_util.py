"""The main body of the arguments: models, dataset, training, optimizer."""

from __future__ import annotations

import argparse


def add_sd_models_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the base model."""
    parser.add_argument("--v2", action="store_true", help="the base model is Stable Diffusion 2.x")
    parser.add_argument("--v_parameterization", action="store_true", help="the base model predicts v instead of noise")
    parser.add_argument(
        "--pretrained_model_name_or_path",
        type=str,
        default=None,
        help="base model: a checkpoint file, a diffusers folder or a hub name",
    )
    parser.add_argument(
        "--tokenizer_cache_dir",
        type=str,
        default=None,
        help="folder that keeps the tokenizer, so that a run needs no network",
    )


def add_dataset_arguments(
    parser: argparse.ArgumentParser, support_dreambooth: bool, support_caption: bool, support_caption_dropout: bool
) -> None:
    """Add the arguments of pictures and captions."""
    parser.add_argument(
        "--train_data_dir", type=str, default=None, help="parent of the folders named <repeats>_<class tokens>"
    )
    parser.add_argument(
        "--cache_info", action="store_true", help="keep sizes and captions of a folder in a file for the next start"
    )
    parser.add_argument("--shuffle_caption", action="store_true", help="shuffle the parts of a caption at every use")
    parser.add_argument("--caption_separator", type=str, default=",", help="separator of caption parts")
    parser.add_argument("--caption_extension", type=str, default=".caption", help="file extension of captions")
    parser.add_argument(
        "--caption_extention", type=str, default=None, help="old misspelling of caption_extension, still accepted"
    )
    parser.add_argument(
        "--keep_tokens", type=int, default=0, help="number of caption parts at the front that are not shuffled"
    )
    parser.add_argument(
        "--keep_tokens_separator",
        type=str,
        default="",
        help="text that ends the part of a caption that is not shuffled",
    )
    parser.add_argument(
        "--secondary_separator", type=str, default=None, help="second separator: parts joined by it are kept together"
    )
    parser.add_argument(
        "--enable_wildcard", action="store_true", help="use {a|b} in captions and pick one of several caption lines"
    )
    parser.add_argument("--caption_prefix", type=str, default=None, help="text put before every caption")
    parser.add_argument("--caption_suffix", type=str, default=None, help="text put after every caption")
    parser.add_argument("--color_aug", action="store_true", help="vary colours slightly")
    parser.add_argument("--flip_aug", action="store_true", help="mirror pictures at random")
    parser.add_argument(
        "--face_crop_aug_range", type=str, default=None, help='crop around the face by a factor, "1.5,3.0"'
    )
    parser.add_argument("--random_crop", action="store_true", help="crop at a random place")
    parser.add_argument("--debug_dataset", action="store_true", help="show the dataset instead of training")
    parser.add_argument("--resolution", type=str, default=None, help='training size, "512" or "width,height"')
    parser.add_argument(
        "--cache_latents", action="store_true", help="encode all pictures once and keep the latents in memory"
    )
    parser.add_argument("--vae_batch_size", type=int, default=1, help="pictures encoded at once when caching latents")
    parser.add_argument(
        "--cache_latents_to_disk", action="store_true", help="keep cached latents beside the pictures (.npz)"
    )
    parser.add_argument("--skip_cache_check", action="store_true", help="trust cached files without looking into them")
    parser.add_argument("--enable_bucket", action="store_true", help="sort pictures into buckets by aspect ratio")
    parser.add_argument("--min_bucket_reso", type=int, default=256, help="smallest side of a bucket in pixels")
    parser.add_argument("--max_bucket_reso", type=int, default=1024, help="largest side of a bucket in pixels")
    parser.add_argument("--bucket_reso_steps", type=int, default=64, help="bucket sides are multiples of this")
    parser.add_argument(
        "--bucket_no_upscale", action="store_true", help="make buckets of the pictures' own sizes, never enlarge"
    )
    parser.add_argument(
        "--resize_interpolation",
        type=str,
        default=None,
        choices=["lanczos", "nearest", "bilinear", "linear", "bicubic", "cubic", "area"],
        help="how pictures are resized",
    )
    parser.add_argument("--token_warmup_min", type=int, default=1, help="caption parts used at the start of training")
    parser.add_argument(
        "--token_warmup_step", type=float, default=0, help="steps (or fraction of them) until whole captions are used"
    )
    parser.add_argument("--alpha_mask", action="store_true", help="use the alpha channel as a mask for the loss")
    parser.add_argument("--dataset_class", type=str, default=None, help="class of a dataset of one's own")

    if support_caption_dropout:
        parser.add_argument("--caption_dropout_rate", type=float, default=0.0, help="share of captions left out")
        parser.add_argument(
            "--caption_dropout_every_n_epochs", type=int, default=0, help="leave all captions out every N epochs"
        )
        parser.add_argument(
            "--caption_tag_dropout_rate", type=float, default=0.0, help="share of caption parts left out"
        )

    if support_dreambooth:
        parser.add_argument("--reg_data_dir", type=str, default=None, help="parent of the regularization folders")

    if support_caption:
        parser.add_argument("--in_json", type=str, default=None, help="metadata file of a fine-tuning dataset")
        parser.add_argument(
            "--dataset_repeats", type=int, default=1, help="how often every picture is used in an epoch with in_json"
        )


def add_training_arguments(parser: argparse.ArgumentParser, support_dreambooth: bool) -> None:
    """Add the arguments of saving, resuming, length, precision, logging, noise and samples."""
    parser.add_argument("--output_dir", type=str, default=None, help="folder for the trained files")
    parser.add_argument("--output_name", type=str, default=None, help="name of the trained file, without extension")
    parser.add_argument("--huggingface_repo_id", type=str, default=None, help="hub repository to upload to")
    parser.add_argument("--huggingface_repo_type", type=str, default=None, help="type of that repository")
    parser.add_argument("--huggingface_path_in_repo", type=str, default=None, help="path inside that repository")
    parser.add_argument("--huggingface_token", type=str, default=None, help="token for that repository")
    parser.add_argument("--huggingface_repo_visibility", type=str, default=None, help="public or private")
    parser.add_argument("--save_state_to_huggingface", action="store_true", help="upload states too")
    parser.add_argument("--resume_from_huggingface", action="store_true", help="take the state to resume from the hub")
    parser.add_argument("--async_upload", action="store_true", help="upload in the background")
    parser.add_argument(
        "--save_precision",
        type=str,
        default=None,
        choices=[None, "float", "fp16", "bf16"],
        help="number format of saved files",
    )
    parser.add_argument("--save_every_n_epochs", type=int, default=None, help="save every N epochs")
    parser.add_argument("--save_every_n_steps", type=int, default=None, help="save every N steps")
    parser.add_argument(
        "--save_n_epoch_ratio", type=int, default=None, help="save at least this many files over the whole run"
    )
    parser.add_argument(
        "--save_last_n_epochs", type=int, default=None, help="keep only files of the last N saves by epoch"
    )
    parser.add_argument("--save_last_n_epochs_state", type=int, default=None, help="the same for state folders")
    parser.add_argument("--save_last_n_steps", type=int, default=None, help="keep only files of the last N steps")
    parser.add_argument("--save_last_n_steps_state", type=int, default=None, help="the same for state folders")
    parser.add_argument(
        "--save_state", action="store_true", help="save a state folder with every saved file, to resume from"
    )
    parser.add_argument("--save_state_on_train_end", action="store_true", help="save a state folder at the end only")
    parser.add_argument("--resume", type=str, default=None, help="state folder to resume from")
    parser.add_argument("--train_batch_size", type=int, default=1, help="pictures per step")
    parser.add_argument(
        "--max_token_length",
        type=int,
        default=None,
        choices=[None, 150, 225],
        help="longest caption in tokens (75 when not given)",
    )
    parser.add_argument("--mem_eff_attn", action="store_true", help="memory-saving attention")
    parser.add_argument("--torch_compile", action="store_true", help="compile the model")
    parser.add_argument(
        "--dynamo_backend",
        type=str,
        default="inductor",
        choices=[
            "eager",
            "aot_eager",
            "inductor",
            "aot_ts_nvfuser",
            "nvprims_nvfuser",
            "cudagraphs",
            "ofi",
            "fx2trt",
            "onnxrt",
            "tensort",
            "ipex",
            "tvm",
        ],
        help="backend of torch_compile",
    )
    parser.add_argument("--xformers", action="store_true", help="use xformers attention")
    parser.add_argument("--sdpa", action="store_true", help="use PyTorch's own attention")
    parser.add_argument("--vae", type=str, default=None, help="another VAE: a checkpoint file or folder")
    parser.add_argument("--max_train_steps", type=int, default=1600, help="length of the run in steps")
    parser.add_argument(
        "--max_train_epochs", type=int, default=None, help="length of the run in epochs, wins over max_train_steps"
    )
    parser.add_argument("--max_data_loader_n_workers", type=int, default=8, help="most processes that load data")
    parser.add_argument(
        "--persistent_data_loader_workers", action="store_true", help="keep these processes from epoch to epoch"
    )
    parser.add_argument("--seed", type=int, default=None, help="random seed")
    parser.add_argument("--gradient_checkpointing", action="store_true", help="save memory by computing again")
    parser.add_argument(
        "--gradient_accumulation_steps", type=int, default=1, help="batches gathered for one optimizer step"
    )
    parser.add_argument(
        "--mixed_precision",
        type=str,
        default="no",
        choices=["no", "fp16", "bf16"],
        help="number format of the computation",
    )
    parser.add_argument("--full_fp16", action="store_true", help="gradients in fp16 too")
    parser.add_argument("--full_bf16", action="store_true", help="gradients in bf16 too")
    parser.add_argument("--fp8_base", action="store_true", help="base model in fp8")
    parser.add_argument("--ddp_timeout", type=int, default=None, help="minutes until distributed training gives up")
    parser.add_argument(
        "--ddp_gradient_as_bucket_view", action="store_true", help="distributed: gradients as views of buckets"
    )
    parser.add_argument("--ddp_static_graph", action="store_true", help="distributed: the graph never changes")
    parser.add_argument("--clip_skip", type=int, default=None, help="use the text encoder's n-th layer from the end")
    parser.add_argument("--logging_dir", type=str, default=None, help="folder for TensorBoard logs")
    parser.add_argument(
        "--log_with", type=str, default=None, choices=["tensorboard", "wandb", "all"], help="where to log"
    )
    parser.add_argument("--log_prefix", type=str, default=None, help="text put before the log folder's name")
    parser.add_argument("--log_tracker_name", type=str, default=None, help="name of the tracker")
    parser.add_argument("--wandb_run_name", type=str, default=None, help="name of the wandb run")
    parser.add_argument("--log_tracker_config", type=str, default=None, help="file with tracker settings")
    parser.add_argument("--wandb_api_key", type=str, default=None, help="key for wandb")
    parser.add_argument("--log_config", action="store_true", help="log the settings too")
    parser.add_argument("--noise_offset", type=float, default=None, help="noise offset, about 0.1")
    parser.add_argument(
        "--noise_offset_random_strength", action="store_true", help="vary the noise offset between 0 and the value"
    )
    parser.add_argument(
        "--multires_noise_iterations", type=int, default=None, help="iterations of multi-resolution noise"
    )
    parser.add_argument("--ip_noise_gamma", type=float, default=None, help="input perturbation noise")
    parser.add_argument("--ip_noise_gamma_random_strength", action="store_true", help="vary it between 0 and the value")
    parser.add_argument("--multires_noise_discount", type=float, default=0.3, help="discount of multi-resolution noise")
    parser.add_argument(
        "--adaptive_noise_scale", type=float, default=None, help="scale the noise offset by the latents' mean"
    )
    parser.add_argument(
        "--zero_terminal_snr", action="store_true", help="rescale the noise schedule to zero terminal SNR"
    )
    parser.add_argument("--min_timestep", type=int, default=None, help="first timestep used")
    parser.add_argument("--max_timestep", type=int, default=None, help="last timestep used")
    parser.add_argument(
        "--loss_type", type=str, default="l2", choices=["l1", "l2", "huber", "smooth_l1"], help="kind of loss"
    )
    parser.add_argument(
        "--huber_schedule",
        type=str,
        default="snr",
        choices=["constant", "exponential", "snr"],
        help="how the Huber parameter changes with the timestep",
    )
    parser.add_argument("--huber_c", type=float, default=0.1, help="Huber parameter")
    parser.add_argument("--huber_scale", type=float, default=1.0, help="Huber scale")
    parser.add_argument("--lowram", action="store_true", help="load models straight to the GPU")
    parser.add_argument("--highvram", action="store_true", help="do not empty the GPU cache so often")
    parser.add_argument("--sample_every_n_steps", type=int, default=None, help="draw sample pictures every N steps")
    parser.add_argument("--sample_at_first", action="store_true", help="draw sample pictures before training")
    parser.add_argument("--sample_every_n_epochs", type=int, default=None, help="draw sample pictures every N epochs")
    parser.add_argument("--sample_prompts", type=str, default=None, help="file with prompts for sample pictures")
    parser.add_argument(
        "--sample_sampler",
        type=str,
        default="ddim",
        choices=[
            "ddim",
            "pndm",
            "lms",
            "euler",
            "euler_a",
            "heun",
            "dpm_2",
            "dpm_2_a",
            "dpmsolver",
            "dpmsolver++",
            "dpmsingle",
            "k_lms",
            "k_euler",
            "k_euler_a",
            "k_dpm_2",
            "k_dpm_2_a",
        ],
        help="sampler of sample pictures",
    )
    parser.add_argument(
        "--config_file", type=str, default=None, help="TOML file with arguments, without .toml if you like"
    )
    parser.add_argument("--output_config", action="store_true", help="write the arguments to config_file and stop")

    if support_dreambooth:
        parser.add_argument("--prior_loss_weight", type=float, default=1.0, help="weight of regularization pictures")


def add_dit_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that Flux and its kin share."""
    parser.add_argument(
        "--cache_text_encoder_outputs", action="store_true", help="encode all captions once and keep the outputs"
    )
    parser.add_argument(
        "--cache_text_encoder_outputs_to_disk", action="store_true", help="keep the outputs beside the pictures (.npz)"
    )
    parser.add_argument("--text_encoder_batch_size", type=int, default=None, help="captions encoded at once")

    parser.add_argument(
        "--disable_mmap_load_safetensors", action="store_true", help="read model files without mapping them"
    )

    parser.add_argument(
        "--weighting_scheme",
        type=str,
        default="uniform",
        choices=["sigma_sqrt", "logit_normal", "mode", "cosmap", "none", "uniform"],
        help="how timesteps are weighted",
    )
    parser.add_argument("--logit_mean", type=float, default=0.0, help="mean of the logit_normal weighting")
    parser.add_argument("--logit_std", type=float, default=1.0, help="deviation of the logit_normal weighting")
    parser.add_argument("--mode_scale", type=float, default=1.29, help="scale of the mode weighting")

    parser.add_argument(
        "--blocks_to_swap", type=int, default=None, help="blocks kept in main memory to save the card's"
    )


def add_masked_loss_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a masked loss."""
    parser.add_argument("--conditioning_data_dir", type=str, default=None, help="folder of mask pictures")
    parser.add_argument("--masked_loss", action="store_true", help="use masks for the loss")


def add_optimizer_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the optimizer and the learning rate."""

    def int_or_float(value: str) -> int | float:
        """Read "10%" as 0.1, numbers from 1 on as whole numbers (steps), smaller ones as fractions of the run."""
        try:
            if value.endswith("%"):
                return float(value[:-1]) / 100
            return int(value) if float(value) >= 1 else float(value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"Value '{value}' is not a number or a percentage") from error

    parser.add_argument(
        "--optimizer_type", type=str, default="", help="optimizer: AdamW, AdamW8bit, Lion, Prodigy, a class path ..."
    )
    parser.add_argument("--use_8bit_adam", action="store_true", help="old way to say AdamW8bit")
    parser.add_argument("--use_lion_optimizer", action="store_true", help="old way to say Lion")
    parser.add_argument("--learning_rate", type=float, default=2e-06, help="learning rate")
    parser.add_argument("--max_grad_norm", type=float, default=1.0, help="limit of the gradient norm, 0 for none")
    parser.add_argument(
        "--optimizer_args", type=str, nargs="*", default=None, help="more optimizer arguments, key=value"
    )
    parser.add_argument("--lr_scheduler_type", type=str, default="", help="class of a scheduler of one's own")
    parser.add_argument(
        "--lr_scheduler_args", type=str, nargs="*", default=None, help="more scheduler arguments, key=value"
    )
    parser.add_argument(
        "--lr_scheduler", type=str, default="constant", help="how the learning rate changes over the run"
    )
    parser.add_argument(
        "--lr_warmup_steps",
        type=int_or_float,
        default=0,
        help="warm-up: a whole number of steps or a fraction of all steps",
    )
    parser.add_argument(
        "--lr_decay_steps",
        type=int_or_float,
        default=0,
        help="decay: a whole number of steps or a fraction of all steps",
    )
    parser.add_argument("--lr_scheduler_num_cycles", type=int, default=1, help="restarts of cosine_with_restarts")
    parser.add_argument("--lr_scheduler_power", type=float, default=1, help="power of the polynomial scheduler")
    parser.add_argument(
        "--fused_backward_pass", action="store_true", help="step the optimizer during the backward pass"
    )
    parser.add_argument("--lr_scheduler_timescale", type=int, default=None, help="time scale of inverse_sqrt")
    parser.add_argument(
        "--lr_scheduler_min_lr_ratio", type=float, default=None, help="lowest learning rate as a share of the first"
    )
