"""The simulated server as a client meets it: a child process, real HTTP."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image, ImageChops

from orchestrator.sandbox import server
from orchestrator.sandbox.a1111.settings import Settings
from orchestrator.sandbox.home import make_home

LORA = "<lora:ai_model_v2-000040:0.8>"
SMALL: dict[str, Any] = {"prompt": "photo of ai_model_v2, close-up", "width": 64, "height": 64, "steps": 2, "seed": 7}


class Client:
    """What a test says to the server."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=30)

    def get(self, path: str, **more: Any) -> Any:
        return self.http.get(f"/sdapi/v1/{path}", **more).json()

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return self.http.post(f"/sdapi/v1/{path}", json=body)

    def paint(self, kind: str = "txt2img", **changes: Any) -> tuple[list[Image.Image], dict[str, Any]]:
        answer = self.post(kind, {**SMALL, **changes})
        assert answer.status_code == 200, answer.text
        images = [Image.open(io.BytesIO(base64.b64decode(one))) for one in answer.json()["images"]]
        return images, json.loads(answer.json()["info"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("sandbox") / "it's a 'home' é 初音ミク")


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[Client]:
    with server.start(home, settings=Settings(gpu_seconds_per_step=0.001, tagger="nested")) as running:
        made = Client(running.url)
        made.post("options", {"CLIP_stop_at_last_layers": 1})  # or an overridden value would stay
        yield made
        made.http.close()
    assert not running.running()


def _same(one: Image.Image, other: Image.Image) -> bool:
    return ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getbbox() is None


def _error(answer: httpx.Response) -> tuple[int, str]:
    assert set(answer.json()) == {"error", "detail", "body", "errors"}
    return answer.status_code, answer.json()["error"]


def test_infotext_hashes_and_fallbacks_are_the_real_ones(client: Client) -> None:
    images, info = client.paint(prompt=f"cat {LORA}", sampler_name="DPM++ 2M Karras", negative_prompt="bad", width=71)
    lora = next(one for one in client.get("loras") if one["name"] == "ai_model_v2-000040")
    short = lora["metadata"]["sshs_model_hash"][:12]
    model = next(one for one in client.get("sd-models") if one["hash"])
    assert info["infotexts"] == [
        f"cat {LORA}\nNegative prompt: bad\nSteps: 2, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.0, "
        f"Seed: 7, Size: 71x64, Model hash: {model['hash']}, Model: sandbox-v1-5, "
        f'Lora hashes: "ai_model_v2-000040: {short}", Version: v1.10.1'
    ]
    assert images[0].size == (64, 64)
    assert images[0].info["parameters"] == info["infotexts"][0]
    assert lora["alias"] == "ai_model_v2"


def test_a_missing_lora_is_silently_none(client: Client) -> None:
    plain, _ = client.paint()
    missing, info = client.paint(prompt=SMALL["prompt"] + "<lora:nobody:1>")
    zero, zero_info = client.paint(prompt=SMALL["prompt"] + "<lora:ai_model_v2-000040:0>")
    real, _ = client.paint(prompt=SMALL["prompt"] + LORA)
    _, negative_info = client.paint(negative_prompt=LORA)
    assert _same(plain[0], missing[0]) and _same(plain[0], zero[0]) and not _same(plain[0], real[0])
    assert "Lora hashes" not in info["extra_generation_params"]
    assert "Lora hashes" in zero_info["extra_generation_params"]
    assert "Lora hashes" not in negative_info["extra_generation_params"] and LORA in negative_info["negative_prompt"]


def test_the_same_request_paints_the_same_bytes_and_single_seeds_equal_n_iter(client: Client) -> None:
    first, info = client.paint(n_iter=3)
    again, _ = client.paint(n_iter=3)
    single, _ = client.paint(seed=8)
    batch, _ = client.paint(batch_size=2)
    assert info["all_seeds"] == [7, 8, 9] and len(first) == 3
    assert all(_same(a, b) for a, b in zip(first, again, strict=True))
    assert _same(first[1], single[0])
    largest = max(high for _, high in ImageChops.difference(batch[1].convert("RGB"), single[0]).getextrema())
    assert largest == 1


def test_saving_puts_the_grid_first(client: Client, home: Path) -> None:
    images, info = client.paint(batch_size=2, save_images=True)
    assert (len(images), info["index_of_first_image"], len(info["infotexts"]), len(info["all_seeds"])) == (3, 1, 3, 2)
    assert images[0].size == (128, 64)
    assert [path.name for path in sorted((home / "outputs" / "txt2img-images").rglob("*.png"))] == [
        "00000-7.png",
        "00001-8.png",
    ]


def test_the_conditioning_of_the_same_prompt_goes_stale_when_the_file_appears(client: Client, home: Path) -> None:
    folder = home / "models" / "Lora"
    tagged = SMALL["prompt"] + "<lora:late:1>"
    client.paint(prompt=tagged)
    (folder / "late.safetensors").write_bytes((folder / "ai_model_v2-000040.safetensors").read_bytes())
    stale, info = client.paint(prompt=tagged)
    assert "late: " in info["extra_generation_params"]["Lora hashes"]
    client.paint(prompt="another prompt")
    fresh, _ = client.paint(prompt=tagged)
    assert not _same(stale[0], fresh[0])
    (folder / "late.safetensors").unlink()
    client.post("refresh-loras")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("txt2img", {"prompt": None}, (500, "AssertionError")),
        ("txt2img", {"script_name": "nope"}, (422, "HTTPException")),
        ("txt2img", {"alwayson_scripts": {"x/y/z plot": {"args": []}}}, (422, "HTTPException")),
        ("txt2img", {"override_settings": {"nope": 1}}, (500, "KeyError")),
        ("txt2img", {"override_settings": {"CLIP_stop_at_last_layers": 99}}, (500, "IndexError")),
        ("txt2img", {"seed": 2**64}, (500, "RuntimeError")),
        ("txt2img", {"width": 99999}, (500, "OutOfMemoryError")),
        ("img2img", {}, (404, "HTTPException")),
        ("img2img", {"init_images": []}, (500, "RuntimeError")),
        ("img2img", {"init_images": ["xx"]}, (500, "HTTPException")),
        ("img2img", {"init_images": ["data:image/png,xx"]}, (500, "IndexError")),
        ("img2img", {"init_images": ["http://127.0.0.1/x.png"]}, (500, "HTTPException")),
        ("options", {"no_such_option": 1}, (500, "KeyError")),
        ("options", {"sd_model_checkpoint": "nope"}, (500, "RuntimeError")),
        ("interrogate", {"image": "", "model": "clip"}, (404, "HTTPException")),
    ],
)
def test_failures_have_the_real_shape_and_the_next_request_works(
    client: Client, path: str, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert _error(client.post(path, {**SMALL, **body} if path.endswith("img") else body)) == expected
    assert client.post("txt2img", SMALL).status_code == 200


def test_unknown_routes_methods_slashes_and_types(client: Client) -> None:
    assert client.http.get("/sdapi/v1/nope").json() == {"detail": "Not Found"}
    assert client.http.get("/sdapi/v1/txt2img").status_code == 405
    assert client.http.get("/sdapi/v1/samplers/").status_code == 307
    assert (
        client.http.post("/sdapi/v1/txt2img", content=b"{}", headers={"content-type": "text/plain"}).status_code == 422
    )
    assert client.http.get("/sdapi/v1/samplers", headers={"host": "evil.example"}).status_code == 403
    assert set(client.http.get("/openapi.json").json()["paths"]) >= {"/sdapi/v1/txt2img", "/internal/progress"}


def test_checkpoints_change_by_option_and_unknown_overrides_are_dropped(client: Client) -> None:
    assert client.post("options", {"sd_model_checkpoint": "sandbox-other"}).json() is None
    title = client.get("options")["sd_model_checkpoint"]
    assert title.startswith("sandbox-other.safetensors [")
    _, info = client.paint(override_settings={"sd_model_checkpoint": "nope"})
    assert info["sd_model_name"] == "sandbox-other"
    _, info = client.paint(override_settings={"sd_model_checkpoint": "sandbox-v1-5"})
    assert info["sd_model_name"] == "sandbox-v1-5"
    assert client.get("options")["sd_model_checkpoint"] == title
    client.post("options", {"sd_model_checkpoint": "sandbox-v1-5"})


def test_a_plot_answers_grid_first_with_cells_equal_to_single_requests(client: Client, home: Path) -> None:
    prompt = "photo of ai_model_v2 <lora:ai_model_v2-000040:0.2>"
    args = [7, "40:0.2,40:0.8", [], 1, "1,2,3", [], 0, "", [], True, True, False, False, False, False, False, 0, False]
    images, info = client.paint(prompt=prompt, script_name="X/Y/Z Plot", script_args=args)
    assert len(images) == 7 and info["index_of_first_image"] == 1
    assert info["all_seeds"] == [1, 1, 2, 2, 3, 3] and len(info["infotexts"]) == 7
    assert images[0].size == (2 * 64 + 48, 3 * 64 + 9)
    assert "parameters" not in images[0].info
    assert (
        ', Script: X/Y/Z plot, X Type: Prompt S/R, X Values: "40:0.2,40:0.8", Y Type: Seed, Y Values: "1,2,3", '
        in (info["infotexts"][0])
    )
    single, _ = client.paint(prompt=prompt.replace("0.2", "0.8"), seed=3)
    assert _same(images[6], single[0])
    assert list((home / "outputs" / "txt2img-grids").rglob("xyz_grid-0000-1.png"))


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([7, "nope,x", []], (500, "RuntimeError")),
        ([1, "abc", []], (500, "ValueError")),
        ([9, "", ["nope"]], (500, "RuntimeError")),
        ([41, "9000x9000,9000x9001,9x9", []], (200, "")),
    ],
)
def test_bad_plot_values(client: Client, args: list[Any], expected: tuple[int, str]) -> None:
    rest = [0, "", [], 0, "", [], False, True, False, False, False, False, False, 0, False]
    answer = client.post("txt2img", {**SMALL, "script_name": "x/y/z plot", "script_args": args + rest})
    assert answer.status_code == expected[0], answer.text
    if expected[1]:
        assert answer.json()["error"] == expected[1]


