"""LoRA files on their way to the simulated A1111."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from orchestrator.a1111.client import A1111
from orchestrator.errors import InputError, ServerError
from orchestrator.lora import deploy as deploying
from orchestrator.lora.catalog import LoraFile, catalog, lora_file
from orchestrator.lora.deploy import deploy, find_lora_folder


@pytest.fixture
def files(tmp_path: Path, request: pytest.FixtureRequest) -> list[LoraFile]:
    """Two epochs under one alias, different in every test: the server is shared."""
    folder = tmp_path / "run"
    folder.mkdir()
    seed = abs(hash(request.node.name)) % 2**32
    for stem, epoch in (("m-000010", 10), ("m", 20)):
        values = np.random.default_rng(seed + epoch).normal(size=(4, 8)).astype(np.float16)
        metadata = {"ss_epoch": str(epoch), "ss_output_name": "m", "ss_session_id": "1"}
        save_file({"lora_unet_x.lora_down.weight": values}, folder / f"{stem}.safetensors", metadata)
    return catalog(folder)


def test_what_is_deployed_is_listed_under_a_stem_of_its_own(client: A1111, files: list[LoraFile]) -> None:
    folder = find_lora_folder(client)
    deployed = deploy(files, folder, client)
    assert [d.stem for d in deployed] == [f"m-{f.epoch:06d}-{f.sha256[:6]}" for f in files]
    listed = {entry.name: entry for entry in client.loras()}
    assert all(Path(listed[d.stem].path) == d.path for d in deployed)
    assert [path.name for path in folder.glob(".*")] == []


def test_the_picture_shows_the_hash_we_announce(client: A1111, files: list[LoraFile]) -> None:
    (first, _) = deploy(files, find_lora_folder(client), client)
    payload = {"prompt": f"m, close-up <lora:{first.stem}:0.8>", "seed": 1, "steps": 1, "width": 64, "height": 64}
    assert f"{first.stem}: {first.shown_hash}" in str(client.txt2img(payload).info)


def test_doing_it_twice_does_nothing_twice(
    client: A1111, files: list[LoraFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = find_lora_folder(client)
    first = deploy(files, folder, client)
    times = [d.path.stat().st_mtime_ns for d in first]
    monkeypatch.setattr(client, "refresh_loras", lambda: pytest.fail("nothing was new"))
    assert deploy(files, folder, client) == first
    assert [d.path.stat().st_mtime_ns for d in first] == times


def test_a_stem_is_never_used_for_another_content(client: A1111, files: list[LoraFile]) -> None:
    folder = find_lora_folder(client)
    taken = folder / f"m-000010-{files[0].sha256[:6]}.safetensors"
    shutil.copyfile(files[1].path, taken)
    (deployed, _) = deploy(files, folder, client)
    assert deployed.stem == f"m-000010-{files[0].sha256[:8]}"
    assert lora_file(taken).sha256 == files[1].sha256


def test_a_folder_the_server_does_not_read_is_said(
    client: A1111, files: list[LoraFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploying, "_LISTED_WITHIN_S", 0.2)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(ServerError, match="not in its list") as caught:
        deploy(files, elsewhere, client)
    assert "--lora-folder" in caught.value.fix


def test_nothing_broken_reaches_the_server(client: A1111, files: list[LoraFile], tmp_path: Path) -> None:
    folder = find_lora_folder(client)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(files[0].path.read_bytes()[:-1])
    save_file({"x": np.full(4, np.nan, np.float32)}, tmp_path / "nan.safetensors")
    before = sorted(folder.iterdir())
    for path, words in ((cut, "cut off"), (tmp_path / "nan.safetensors", "NaN")):
        with pytest.raises(InputError, match=words):
            deploy([lora_file(path)], folder, client)
    changed = files[0]
    with changed.path.open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x01")
    with pytest.raises(InputError, match="changed while"):
        deploy([changed], folder, client)
    assert sorted(folder.iterdir()) == before


class _Server:
    """A server that only says where its folder is."""

    def __init__(self, flags: dict[str, Any], paths: tuple[str, ...] = ()) -> None:
        self.flags = flags
        self.paths = paths

    def cmd_flags(self) -> dict[str, Any]:
        return self.flags

    def refresh_loras(self) -> None:
        raise AssertionError

    def loras(self) -> list[Any]:
        return [type("Entry", (), {"name": "x", "path": path, "metadata": {}}) for path in self.paths]


def test_the_lora_folder_is_found_in_every_way_a1111_tells_it(ugly_path: Path) -> None:
    folder = ugly_path / "models" / "Lora"
    (folder / "people").mkdir(parents=True)
    assert find_lora_folder(_Server({"lora_dir": str(folder)})) == folder
    assert find_lora_folder(_Server({"data_dir": str(ugly_path)})) == folder
    assert find_lora_folder(_Server({}, (str(folder / "people" / "x.safetensors"),))) == folder
    assert find_lora_folder(_Server({"lora_dir": "/not/here"}), ugly_path) == ugly_path
    with pytest.raises(InputError, match="no such folder on this machine") as caught:
        find_lora_folder(_Server({"lora_dir": r"D:\webui\models\Lora"}))
    assert "--lora-folder or ORCHESTRATOR_LORA_FOLDER" in caught.value.fix
    with pytest.raises(InputError, match="does not say"):
        find_lora_folder(_Server({}))
    with pytest.raises(InputError, match="no LoRA folder") as caught:
        find_lora_folder(_Server({"lora_dir": str(folder)}), ugly_path / "wrong")
    assert "--lora-folder or ORCHESTRATOR_LORA_FOLDER" in caught.value.fix
