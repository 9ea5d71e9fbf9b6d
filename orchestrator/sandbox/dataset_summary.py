"""The summary of all datasets that the simulated trainer puts into its log before training."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.sandbox.dataset_options import DatasetOptions, SubsetOptions


@dataclass(frozen=True)
class ReadSubset:
    """One folder that holds pictures."""

    options: SubsetOptions
    count: int


def described(every: list[tuple[DatasetOptions, list[ReadSubset]]]) -> str:
    """Describe every dataset and its folders, one option a line."""
    lines: list[str] = []
    for number, (options, subsets) in enumerate(every):
        lines += [
            f"[Dataset {number}]",
            f"  batch_size: {options.batch_size}",
            f"  resolution: {options.resolution}",
            f"  resize_interpolation: {options.values['resize_interpolation']}",
            f"  enable_bucket: {options.enable_bucket}",
        ]
        if options.enable_bucket:
            lines += [
                f"  min_bucket_reso: {options.min_bucket_reso}",
                f"  max_bucket_reso: {options.max_bucket_reso}",
                f"  bucket_reso_steps: {options.bucket_reso_steps}",
                f"  bucket_no_upscale: {options.bucket_no_upscale}",
            ]
        lines.append("")
        for index, subset in enumerate(subsets):
            lines += _described_subset(index, number, subset)
    return "\n".join([*lines, ""])


def _described_subset(index: int, number: int, subset: ReadSubset) -> list[str]:
    values = subset.options.values
    shown = {
        "image_dir": f'"{subset.options.image_dir}"',
        "image_count": subset.count,
        "num_repeats": subset.options.num_repeats,
        **{
            name: values[name]
            for name in (
                "shuffle_caption", "keep_tokens", "caption_dropout_rate", "caption_dropout_every_n_epochs",
                "caption_tag_dropout_rate", "caption_prefix", "caption_suffix", "color_aug", "flip_aug",
                "face_crop_aug_range", "random_crop",
            )
        },
        "token_warmup_min": f"{values['token_warmup_min']},",
        "token_warmup_step": f"{values['token_warmup_step']},",
        "alpha_mask": values["alpha_mask"],
        "resize_interpolation": values["resize_interpolation"],
        "custom_attributes": values["custom_attributes"] or {},
        "is_reg": subset.options.is_reg,
        "class_tokens": subset.options.class_tokens,
        "caption_extension": subset.options.caption_extension,
    }  # fmt: skip
    return [f"  [Subset {index} of Dataset {number}]", *(f"    {name}: {value}" for name, value in shown.items()), ""]
