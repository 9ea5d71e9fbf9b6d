"""The forks as a client meets them."""

from __future__ import annotations

import base64
import io
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from orchestrator.sandbox import server
from orchestrator.sandbox.a1111.settings import Settings
from orchestrator.sandbox.home import make_home

LORA = "<lora:ai_model_v2-000040:0.8>"
SMALL: dict[str, Any] = {"prompt": "photo of ai_model_v2", "width": 64, "height": 64, "steps": 2, "seed": 7}
NAMES = ("a1111", "forge", "reforge", "classic")
NOTHING = [0, "", []]


class Client:
    """What a test says to one server."""

    def __init__(self, running: server.RunningServer) -> None:
        self.url, self.home = running.url, running.home
        self.http = httpx.Client(base_url=running.url, timeout=30)

    def get(self, path: str) -> httpx.Response:
        return self.http.get(f"/sdapi/v1/{path}")

    def post(self, path: str, body: Any = None) -> httpx.Response:
        try:
            return self.http.post(f"/sdapi/v1/{path}", json=body)
        except httpx.RemoteProtocolError:  # the connection kept from an error before it
            return self.http.post(f"/sdapi/v1/{path}", json=body)

    def paint(self, kind: str = "txt2img", **changes: Any) -> tuple[list[Image.Image], dict[str, Any]]:
        answer = self.post(kind, {**SMALL, **changes})
        assert answer.status_code == 200, answer.text
        images = [Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB") for one in answer.json()["images"]]
        return images, json.loads(answer.json()["info"])


Start = Callable[[str], Client]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    running: dict[str, tuple[server.RunningServer, Client]] = {}

    def begin(dialect: str) -> Client:
        if dialect not in running:
            home = make_home(tmp_path_factory.mktemp(dialect))
            one = server.start(home, settings=Settings(dialect=dialect))  # type: ignore[arg-type]
            running[dialect] = one, Client(one)
        return running[dialect][1]

    yield begin
    for one, client in running.values():
        client.http.close()
        one.stop()


def _plot(number: int, values: str, more: int = 0) -> list[Any]:
    return [number, values, [], *NOTHING, *NOTHING, False, *[0] * more, True, *[False] * 5, 0, False]


def test_each_can_be_told_from_the_others_without_drawing(start: Start) -> None:
    routes = ("sd-modules", "sd-vae", "schedulers", "realesrgan-models", "hypernetworks")
    found = {name: tuple(start(name).get(route).status_code for route in routes) for name in NAMES}
    assert found == {
        "a1111": (404, 200, 200, 200, 200),
        "forge": (200, 404, 200, 200, 200),
        "reforge": (404, 200, 200, 200, 200),
        "classic": (404, 200, 404, 404, 404),
    }
    options = {name: start(name).get("options").json() for name in NAMES}
    assert {name: len(found) for name, found in options.items()} == {
        "a1111": 329,
        "forge": 331,
        "reforge": 537,
        "classic": 329,
    }
    assert ["forge_preset" in options[name] for name in NAMES] == [False, True, False, False]
    assert ["reforge_karras_rho" in options[name] for name in NAMES] == [False, False, True, False]
    assert ["enable_prompt_comments" in options[name] for name in NAMES] == [True, True, False, True]
    assert [len(start(name).get("samplers").json()) for name in NAMES] == [20, 25, 76, 31]
    assert [len(start(name).get("schedulers").json()) for name in NAMES[:3]] == [12, 16, 25]
    assert ["x-process-time" in start(name).get("samplers").headers for name in NAMES] == [True, False, True, True]
    assert [start(name).http.get("/controlnet/model_list").status_code for name in NAMES] == [200] * 4
    assert any(name.endswith("for reforge") for name in start("reforge").get("scripts").json()["txt2img"])
    assert any(name.endswith("integrated") for name in start("forge").get("scripts").json()["txt2img"])


def test_each_names_its_version_and_draws_its_own_pixels(start: Start) -> None:
    painted = {name: start(name).paint() for name in NAMES}
    versions = [info["version"] for _, info in painted.values()]
    assert versions == [
        "v1.10.1",
        "f2.0.1v1.10.1-previous-669-gdfdcbab6",
        "f1.0.0v2-v1.10.1RC-latest-2510-g3b56b268",
        "classic",
    ]
    assert all(info["infotexts"][0].endswith(f"Version: {info['version']}") for _, info in painted.values())
    assert ["Schedule type" in info["infotexts"][0] for _, info in painted.values()] == [True, True, True, False]
    assert len({images[0].tobytes() for images, _ in painted.values()}) == 4


def test_classic_refuses_samplers_it_does_not_list_and_knows_the_old_names(start: Start) -> None:
    classic = start("classic")
    refused = classic.post("txt2img", {**SMALL, "sampler_name": "nope"})
    assert refused.status_code == 404 and refused.json()["detail"] == "Sampler not found"
    karras, info = classic.paint(sampler_name="DPM++ 2M Karras", scheduler="Exponential")
    plain, _ = classic.paint(sampler_name="DPM++ 2M")
    assert "Sampler: DPM++ 2M Karras, CFG" in info["infotexts"][0] and karras[0].tobytes() != plain[0].tobytes()


def test_errors_have_each_programs_shape(start: Start) -> None:
    for name in NAMES:
        client = start(name)
        failed = client.post("txt2img", {**SMALL, "override_settings": {"no_such": 1}})
        worded = client.post("img2img", SMALL)
        bad = client.post("txt2img", {"width": "abc"})
        assert (failed.status_code, worded.status_code, bad.status_code) == (500, 404, 422)
        if name == "forge":
            assert set(failed.json()) == {"error", "detail", "body", "message"}
            assert worded.json() == {"detail": "Init image not found"}
            assert bad.json()["detail"][0] == {
                "type": "int_parsing",
                "loc": ["body", "width"],
                "msg": "Input should be a valid integer, unable to parse string as an integer",
                "input": "abc",
                "url": "https://errors.pydantic.dev/2.8/v/int_parsing",
            }
        else:
            assert set(failed.json()) == {"error", "detail", "body", "errors"}
            assert worded.json()["error"] == "HTTPException"
            assert bad.json()["detail"][0]["type"] == "type_error.integer"


@pytest.mark.parametrize(("field", "value"), [("width", 64.7), ("prompt", 5), ("scheduler", 5)])
def test_only_forge_refuses_what_has_another_type(start: Start, field: str, value: Any) -> None:
    body = {**SMALL, field: value}
    assert [start(name).post("txt2img", body).status_code for name in ("a1111", "forge", "reforge")] == [200, 422, 200]
    for sloppy in ({"width": "64"}, {"seed": "7"}, {"send_images": "no"}, {"steps": 1.0}):
        assert start("forge").post("txt2img", {**SMALL, **sloppy}).status_code == 200


def test_only_forge_closes_the_connection_after_an_error_and_does_not_say_so(start: Start) -> None:
    for name, end in (("a1111", None), ("forge", b"")):
        host, port = start(name).url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=1) as sock:
            body = json.dumps({**SMALL, "steps": 0}).encode()
            sock.sendall(
                b"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                + f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            received = b""
            while b"}" not in received:
                received += sock.recv(65536)
            assert b" 500 " in received and b"connection: close" not in received.lower()
            sock.settimeout(0.5)
            try:
                after: bytes | None = sock.recv(1)
            except TimeoutError:
                after = None
            assert after == end


def test_one_missing_lora_drops_all_on_the_forks(start: Start) -> None:
    hashes = [
        start(name).paint(prompt=f"x {LORA} <lora:nobody:1>")[1]["extra_generation_params"].get("Lora hashes")
        for name in NAMES
    ]
    assert hashes[0] and hashes[1:] == [None] * 3


def test_nans_are_an_error_on_a1111_and_black_on_the_forks(start: Start) -> None:
    for name in NAMES:
        client = start(name)
        folder = client.home / "models" / "Lora"
        tensors = load_file(folder / "ai_model_v2-000040.safetensors")
        key = next(name for name in tensors if name.endswith("lora_up.weight"))
        save_file({**tensors, key: np.full_like(tensors[key], np.nan)}, folder / "exploded.safetensors")
        answer = client.post("txt2img", {**SMALL, "prompt": "x <lora:exploded:1>"})
        if name == "a1111":
            assert (answer.status_code, answer.json()["error"]) == (500, "NansException")
        else:
            image = Image.open(io.BytesIO(base64.b64decode(answer.json()["images"][0])))
            assert image.convert("RGB").getextrema() == ((0, 0),) * 3
            assert "exploded: " in json.loads(answer.json()["info"])["extra_generation_params"]["Lora hashes"]


def test_forge_hides_lora_options_and_takes_them(start: Start) -> None:
    forge = start("forge")
    assert "lora_add_hashes_to_infotext" not in forge.get("options").json()
    assert forge.post("options", {"lora_add_hashes_to_infotext": False}).status_code == 200
    assert "Lora hashes" not in forge.paint(prompt=LORA)[1]["extra_generation_params"]
    forge.post("options", {"lora_add_hashes_to_infotext": True})
    assert forge.post("options", {"hypertile_enable_unet": True}).status_code == 500


def test_forge_writes_low_bits_after_the_version(start: Start) -> None:
    text = start("forge").paint(override_settings={"forge_unet_storage_dtype": "zzz"})[1]["infotexts"][0]
    assert text.endswith("gdfdcbab6, Diffusion in Low Bits: zzz")
    start("forge").post("options", {"forge_unet_storage_dtype": "Automatic"})


def test_forge_fails_on_its_own_flags(start: Start) -> None:
    failed = start("forge").get("cmd-flags")
    assert (failed.status_code, failed.json()["error"]) == (500, "ResponseValidationError")
    assert "api_auth" in failed.json()["message"]


def test_forge_loads_a_checkpoint_only_for_the_next_picture(start: Start) -> None:
    for name, loaded_by_post in (("a1111", True), ("forge", False), ("reforge", True)):
        client = start(name)
        client.post("options", {"sd_model_checkpoint": "sandbox-other"})
        hashes = {one["model_name"]: one["hash"] for one in client.get("sd-models").json()}
        assert (hashes["sandbox-other"] is not None) is loaded_by_post
        assert client.paint()[1]["sd_model_name"] == "sandbox-other"
        client.post("options", {"sd_model_checkpoint": "sandbox-v1-5"})


def test_a_hires_pass_has_a_cfg_of_its_own_on_the_forks(start: Start) -> None:
    hires = {"enable_hr": True, "hr_scale": 2, "denoising_strength": 0.5, "cfg_scale": 7}
    for name, differs in (("a1111", False), ("forge", True), ("reforge", True)):
        one, other = start(name).paint(**hires)[0], start(name).paint(**hires, hr_cfg=7.0)[0]
        assert one[0].size == (128, 128) and (one[0].tobytes() != other[0].tobytes()) is differs
    zero, same = (start("reforge").paint(**hires, hr_cfg=cfg)[0][0].tobytes() for cfg in (0, 7))
    assert zero == same


def test_vaes_go_by_name_or_on_forge_by_path(start: Start) -> None:
    listed = start("a1111").get("sd-vae").json()
    assert [one["model_name"] for one in listed] == ["sandbox-cool.safetensors", "sandbox-warm.safetensors"]
    for name in ("a1111", "reforge"):
        plain, about = start(name).paint(override_settings={"sd_vae": "Automatic"})
        other, info = start(name).paint(override_settings={"sd_vae": "sandbox-warm.safetensors"})
        assert plain[0].tobytes() != other[0].tobytes()
        assert info["sd_vae_name"] == "sandbox-warm.safetensors" and len(info["sd_vae_hash"]) == 10
        assert f"VAE hash: {info['sd_vae_hash']}, VAE: sandbox-warm.safetensors" in info["infotexts"][0]
        assert about["sd_vae_name"] is None
        start(name).post("options", {"sd_vae": "Automatic"})
        assert start(name).paint(override_settings={"sd_vae": "nope"})[1]["sd_vae_name"] is None
    forge = start("forge")
    plain, _ = forge.paint()
    ignored, _ = forge.paint(override_settings={"sd_vae": "sandbox-warm.safetensors"})
    path = forge.get("sd-modules").json()[0]["filename"]
    used, info = forge.paint(override_settings={"forge_additional_modules": ["/nowhere", path]})
    assert plain[0].tobytes() == ignored[0].tobytes() != used[0].tobytes()
    assert "Module 1: sandbox-cool" in info["infotexts"][0]
    forge.post("options", {"forge_additional_modules": []})


def test_an_override_stays_unless_the_option_was_set_before(start: Start) -> None:
    for name in NAMES:
        client = start(name)
        client.post("options", {"eta_noise_seed_delta": 0})
        client.paint(override_settings={"eta_noise_seed_delta": 31337, "CLIP_stop_at_last_layers": 2})
        options = client.get("options").json()
        assert (options["eta_noise_seed_delta"], options["CLIP_stop_at_last_layers"]) == (0, 2)
        assert "Clip skip: 2" in client.paint()[1]["infotexts"][0]
        client.post("options", {"CLIP_stop_at_last_layers": 1})
        client.paint(override_settings={"CLIP_stop_at_last_layers": 2})
        assert client.get("options").json()["CLIP_stop_at_last_layers"] == 1


def test_on_reforge_an_overridden_checkpoint_stays_in_a_fresh_config(tmp_path: Path) -> None:
    for name, after in (("a1111", "sandbox-v1-5"), ("forge", "sandbox-v1-5"), ("reforge", "sandbox-other")):
        with server.start(make_home(tmp_path / name), settings=Settings(dialect=name)) as running:  # type: ignore[arg-type]
            client = Client(running)
            assert (client.get("options").json()["sd_model_checkpoint"] is None) is (name == "reforge")
            assert client.paint()[1]["sd_model_name"] == "sandbox-v1-5"
            client.paint(override_settings={"sd_model_checkpoint": "sandbox-other"})
            assert client.paint()[1]["sd_model_name"] == after
            client.http.close()


def test_reforge_leaves_a_line_where_a_comment_stood(start: Start) -> None:
    prompts = [start(name).paint(prompt="# note\na cat")[1]["prompt"] for name in ("a1111", "forge", "reforge")]
    assert prompts == ["# note\na cat"] * 3
    used = [start(name).paint(prompt="# note\na cat")[1]["all_prompts"][0] for name in ("a1111", "forge", "reforge")]
    assert used == ["a cat", "a cat", "\na cat"]


def test_img2img_depends_on_the_job_before_except_on_reforge(start: Start) -> None:
    for name, depends in (("a1111", True), ("forge", True), ("reforge", False)):
        client = start(name)
        out = io.BytesIO()
        client.paint()[0][0].save(out, "PNG")
        body = {"init_images": [base64.b64encode(out.getvalue()).decode()], "denoising_strength": 0.5}
        drawn = []
        for before in (1234, 999):
            client.paint(seed=before)
            drawn.append(client.paint("img2img", **body)[0][0].tobytes())
        assert (drawn[0] != drawn[1]) is depends


def test_plots_take_21_arguments_on_reforge_and_other_axis_numbers_on_the_forks(start: Start) -> None:
    plot = {"prompt": "a cat", "script_name": "x/y/z plot"}
    for name, number, more in (("a1111", 7, 0), ("forge", 8, 0), ("reforge", 7, 3), ("classic", 7, 0)):
        entry = next(one for one in start(name).get("script-info").json() if one["name"] == "x/y/z plot")
        assert len(entry["args"]) == 18 + more
        assert entry["args"][0]["choices"].index("Prompt S/R") == number
        images, info = start(name).paint(**plot, script_args=_plot(number, "cat,dog", more))
        assert len(images) == 3 and info["all_prompts"] == ["a cat", "a dog"]
    short = start("reforge").post("txt2img", {**SMALL, **plot, "script_args": _plot(7, "cat,dog")})
    assert (short.status_code, short.json()["error"]) == (500, "TypeError")


def test_only_forge_sends_a_challenge(tmp_path: Path) -> None:
    for name in ("forge", "reforge"):
        settings = Settings(dialect=name, api_auth="me:secret")  # type: ignore[arg-type]
        with server.start(make_home(tmp_path / name), settings=settings) as running:
            denied = httpx.get(f"{running.url}/sdapi/v1/options")
            assert denied.status_code == 401
            assert denied.headers.get("www-authenticate") == ("Basic" if name == "forge" else None)
            assert httpx.get(f"{running.url}/controlnet/model_list").status_code == 200


def test_extensions_pass_their_arguments_through(start: Start) -> None:
    for name in ("a1111", "forge"):
        client = start(name)
        assert {"adetailer", "controlnet"} <= set(client.get("scripts").json()["txt2img"])
        plain, _ = client.paint()
        out = io.BytesIO()
        plain[0].save(out, "PNG")
        coded = base64.b64encode(out.getvalue()).decode()
        detail = {"ADetailer": {"args": [True, False, {"ad_model": "face_yolov8n.pt", "ad_confidence": 0.5}]}}
        detailed, info = client.paint(alwayson_scripts=detail)
        assert "ADetailer model: face_yolov8n.pt, ADetailer confidence: 0.5" in info["infotexts"][0]
        assert detailed[0].tobytes() != plain[0].tobytes()
        unit = {"image": coded, "module": "canny", "model": "control_v11p_sd15_canny [d14c016b]"}
        images, info = client.paint(batch_size=2, alwayson_scripts={"ControlNet": {"args": [unit]}})
        assert (len(images), len(info["all_seeds"]), len(info["infotexts"])) == (3, 2, 2)
        assert 'ControlNet 0: "Module: canny' in info["infotexts"][0]
        maps = client.http.post("/controlnet/detect", json={"controlnet_input_images": [coded]}).json()["images"]
        assert len(maps) == 1


def test_embeddings_are_listed_and_named_in_the_text(start: Start) -> None:
    client = start("a1111")
    assert list(client.get("embeddings").json()["loaded"]) == ["sandbox-negative"]
    _, info = client.paint(negative_prompt="bad, sandbox-negative")
    assert info["extra_generation_params"]["TI hashes"].startswith("sandbox-negative: ")


def test_a_server_dies_when_a_lora_shrinks_under_it(tmp_path: Path) -> None:
    settings = Settings(dialect="forge")
    with server.start(make_home(tmp_path / "home"), settings=settings) as running:
        client = Client(running)
        client.paint(prompt=LORA)
        path = running.home / "models" / "Lora" / "ai_model_v2-000040.safetensors"
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(httpx.TransportError):
            client.http.post("/sdapi/v1/txt2img", json={**SMALL, "prompt": f"other {LORA}".replace("0.8", "0.4")})
        assert running._process.wait(60) == 135
        client.http.close()
