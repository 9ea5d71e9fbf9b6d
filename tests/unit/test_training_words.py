"""Our words and sd-scripts', forwards and backwards; what is written into which file; pictures drawn meanwhile."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import orchestrator
from orchestrator.errors import ProfileError, TrainingRefused
from orchestrator.kohya import config_file, dataset_config, install, toml_file
from orchestrator.kohya.arguments import Argument
from orchestrator.kohya.install import KohyaInstall
from orchestrator.profile.load import load_profile
from orchestrator.profile.model import Profile, TrainingPlan
from orchestrator.training import from_values, inputs, samples, words
from orchestrator.training.plan import TrainingPlanned, draft, from_record, plan
from orchestrator.training.record import Attempt, begin
from orchestrator.workspace import Workspace

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"
TODAY = {
    name: Argument(name, "float", nargs, None, None, flag=False)
    for name, nargs in (("sdpa", ""), ("text_encoder_lr", "*"), ("save_last_n_epochs_state", ""))
}
RATES = st.floats(min_value=1e-9, max_value=0.999)


def _plan(**chosen: Any) -> TrainingPlan:
    chosen["save_every"] = min(chosen["save_every"], chosen["epochs"])
    if "bucket_no_upscale" not in chosen["extra"]:  # the limit means nothing where no picture is enlarged
        chosen["extra"].pop("max_bucket_reso", None)
    return TrainingPlan(**chosen)


PLANS = st.builds(
    _plan,
    epochs=st.integers(1, 500), save_every=st.integers(1, 500), dim=st.integers(1, 1024), unet_lr=RATES,
    batch_size=st.integers(1, 64), alpha=st.floats(0.01, 1024), text_encoder_lr=st.one_of(st.just(0.0), RATES),
    optimizer=st.sampled_from(["AdamW", "Lion", "a.b.C"]), lr_scheduler=st.sampled_from(["cosine", "constant"]),
    warmup_steps=st.integers(0, 1000), mixed_precision=st.sampled_from(["no", "fp16", "bf16"]),
    gradient_checkpointing=st.booleans(), clip_skip=st.integers(1, 12), seed=st.integers(1, 2**31 - 1),
    save_state=st.booleans(),
    extra=st.fixed_dictionaries(
        {},
        optional={
            "min_snr_gamma": st.floats(0, 20), "xformers": st.booleans(), "cache_latents": st.booleans(),
            "save_precision": st.sampled_from(["fp16", "float"]), "resolution": st.just("512,640"),
            "lr_warmup_steps": st.floats(0.01, 0.99), "network_args": st.just(["conv_dim=4"]),
            "shuffle_caption": st.booleans(), "max_bucket_reso": st.just(2048), "bucket_no_upscale": st.just(False),
        },
    ),
)  # fmt: skip


@given(chosen=PLANS, family=st.sampled_from(["sd1", "sd2", "sdxl", "flux", "sd3"]))
def test_a_plan_is_found_again_from_what_sd_scripts_was_given(chosen: TrainingPlan, family: str) -> None:
    written, dataset = _written(chosen, family)
    first = {**dataset["general"], **dataset["datasets"][0]}
    found, _, _ = from_values.to_plan(written, first, family=family)
    assert _written(found, family) == (written, dataset)
    assert found.batch_size == chosen.batch_size


def _written(chosen: TrainingPlan, family: str) -> tuple[dict[str, Any], dict[str, Any]]:
    found = words.values(chosen, family=family, output_name="x", accepted=TODAY)
    file = dataset_config.values([dataset_config.Subset(Path("x"))], batch_size=chosen.batch_size)
    return words.into_dataset_file(found, file, chosen.extra)


@pytest.mark.parametrize("written", [512, "512", "(512, 512)", [512, 512], "512,512", " 512 , 512 "])
def test_a_size_is_read_however_it_is_written(written: Any) -> None:
    assert words.sides(written) == [512, 512]


@pytest.mark.parametrize("written", ["", "wide", "1,2,3", None, True, "512x512", "5.5"])
def test_what_is_no_size_is_none(written: Any) -> None:
    assert words.sides(written) is None


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    folder = Workspace(ugly_path).dataset("v1") / "3_face"
    folder.mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("ai_model_v1, face", encoding="utf-8")
    return Workspace(ugly_path)


@pytest.fixture
def kohya(tmp_path: Path) -> KohyaInstall:
    """The sandbox's sd-scripts with a Python that has TensorBoard."""
    python = tmp_path / "venv" / "bin" / "python"
    (tmp_path / "venv" / "lib" / "python3.11" / "site-packages" / "tensorboard-2.19.0.dist-info").mkdir(parents=True)
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    (tmp_path / "venv" / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).parent}\n", encoding="utf-8")
    root = tmp_path / "sd-scripts"
    shutil.copytree(SANDBOX, root, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "networks" / "lora_flux.py").write_text("\ndef create_network():\n    ...\n", encoding="utf-8")
    return install.find(root, python=python)