def test_failing_cells_are_black_and_misplaced_values_give_nothing(client: Client) -> None:
    rest = [0, "", [], 0, "", [], False, True, False, False, False, False, False, 0, False]
    images, info = client.paint(script_name="x/y/z plot", script_args=[4, "0,2", [], *rest])
    assert info["all_seeds"][0] is None and info["infotexts"][1] is None and info["all_seeds"][1] == 7
    assert images[1].convert("L").getextrema() == (0, 0)
    images, info = client.paint(script_name="x/y/z plot", script_args=[9, "Euler,DDIM", [], *rest])
    assert images == [] and info["all_seeds"] == [-1]
    short = client.post("txt2img", {**SMALL, "script_name": "x/y/z plot", "script_args": [1, "1", [], *rest[:-1]]})
    assert "missing 1 required positional argument: 'csv_mode'" in short.json()["errors"]


def test_img2img_keeps_the_picture_at_low_denoising_and_its_size_is_asked_for(client: Client) -> None:
    first, _ = client.paint(width=256, height=256)
    out = io.BytesIO()
    first[0].save(out, "PNG")
    coded = base64.b64encode(out.getvalue()).decode()
    plain: list[Image.Image] = []
    for text in (coded, f"data:image/png;base64,{coded}", coded[:50] + "\n" + coded[50:]):
        images, info = client.paint(
            "img2img", init_images=[text], width=256, height=256, denoising_strength=0.2, seed=99
        )
        plain += images
    assert info["denoising_strength"] == 0.2 and "Denoising strength: 0.2" in info["infotexts"][0]
    assert _same(plain[1], plain[2])
    default, _ = client.paint("img2img", init_images=[coded])
    assert default[0].size == (64, 64)


