"""The kohya_ss GUI's own words in its preset files, and what they are to sd-scripts.

Read in kohya_gui/lora_gui.py of kohya_ss 45088f04 (v26) and in presets of all ages: 287 keys now, 63 to 110 in old
ones, 28 of them as number, text or yes/no depending on the age.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Note:
    """What became of one value on the way into our words. `made` is what stands for it now; empty = nothing does.

    converted: the same meaning in other words. dropped: nothing stands for it here. ambiguous: what was given and what
    the GUI (or the LoRA file) did with it differ, or the file does not say it.
    """

    kind: Literal["converted", "dropped", "ambiguous"]
    key: str
    given: Any
    made: str
    why: str = ""

    def __str__(self) -> str:
        arrow = f" → {self.made}" if self.made else ""
        return f"{self.kind}: {self.key} = {self.given!r}{arrow}" + (f" ({self.why})" if self.why else "")


#: Kind of base model → the checkbox that chooses it, the script it starts.
CHECKBOXES: Mapping[str, tuple[str, str]] = {
    "sdxl": ("sdxl", "sdxl_train_network.py"),
    "flux": ("flux1_checkbox", "flux_train_network.py"),
    "sd3": ("sd3_checkbox", "sd3_train_network.py"),
}
#: Checkboxes of models that are not trained here.
OTHER_MODELS: Mapping[str, str] = {
    "hunyuan_image_checkbox": "HunyuanImage",
    "anima_checkbox": "Anima",
    "lumina_checkbox": "Lumina",
}
#: Same meaning, other name.
RENAMED: Mapping[str, str] = {"lora_network_weights": "network_weights"}
#: Words of one kind of model: sd-scripts' name for each, passed on only with that kind's checkbox.
OF_MODEL: Mapping[str, Mapping[str, str]] = {
    "sdxl": {
        "sdxl_cache_text_encoder_outputs": "cache_text_encoder_outputs",
        "sdxl_no_half_vae": "no_half_vae",
    },
    "flux": {
        "flux1_cache_text_encoder_outputs": "cache_text_encoder_outputs",
        "flux1_cache_text_encoder_outputs_to_disk": "cache_text_encoder_outputs_to_disk",
        "flux1_clip_l": "clip_l",
        "flux1_t5xxl": "t5xxl",
        **{
            key: key
            for key in (
                "apply_t5_attn_mask", "blocks_to_swap", "cpu_offload_checkpointing", "discrete_flow_shift",
                "double_blocks_to_swap", "fp8_base_unet", "guidance_scale", "mem_eff_save", "model_prediction_type",
                "single_blocks_to_swap", "split_mode", "t5xxl_max_token_length", "timestep_sampling",
            )
        },
    },
    "sd3": {
        "sd3_cache_text_encoder_outputs": "cache_text_encoder_outputs",
        "sd3_cache_text_encoder_outputs_to_disk": "cache_text_encoder_outputs_to_disk",
        "sd3_clip_l_dropout_rate": "clip_l_dropout_rate",
        "sd3_enable_scaled_pos_embed": "enable_scaled_pos_embed",
        "sd3_fused_backward_pass": "fused_backward_pass",
        "sd3_t5_dropout_rate": "t5_dropout_rate",
        "sd3_text_encoder_batch_size": "text_encoder_batch_size",
        **{
            key: key
            for key in (
                "blocks_to_swap", "clip_g_dropout_rate", "logit_mean", "logit_std", "mode_scale",
                "pos_emb_random_crop_rate", "save_clip", "save_t5xxl", "t5xxl_device", "t5xxl_dtype",
                "weighting_scheme",
            )
        },
    },
}  # fmt: skip
#: How the words of one kind of model begin in newer presets.
PREFIXES = ("sdxl_", "flux1_", "sd3_", "hunyuan_", "anima_", "lumina_")
#: Files of a base model besides its checkpoint: the GUI's word → ours in [base].
COMPONENTS: Mapping[str, Mapping[str, str]] = {
    "flux": {"ae": "ae", "clip_l": "clip_l", "t5xxl": "t5xxl", "flux1_clip_l": "clip_l", "flux1_t5xxl": "t5xxl"},
    "sd3": {"sd3_clip_l": "clip_l", "clip_g": "clip_g", "sd3_t5xxl": "t5xxl"},
}
#: What a fresh GUI shows where the file says nothing; only values that decide what is trained.
FRESH: Mapping[str, Any] = {
    "LoRA_type": "Standard",
    "bucket_no_upscale": True,
    "cache_latents": True,
    "enable_bucket": True,
    "epoch": 1,
    "learning_rate": 1e-4,
    "lr_scheduler": "cosine",
    "lr_warmup": 10,
    "max_resolution": "512,512",
    "mixed_precision": "fp16",
    "network_alpha": 1,
    "network_dim": 8,
    "save_precision": "fp16",
    "text_encoder_lr": 1e-4,
    "train_batch_size": 1,
    "unet_lr": 1e-4,
    "xformers": "xformers",
}
#: The GUI writes no 0: these mean "not set" to it and to sd-scripts alike, so nothing is lost.
ZERO_IS_UNSET = frozenset(
    {
        "clip_skip", "max_timestep", "min_snr_gamma", "min_timestep", "vae_batch_size", "v_pred_like_loss",
        "network_dropout", "scale_weight_norms", "ip_noise_gamma", "keep_tokens", "gradient_accumulation_steps",
    }
)  # fmt: skip
#: What it puts where a text is no number.
BAD_NUMBER: Mapping[str, Any] = {"max_token_length": 75, "lr_scheduler_num_cycles": 1, "lr_scheduler_power": 1.0}
#: Passed to sd-scripts only with this noise_offset_type.
NOISE: Mapping[str, str] = {
    "noise_offset": "Original",
    "noise_offset_random_strength": "Original",
    "adaptive_noise_scale": "Original",
    "multires_noise_iterations": "Multires",
    "multires_noise_discount": "Multires",
}
#: Our dataset file's names of what the GUI puts into the one configuration file.
OF_DATASET_FILE: Mapping[str, str] = {
    "train_batch_size": "batch_size",
    "enable_bucket": "enable_bucket",
    "min_bucket_reso": "min_bucket_reso",
    "max_bucket_reso": "max_bucket_reso",
    "bucket_reso_steps": "bucket_reso_steps",
    "bucket_no_upscale": "bucket_no_upscale",
    "shuffle_caption": "shuffle_caption",
    "keep_tokens": "keep_tokens",
    "flip_aug": "flip_aug",
}
_FOLDERS = "the workspace has a folder of its own for it"
_LIMITED = "a training that is stopped could not go on with it"
#: Never carried over, and why. Said only where there is something to lose.
DROPPED: Mapping[str, str] = {
    "caption_extension": "captions of a dataset built here end in .txt",
    "dataset_config": "the dataset is built by `orchestrator dataset build`",
    "in_json": "the dataset is built by `orchestrator dataset build`",
    "reg_data_dir": "regularisation pictures are not part of a dataset here",
    "output_dir": _FOLDERS,
    "logging_dir": _FOLDERS,
    "output_name": "files are named after [subject]",
    "wandb_run_name": "files are named after [subject]",
    "resume": "a stopped training goes on by itself",
    "resume_from_huggingface": "a stopped training goes on by itself",
    "save_every_n_steps": _LIMITED,
    "save_last_n_steps": _LIMITED,
    "save_last_n_steps_state": _LIMITED,
    "save_last_n_epochs": "every saved epoch is kept, to be compared",
    "save_last_n_epochs_state": "the newest states are kept",
    "save_state_on_train_end": "states are saved with every file",
    "save_as_bool": "the GUI no longer knows it",
    "dynamo_backend": "the trainer is not compiled",
    "dynamo_use_fullgraph": "the trainer is not compiled",
    "dynamo_use_dynamic": "the trainer is not compiled",
    "main_process_port": "not needed for one machine",
    "extra_accelerate_launch_args": "the trainer is started as plain Python, or by accelerate for several cards",
    "stop_text_encoder_training": "no script for LoRAs knows it",
    "stop_text_encoder_training_pct": "no script for LoRAs knows it",
    "no_token_padding": "no script for LoRAs knows it",
    "train_inpainting": "no script for LoRAs knows it",
    "lowvram": "no script for LoRAs knows it",
    "conv_dims": "no script for LoRAs knows it",
    "conv_alphas": "no script for LoRAs knows it",
    "learning_rate_te": "only for training whole checkpoints",
    "learning_rate_te1": "only for training whole checkpoints",
    "learning_rate_te2": "only for training whole checkpoints",
    "wandb_api_key": "a profile is no place for a password: log in with `wandb login`",
    "huggingface_token": "nothing is uploaded",
    "huggingface_repo_id": "nothing is uploaded",
    "huggingface_path_in_repo": "nothing is uploaded",
    "save_state_to_huggingface": "nothing is uploaded",
    "t5xxl_lr": "the T5 text encoder is not trained",
}
#: Their values are shown nowhere.
SECRET = frozenset({"wandb_api_key", "huggingface_token"})
#: Say nothing about the training: what the GUI shows, or what is read together with another word.
SILENT = frozenset(
    {
        "model_list", "dynamo_mode", "noise_offset_type", "use_8bit_adam", "LyCORIS_preset", "save_model_as",
        "show_timesteps", "show_timesteps_resolution", "sample_every_n_epochs", "sample_every_n_steps",
        "sample_prompts", "sample_sampler", "max_train_epochs", "max_train_steps", "epoch", "lr_warmup",
        "lr_warmup_steps", "learning_rate", "unet_lr", "text_encoder_lr", "optimizer", "LoRA_type", "xformers",
        "additional_parameters", "max_resolution", "seed", "save_state", "use_wandb", "train_data_dir",
        "pretrained_model_name_or_path", "num_processes", "num_machines", "multi_gpu", "gpu_ids",
        "num_cpu_threads_per_process", "save_every_n_epochs", "max_token_length", "training_preset",
        "huggingface_repo_type", "huggingface_repo_visibility", "async_upload", "max_data_loader_n_workers",
        "sdxl", "flux1_checkbox", "sd3_checkbox", *OTHER_MODELS,
    }
)  # fmt: skip
#: Said even where it is sd-scripts' default, because a training of ours would have another value without it.
OURS_DIFFERS = frozenset(
    {
        "guidance_scale", "lr_scheduler", "lr_warmup_steps", "mixed_precision", "model_prediction_type",
        "network_alpha", "optimizer_type", "save_every_n_epochs", "sdpa", "timestep_sampling", "unet_lr",
        "weighting_scheme",
    }
)  # fmt: skip