def _safetensors(path: Path, *names: str) -> Path:
    places = {name: [32 * number, 32 * (number + 1)] for number, name in enumerate(names)}
    tensors = {name: {"dtype": "F16", "shape": [1, 16], "data_offsets": place} for name, place in places.items()}
    header = json.dumps(tensors).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(32 * len(names)))
    return path


def _planned(workspace: Workspace, kohya: KohyaInstall, **profile: Any) -> TrainingPlanned:
    base = workspace.root / "base.safetensors"
    if not base.is_file():
        _safetensors(base, "cond_stage_model.transformer.x")
    return plan(Profile.model_validate(profile), kohya, workspace, checkpoint=base)


def test_every_value_is_written_where_it_counts(workspace: Workspace, kohya: KohyaInstall) -> None:
    extra = {
        "resolution": "512,768",
        "enable_bucket": False,
        "keep_tokens": 1,
        "flip_aug": False,
        "caption_prefix": "x",
    }
    found = _planned(workspace, kohya, training={"batch_size": 3, "extra": extra})
    (dataset,) = found.dataset_values["datasets"]
    assert (dataset["resolution"], dataset["batch_size"], dataset["enable_bucket"]) == ([512, 768], 3, False)
    assert found.dataset_values["general"]["keep_tokens"] == 1
    # What the dataset file says already, and what it does not say, stays where it was.
    assert (found.values["flip_aug"], found.values["caption_prefix"]) == (False, "x")
    assert not {"resolution", "train_batch_size", "keep_tokens", "enable_bucket"} & set(found.values)
    assert dataset_config.check(found.dataset_values) == []
    config_file.write(found.config, found.values)
    toml_file.write(found.dataset_config, found.dataset_values)


REFUSED = [
    ({"train_batch_size": 2}, "training.extra.train_batch_size", "batch_size instead"),
    ({"resolution": "512,512"}, "training.extra.resolution", "[dataset] resolution = 512"),
    ({"resolution": "large"}, "training.extra.resolution", "is no size"),
    ({"caption_extension": ".caption"}, "training.extra.caption_extension", ".txt"),
    ({"optimizer_type": "AdamZ"}, "training.extra.optimizer_type", "AdamZ"),
]  # fmt: skip


@pytest.mark.parametrize(("extra", "place", "said"), REFUSED)
def test_what_would_do_nothing_is_refused(
    workspace: Workspace, kohya: KohyaInstall, extra: dict[str, Any], place: str, said: str
) -> None:
    with pytest.raises(ProfileError) as caught:
        _planned(workspace, kohya, training={"extra": extra})
    (problem,) = caught.value.problems
    assert place in problem and said in problem


def test_all_problems_are_found_at_once_with_their_lines(workspace: Workspace, kohya: KohyaInstall) -> None:
    workspace.profile.write_text(
        '[training]\nlr_scheduler = "cosin"\nepochs = 3\nsave_every = 9\n\n[training.extra]\nnetwork_dimm = 4\n',
        "utf-8",
    )
    missing = workspace.root / "gone.safetensors"
    found = draft(load_profile(workspace.profile), kohya, workspace, missing, inputs.Looked(None))
    assert found.planned is None
    places = [problem.place for problem in found.problems]
    assert places[0] == "base.path"
    assert set(places[1:]) == {
        "line 2: training.lr_scheduler", "line 4: training.save_every", "line 7: training.extra.network_dimm",
    }  # fmt: skip
    assert all(problem.fix for problem in found.problems if "save_every" not in problem.place)


def test_pictures_are_drawn_meanwhile(workspace: Workspace, kohya: KohyaInstall) -> None:
    prompts = ["{trigger}, close-up --w 768", "#1 fan, standing\nat home"]
    found = _planned(
        workspace, kohya,
        generation={"negative_prompt": "ugly", "cfg_scale": 7.5, "steps": 20, "width": 640},
        training={"seed": 9, "save_every": 4, "samples": {"prompts": prompts}},
    )  # fmt: skip
    assert found.values["sample_prompts"] == str(found.folder / "samples.txt")
    assert (found.values["sample_every_n_epochs"], found.values["sample_sampler"]) == (4, "euler_a")
    written = samples.write(found.folder, found.samples)
    assert written is not None and samples.read(found.folder) == found.samples
    assert written.read_text(encoding="utf-8").splitlines() == [
        "ai_model_v1, close-up --w 768 --h 512 --s 20 --d 9 --l 7.5 --n ugly",
        " #1 fan, standing at home --w 640 --h 512 --s 20 --d 9 --l 7.5 --n ugly",
    ]
    assert samples.write(found.folder, ()) is None