def test_tags_come_from_the_picture_not_the_prompt(client: Client) -> None:
    coded = client.post("txt2img", {**SMALL, "width": 512, "height": 512}).json()["images"][0]
    models = client.http.get("/tagger/v1/interrogators").json()["models"]
    body = {"image": coded, "model": models[0], "threshold": 0.0}
    caption = client.http.post("/tagger/v1/interrogate", json=body).json()["caption"]
    assert set(caption) == {"rating", "tag"} and caption["tag"]["1girl"] > 0.5
    assert caption == client.http.post("/tagger/v1/interrogate", json=body).json()["caption"]
    wanted = {"interrogate_return_ranks": True, "interrogate_deepbooru_score_threshold": 0.0}
    client.post("options", wanted)
    ranked = client.post("interrogate", {"image": coded, "model": "deepdanbooru"}).json()["caption"]
    assert "(1girl:" in ranked and "_" not in ranked.replace(":_", "")
    assert client.post("interrogate", {"image": coded}).json() == {"caption": "<error>"}
    assert client.post("interrogate", {"image": coded, "model": "deepbooru"}).status_code == 404
    read = client.post("png-info", {"image": coded}).json()
    assert read["parameters"]["Seed"] == "7" and read["parameters"]["Size-1"] == "512"
    bigger = client.post("extra-single-image", {"image": coded, "upscaler_1": "Lanczos"}).json()
    assert bigger["html_info"] == "<p>Postprocess upscale by: 2, Postprocess upscaler: Lanczos</p>"
    assert Image.open(io.BytesIO(base64.b64decode(bigger["image"]))).size == (1024, 1024)


