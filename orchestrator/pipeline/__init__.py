"""READ FIRST: the way of the work, one function per arrow.

    profile ─► pictures ─► dataset ─► training ─► lora ─► grid ─► evaluation ─► report

Every function may be called again: what is complete and unchanged is left alone, what is missing is made. Progress is
told to `on_progress(what, done, total)`. The command line and the demo do nothing but call these.
"""

from orchestrator.pipeline.dataset import (
    Checked,
    balance_dataset,
    build_dataset,
    check_built,
    check_dataset,
    compare_foretold,
    dataset_pictures,
    preview_buckets,
    review_captions,
    tag_captions,
)
from orchestrator.pipeline.drawing import base_checkpoint, open_renderer, recipe_maker
from orchestrator.pipeline.grids import check_grids, draw_grids, not_deployed, plan_grids
from orchestrator.pipeline.lora import deploy_run, lora_files, publish_epoch
from orchestrator.pipeline.pictures import make_pictures, picture_sheet, price_pictures, ramp_pictures, vary_pictures
from orchestrator.pipeline.progress import OnProgress
from orchestrator.pipeline.training import check_training, resume_run, train_ready, train_version
from orchestrator.pipeline.verdict import (
    choose_seeds,
    evaluate_version,
    open_votes,
    price_rounds,
    publish_winner,
    scout_seeds,
    scout_sheet,
    taste,
    write_report,
)

__all__ = [
    "Checked",
    "OnProgress",
    "balance_dataset",
    "base_checkpoint",
    "build_dataset",
    "check_built",
    "check_dataset",
    "check_grids",
    "check_training",
    "choose_seeds",
    "compare_foretold",
    "dataset_pictures",
    "deploy_run",
    "draw_grids",
    "evaluate_version",
    "lora_files",
    "make_pictures",
    "not_deployed",
    "open_renderer",
    "open_votes",
    "picture_sheet",
    "plan_grids",
    "preview_buckets",
    "price_pictures",
    "price_rounds",
    "publish_epoch",
    "publish_winner",
    "ramp_pictures",
    "recipe_maker",
    "resume_run",
    "review_captions",
    "scout_seeds",
    "scout_sheet",
    "tag_captions",
    "taste",
    "train_ready",
    "train_version",
    "vary_pictures",
    "write_report",
]
