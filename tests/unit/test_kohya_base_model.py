"""What a base checkpoint is, told from its header alone; what else sd-scripts needs to train it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.errors import InputError, TrainingRefused
from orchestrator.kohya import base_model
from orchestrator.kohya.install import SCRIPTS

Shape = tuple[int, ...]
SD1 = ("cond_stage_model.transformer.text_model.x",)
FLUX = ("double_blocks.0.img_attn.proj.bias", "single_blocks.0.modulation.lin.bias", "guidance_in.in_layer.bias")
FLUX_DIFFUSERS = ("transformer_blocks.0.attn.add_k_proj.bias",)
SD3 = ("model.diffusion_model.joint_blocks.0.x", "first_stage_model.decoder.conv_in.weight")
CLIP_L = "text_model.encoder.layers.0.mlp.fc1.weight"
CLIP_G = "text_model.encoder.layers.31.mlp.fc1.weight"
T5 = "encoder.block.0.layer.0.SelfAttention.k.weight"
AE = "decoder.up.0.block.0.conv1.weight"


def tensors(path: Path, *names: str, shapes: dict[str, Shape] | None = None, cut: int = 0) -> Path:
    """A whole `.safetensors` file with these tensors, `cut` bytes shorter."""
    header: dict[str, object] = {}
    end = 0
    for name in names:
        shape = (shapes or {}).get(name, (1,))
        size = 2
        for side in shape:
            size *= side
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes((len(text).to_bytes(8, "little") + text + bytes(end))[: 8 + len(text) + end - cut])
    return path


def parts(folder: Path) -> dict[str, Path]:
    return {
        "clip_l": tensors(folder / "clip_l.safetensors", CLIP_L),
        "clip_g": tensors(folder / "clip_g.safetensors", CLIP_L, CLIP_G),
        "t5xxl": tensors(folder / "t5xxl.safetensors", T5),
        "ae": tensors(
            folder / "ae.safetensors", AE, "decoder.conv_in.weight", shapes={"decoder.conv_in.weight": (512, 16, 3, 3)}
        ),
    }


FAMILIES: list[tuple[tuple[str, ...], str, str, str, set[str]]] = [
    (SD1, "sd1", "train_network.py", "networks.lora", set()),
    (("model.diffusion_model.input_blocks.0.0.weight",), "sd1", "train_network.py", "networks.lora", set()),
    (("cond_stage_model.model.x",), "sd2", "train_network.py", "networks.lora", set()),
    (("conditioner.embedders.1.x",), "sdxl", "sdxl_train_network.py", "networks.lora", set()),
    (FLUX, "flux", "flux_train_network.py", "networks.lora_flux", {"clip_l", "t5xxl", "ae"}),
    (FLUX_DIFFUSERS, "flux", "flux_train_network.py", "networks.lora_flux", {"clip_l", "t5xxl", "ae"}),
    (SD3, "sd3", "sd3_train_network.py", "networks.lora_sd3", {"clip_l", "clip_g", "t5xxl"}),
]


@pytest.mark.parametrize(("names", "family", "script", "module", "components"), FAMILIES)
def test_the_family_decides_script_network_and_further_files(
    ugly_path: Path, names: tuple[str, ...], family: str, script: str, module: str, components: set[str]
) -> None:
    found = base_model.identify(tensors(ugly_path / "base.safetensors", *names), parts(ugly_path))
    assert (found.family, found.script, found.network_module) == (family, script, module)
    assert found.components.keys() == components
    assert found.script in SCRIPTS


def test_flux_and_sd3_name_every_file_they_lack_at_once(tmp_path: Path) -> None:
    for names, places in (
        (FLUX, ["base.clip_l", "base.t5xxl", "base.ae"]),
        (SD3, ["base.clip_l", "base.clip_g", "base.t5xxl"]),
    ):
        with pytest.raises(TrainingRefused) as caught:
            base_model.identify(tensors(tmp_path / "base.safetensors", *names), {"clip_l": "", "t5xxl": ""})
        assert [problem.place for problem in caught.value.problems] == places
        assert all("download" in problem.fix for problem in caught.value.problems)


def test_what_lies_inside_an_sd3_checkpoint_need_not_be_named(tmp_path: Path) -> None:
    inside = (f"text_encoders.clip_l.transformer.{CLIP_L}", f"text_encoders.clip_g.transformer.{CLIP_L}")
    base = tensors(tmp_path / "base.safetensors", *SD3, *inside)
    found = base_model.identify(base, {"t5xxl": parts(tmp_path)["t5xxl"]})
    assert found.components.keys() == {"t5xxl"}


def test_files_under_the_wrong_name_are_told_apart(tmp_path: Path) -> None:
    right = parts(tmp_path)
    base = tensors(tmp_path / "base.safetensors", *FLUX)
    old_vae = tensors(
        tmp_path / "vae.safetensors", AE, "decoder.conv_in.weight", shapes={"decoder.conv_in.weight": (512, 4, 3, 3)}
    )
    with pytest.raises(TrainingRefused) as caught:
        base_model.identify(base, {"clip_l": right["clip_g"], "t5xxl": right["clip_l"], "ae": old_vae})
    clip, t5, ae = caught.value.problems
    assert "looks like the second text encoder (CLIP-G)" in clip.what
    assert "looks like the first text encoder (CLIP-L)" in t5.what
    assert "is not the autoencoder" in ae.what and "looks like" not in ae.what


def test_missing_and_damaged_components(tmp_path: Path) -> None:
    right = parts(tmp_path)
    base = tensors(tmp_path / "base.safetensors", *FLUX)
    cut = tensors(tmp_path / "cut.safetensors", T5, cut=1)
    (tmp_path / "text.safetensors").write_text("<html>", encoding="utf-8")
    given = {"clip_l": tmp_path / "gone.safetensors", "t5xxl": cut, "ae": tmp_path / "text.safetensors"}
    with pytest.raises(TrainingRefused) as caught:
        base_model.identify(base, given)
    assert [p.place for p in caught.value.problems] == ["base.clip_l", "base.t5xxl", "base.ae"]
    assert [w in p.what for w, p in zip(("no file", "shorter", "no usable"), caught.value.problems, strict=True)] == [
        True,
        True,
        True,
    ]
    base_model.identify(base, right)


NO_CHECKPOINT: list[tuple[tuple[str, ...], str]] = [
    (("lora_unet_down_blocks_0.lora_up.weight",), "is a LoRA file"),
    (("transformer.single_transformer_blocks.0.lora_A.weight",), "is a LoRA file"),
    ((AE, "decoder.conv_in.weight"), "is a VAE"),
    (("emb_params",), "holds no model"),
    (("down_blocks.0.resnets.0.conv1.weight",), "holds no model"),
    ((*FLUX, "double_blocks.0.img_attn.proj.weight.quant_state.bitsandbytes__nf4"), "4-bit"),
    ((*FLUX, "distilled_guidance_layer.in_proj.weight"), "Chroma"),
    ((*FLUX, "byt5_in.fc1.weight"), "HunyuanImage"),
    (("cap_embedder.0.weight",), "Lumina"),
    (("joint_blocks.0.x",), "layout"),
    (("model.diffusion_model.joint_blocks.0.x",), "without its VAE"),
]


@pytest.mark.parametrize(("names", "words"), NO_CHECKPOINT)
def test_what_cannot_be_trained_on_is_called_what_it_is(tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        base_model.identify(tensors(tmp_path / "x.safetensors", *names), parts(tmp_path))
    assert caught.value.fix


def test_a_flux_for_filling_is_none_to_train_on(tmp_path: Path) -> None:
    for channels, refused in ((64, False), (384, True)):
        base = tensors(tmp_path / "x.safetensors", *FLUX, "img_in.weight", shapes={"img_in.weight": (3072, channels)})
        if refused:
            with pytest.raises(InputError, match="filling"):
                base_model.identify(base, parts(tmp_path))
        else:
            assert base_model.identify(base, parts(tmp_path)).family == "flux"


@pytest.mark.parametrize("name", ["flux1-dev-Q4.gguf", "x.zip", "x"])
def test_endings_sd_scripts_cannot_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(InputError, match="cannot read"):
        base_model.identify(tmp_path / name)


def test_sft_is_read_for_flux_alone(tmp_path: Path) -> None:
    assert base_model.identify(tensors(tmp_path / "x.sft", *FLUX), parts(tmp_path)).family == "flux"
    with pytest.raises(InputError, match="pickle"):
        base_model.identify(tensors(tmp_path / "x.sft", *SD1))


def test_an_id_of_the_hub_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="Hugging Face") as caught:
        base_model.identify(Path("runwayml/stable-diffusion-v1-5"))
    assert "Download" in caught.value.fix
    for other in ("models/base.safetensors", "/a/b", "./base", "~/base", "base", "a/b/c"):
        assert not base_model.looks_like_hub_id(other), other
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "model").mkdir()
    assert not base_model.looks_like_hub_id("my/model")


def _diffusers(folder: Path, pipeline: str, *files: str, hidden_size: int = 768) -> Path:
    for file in (*files, "text_encoder/config.json"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(json.dumps({"hidden_size": hidden_size}), encoding="utf-8")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}), encoding="utf-8")
    return folder


def test_folders_in_the_diffusers_layout(tmp_path: Path) -> None:
    transformer = [f"transformer/diffusion_pytorch_model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    given = parts(tmp_path)
    for pipeline, files, size, family in (
        ("StableDiffusionPipeline", [], 768, "sd1"),
        ("StableDiffusionPipeline", [], 1024, "sd2"),
        ("StableDiffusionXLPipeline", [], 768, "sdxl"),
        ("FluxPipeline", transformer, 768, "flux"),
    ):
        folder = _diffusers(tmp_path / f"{pipeline}{size}", pipeline, *files, hidden_size=size)
        assert base_model.identify(folder, given).family == family
    for name, files, words in (
        ("FluxPipeline", transformer[:2], "lacks files"),
        ("StableDiffusion3Pipeline", [], "one file only"),
        ("PixArtAlphaPipeline", [], "not trained so far"),
    ):
        with pytest.raises(InputError, match=words):
            base_model.identify(_diffusers(tmp_path / f"bad {name}", name, *files), given)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model_index.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read"):
        base_model.identify(tmp_path / "broken")