def test_png_info_writes_the_alias_where_the_prompt_had_the_stem(client: Client) -> None:
    coded = client.post("txt2img", {**SMALL, "prompt": f"cat {LORA}"}).json()["images"][0]
    read = client.post("png-info", {"image": coded}).json()
    assert LORA in read["info"]
    assert read["parameters"]["Prompt"] == "cat <lora:ai_model_v2:0.8>"
    client.post("options", {"lora_preferred_name": "Filename"})
    assert client.post("png-info", {"image": coded}).json()["parameters"]["Prompt"] == f"cat {LORA}"


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    home = make_home(tmp_path_factory.mktemp("slow"))
    settings = Settings(gpu_seconds_per_picture=0.5, api_auth="me:secret,you:other", webui=True)
    with server.start(home, settings=settings) as running:
        made = Client(running.url)
        made.http.auth = httpx.BasicAuth("you", "other")
        made.post("txt2img", SMALL)
        yield made
        made.http.close()


def test_login_covers_most_routes_but_not_the_loras(slow: Client) -> None:
    bare = httpx.Client(base_url=slow.http.base_url)
    denied = bare.post("/sdapi/v1/txt2img", content=b"not json")
    assert _error(denied) == (401, "HTTPException") and denied.json()["detail"] == "Not authenticated"
    assert "www-authenticate" not in denied.headers
    wrong = bare.get("/sdapi/v1/options", auth=("me", "other")).json()["detail"]
    broken = bare.get("/sdapi/v1/options", headers={"Authorization": "Basic %%%"}).json()["detail"]
    assert (wrong, broken) == ("Incorrect username or password", "Invalid authentication credentials")
    for path in ("/sdapi/v1/loras", "/internal/ping", "/openapi.json", "/docs"):
        assert bare.get(path).status_code == 200, path
    assert slow.get("cmd-flags")["api_auth"] == "me:secret,you:other"
    bare.close()


def test_an_interrupted_request_answers_200_with_a_half_denoised_picture(slow: Client) -> None:
    whole, _ = slow.paint(seed=5)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(slow.paint, seed=5)
        time.sleep(0.1)
        during = slow.get("progress")
        assert slow.post("interrupt").json() == {}
        images, info = running.result()
    assert 0 < during["progress"] < 1 and during["state"]["job_count"] == 1
    assert not _same(images[0], whole[0]) and info["steps"] == 2
    idle = slow.get("progress")
    assert idle["progress"] == 0 and idle["state"]["interrupted"] is True and idle["state"]["job"] == ""
    again, _ = slow.paint(seed=5)
    assert _same(again[0], whole[0])


def test_requests_are_served_in_order_and_can_be_watched_by_id(slow: Client) -> None:
    ended: list[int] = []

    def paint(number: int) -> None:
        slow.paint(seed=number, force_task_id=f"task-{number}")
        ended.append(number)

    def watch(number: int) -> dict[str, Any]:
        return dict(
            slow.http.post("/internal/progress", json={"id_task": f"task-{number}", "live_preview": False}).json()
        )

    with ThreadPoolExecutor(4) as pool:
        for number in range(4):
            pool.submit(paint, number)
            time.sleep(0.04)
        first, last = watch(0), watch(3)
        pending = slow.http.get("/internal/pending-tasks").json()
    assert first["active"] is True and first["queued"] is False
    assert (last["queued"], last["textinfo"]) == (True, "In queue: 3/3")
    assert pending == {"size": 3, "tasks": ["task-1", "task-2", "task-3"]}
    assert ended == [0, 1, 2, 3]
    assert watch(3)["completed"] is True
    slow.post("img2img", {**SMALL, "init_images": ["broken"], "force_task_id": "lost"})
    assert slow.http.get("/internal/pending-tasks").json()["tasks"] == ["lost"]


def test_a_checkpoint_change_waits_for_the_running_job_and_other_options_do_not(slow: Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(slow.paint, n_iter=2)
        time.sleep(0.1)
        began = time.monotonic()
        slow.post("options", {"jpeg_quality": 81})
        quick = time.monotonic() - began
        slow.post("options", {"sd_model_checkpoint": "sandbox-other"})
        waited = time.monotonic() - began
        _, info = running.result()
    assert quick < 0.2
    assert waited > 0.35
    assert info["sd_model_name"] == "sandbox-v1-5"


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    for path in (home / "models" / "Stable-diffusion").glob("*.safetensors"):
        path.with_suffix(".txt").touch()
    (home / "config.json").write_text("{broken", encoding="utf-8")
    with pytest.raises(server.SandboxError, match=r"ended with exit code 1[\s\S]*JSONDecodeError"):
        server.start(home)


def test_the_server_ends_with_its_parents_pipe(tmp_path: Path) -> None:
    running = server.start(make_home(tmp_path / "home"))
    child = psutil.Process(running.pid)
    assert json.loads((tmp_path / "home" / "server.json").read_text(encoding="utf-8"))["url"] == running.url
    running.stop()
    running.stop()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert not (tmp_path / "home" / "server.json").exists()