def test_drawn_pictures_are_found_by_epoch_and_prompt(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    folder.mkdir()
    for name in (
        "m_v1_e000002_00_20261122131546_1.png", "m_v1_e000002_00_20261122141546_1.png",
        "m_v1_e000001_01_20261122131500.png", "m_v1_000040_00_20261122131546_1.png", "notes.png",
    ):  # fmt: skip
        (folder / name).write_bytes(b"")
    found = [(s.epoch, s.prompt, s.seed, s.file.name.removeprefix("m_v1_")) for s in samples.drawn(tmp_path)]
    assert found == [(1, 1, None, "e000001_01_20261122131500.png"), (2, 0, 1, "e000002_00_20261122141546_1.png")]


BAD_SAMPLES = [
    ({"prompts": ["  "]}, "says nothing to draw"),
    ({"prompts": ["a --width 5"]}, "--width means nothing"),
    ({"prompts": ["a <lora:x:1>"]}, "sd-scripts reads as words"),
    ({"prompts": ["a"], "sampler": "DPM++ 2M"}, "training.samples.sampler"),
]


@pytest.mark.parametrize(("given_samples", "said"), BAD_SAMPLES)
def test_prompts_sd_scripts_would_misread_are_refused(
    workspace: Workspace, kohya: KohyaInstall, given_samples: dict[str, Any], said: str
) -> None:
    with pytest.raises(ProfileError, match=said.replace("+", r"\+")):
        _planned(workspace, kohya, training={"samples": given_samples})


def test_tensorboard_is_written_only_where_it_can_be(workspace: Workspace, kohya: KohyaInstall) -> None:
    found = _planned(workspace, kohya)
    assert found.values["logging_dir"] == str(found.folder / "tensorboard")
    assert found.packages["tensorboard"] == "2.19.0"
    assert "logging_dir" not in _planned(workspace, kohya, training={"tensorboard": False}).values
    bare = install.find(SANDBOX, python=sys.executable)
    if "tensorboard" not in _planned(workspace, bare).packages:
        assert "logging_dir" not in _planned(workspace, bare).values


def test_flux_is_planned_with_its_text_encoders(workspace: Workspace, kohya: KohyaInstall) -> None:
    _safetensors(workspace.root / "base.safetensors", "double_blocks.0.img_attn.qkv.weight")
    with pytest.raises(ProfileError) as caught:
        _planned(workspace, kohya)
    assert [p.split(":")[0] for p in caught.value.problems] == ["base.clip_l", "base.t5xxl", "base.ae"]
    parts = {
        "clip_l": ["text_model.encoder.layers.0.mlp.fc1.weight"],
        "t5xxl": ["encoder.block.0.layer.0.SelfAttention.k.weight"],
        "ae": ["decoder.up.0.block.0.conv1.weight", "decoder.conv_in.weight"],
    }
    base = {name: str(_safetensors(workspace.root / f"{name}.safetensors", *parts[name])) for name in parts}
    found = _planned(workspace, kohya, base=base, training={"text_encoder_lr": 0})
    assert found.base.script == "flux_train_network.py"
    assert {name: found.values[name] for name in base} == base
    assert found.values["network_module"] == "networks.lora_flux"
    assert (found.values["timestep_sampling"], found.values["cache_text_encoder_outputs"]) == ("flux_shift", True)
    # Another text encoder makes another training.
    _safetensors(workspace.root / "t5xxl.safetensors", *parts["t5xxl"], "another")
    assert _planned(workspace, kohya, base=base, training={"text_encoder_lr": 0}).fingerprint != found.fingerprint


def test_several_cards_make_another_training(workspace: Workspace, kohya: KohyaInstall) -> None:
    alone = _planned(workspace, kohya)
    assert _planned(workspace, kohya, training={"launch": {"gpus": [1]}}).fingerprint == alone.fingerprint
    assert _planned(workspace, kohya, training={"launch": {"gpus": [0, 1]}}).fingerprint != alone.fingerprint


def test_a_run_is_planned_again_from_its_own_record(workspace: Workspace, kohya: KohyaInstall) -> None:
    asked = _planned(workspace, kohya, training={"samples": {"prompts": ["a"]}, "extra": {"min_snr_gamma": 5}})
    samples.write(asked.folder, asked.samples)
    attempt = Attempt(
        command=(str(kohya.python), "train_network.py"),
        environment={},
        log="console-1.log",
        resumed_from=0,
        started_at=0,
    )
    record = begin(asked).changed(attempts=(attempt,))
    found = from_record(record, asked.folder)
    same = (
        "name",
        "folder",
        "values",
        "dataset_values",
        "fingerprint",
        "epochs",
        "can_resume",
        "bytes_needed",
        "samples",
    )
    assert {name: getattr(found, name) for name in same} == {name: getattr(asked, name) for name in same}
    assert found.dataset.sha256 == asked.dataset.sha256
    (workspace.dataset("v1") / "3_face" / "0.txt").write_text("other words", encoding="utf-8")
    _safetensors(workspace.root / "base.safetensors", "cond_stage_model.transformer.x", "y")
    with pytest.raises(TrainingRefused) as caught:
        from_record(record, asked.folder)
    assert [problem.place for problem in caught.value.problems] == [record.dataset["folder"], record.base["path"]]


def test_a_record_that_was_edited_says_what_it_lacks(workspace: Workspace, kohya: KohyaInstall) -> None:
    asked = _planned(workspace, kohya)
    record = begin(asked).changed(dataset={"folder": "x"}, values={"output_name": "m_v1"})
    with pytest.raises(TrainingRefused) as caught:
        from_record(record, asked.folder, python=kohya.python)
    assert [problem.what for problem in caught.value.problems] == [
        "does not say dataset.sha256", "does not say values.network_dim",
    ]  # fmt: skip


def test_the_record_names_the_base_checkpoint_from_anywhere(
    workspace: Workspace, kohya: KohyaInstall, monkeypatch: pytest.MonkeyPatch
) -> None:
    _safetensors(workspace.root / "base.safetensors", "cond_stage_model.transformer.x")
    monkeypatch.chdir(workspace.root)
    profile = Profile.model_validate({"dataset": {"resolution": 64}})
    found = plan(profile, kohya, workspace, checkpoint=Path("base.safetensors"))
    assert begin(found).base["path"] == str(workspace.root / "base.safetensors")


BUCKETS = [
    ({"bucket_reso_steps": 32}, "training.extra.bucket_reso_steps"),
    ({"min_bucket_reso": 576}, "training.extra.min_bucket_reso"),
    ({"max_bucket_reso": 448}, "training.extra.max_bucket_reso"),
]


@pytest.mark.parametrize(("extra", "place"), BUCKETS)
def test_buckets_sd_scripts_would_stop_at_are_refused(
    workspace: Workspace, kohya: KohyaInstall, extra: dict[str, Any], place: str
) -> None:
    with pytest.raises(ProfileError) as caught:
        _planned(workspace, kohya, dataset={"resolution": 512}, training={"extra": extra})
    (problem,) = caught.value.problems
    assert place in problem


def test_buckets_are_compared_as_sd_scripts_rounds_them(workspace: Workspace, kohya: KohyaInstall) -> None:
    extra = {"min_bucket_reso": 575, "max_bucket_reso": 449}
    found = _planned(workspace, kohya, dataset={"resolution": 512}, training={"extra": extra})
    assert found.dataset_values["datasets"][0]["min_bucket_reso"] == 575
    _planned(workspace, kohya, training={"extra": {"enable_bucket": False, "bucket_reso_steps": 32}})


def test_a_share_is_written_as_sd_scripts_takes_it() -> None:
    """Its check of the configuration refuses 0 where it wants 0.0 (config_util.py of 48d368fa)."""
    found = words.values(TrainingPlan(extra={"validation_split": 0}), family="sd1", output_name="x", accepted=TODAY)
    assert isinstance(found["validation_split"], float)


def test_what_is_given_by_sd_scripts_names_counts_in_the_record_too(workspace: Workspace, kohya: KohyaInstall) -> None:
    plain = _planned(workspace, kohya)
    found = _planned(workspace, kohya, training={"extra": {"seed": 7, "network_dim": 64, "save_state": False}})
    assert begin(found).seed == found.values["seed"] == 7
    assert found.bytes_needed == 2 * _planned(workspace, kohya, training={"save_state": False}).bytes_needed
    assert plain.can_resume and not found.can_resume


def test_files_that_are_not_there_are_found_before_the_model_is_loaded(
    workspace: Workspace, kohya: KohyaInstall
) -> None:
    there = _safetensors(workspace.root / "there.safetensors", "x")
    extra = {"vae": "D:/vae.pt", "network_weights": str(there), "base_weights": [str(there), "gone.safetensors"]}
    with pytest.raises(ProfileError) as caught:
        _planned(workspace, kohya, training={"extra": extra})
    vae, weights = caught.value.problems
    assert "training.extra.vae: there is no file D:/vae.pt" in vae
    assert "training.extra.base_weights: there is no file gone.safetensors" in weights


def test_the_option_is_named_where_it_names_the_checkpoint(workspace: Workspace, kohya: KohyaInstall) -> None:
    workspace.profile.write_text('[base]\npath = "mine.safetensors"\n', encoding="utf-8")
    profile = load_profile(workspace.profile)
    for checkpoint, place in (("mine.safetensors", "line 2: base.path"), ("other.safetensors", "--checkpoint")):
        found = draft(profile, kohya, workspace, Path(checkpoint), inputs.Looked(None))
        assert [problem.place for problem in found.problems] == [place]
