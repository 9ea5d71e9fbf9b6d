"""What a server lists, in the shapes the client reads."""

from __future__ import annotations

import pytest

from orchestrator.a1111.client import A1111
from orchestrator.a1111.dialect import dialect_of_version
from orchestrator.a1111.xyz import PROMPT_SR, SEED, read_script
from orchestrator.errors import InputError, InstallError
from orchestrator.lora.deploy import find_lora_folder
from orchestrator.render.server import connect
from tests.contract.subject import Subject


def test_the_dialect_is_the_one_its_pictures_tell(subject: Subject) -> None:
    """Trap: the lists tell the fork without drawing, the version only comes with a picture; both must agree."""
    told = dialect_of_version(subject.draw().info.version)
    assert told is None or told == subject.dialect


def test_samplers_and_schedules(subject: Subject) -> None:
    """Trap: on classic a schedule is part of the sampler's name, elsewhere it is a list of its own."""
    samplers, schedulers = subject.client.samplers(), subject.client.schedulers()
    assert all(sampler.name.strip() == sampler.name != "" for sampler in samplers)
    assert len({sampler.name for sampler in samplers}) == len(samplers)
    assert bool(schedulers) == subject.dialect.has_schedulers
    assert all(scheduler.name and scheduler.label for scheduler in schedulers)
    if schedulers:
        assert "automatic" in {scheduler.name for scheduler in schedulers}


def test_checkpoints(subject: Subject) -> None:
    """Trap: a checkpoint has no hash, neither in its title, until it was loaded once; the loaded one has."""
    info = subject.draw().info
    models = subject.client.models()
    assert all(one.title and one.model_name and one.filename for one in models)
    loaded = [one for one in models if one.hash and one.hash == info.sd_model_hash]
    assert loaded
    assert all(one.hash in one.title and one.answers_to(one.title.split(" [")[0]) for one in loaded if one.hash)
    chosen = subject.client.options()["sd_model_checkpoint"]
    assert chosen is None or any(one.answers_to(chosen) for one in models)


def test_an_unknown_checkpoint_or_vae_is_refused_before_drawing(subject: Subject) -> None:
    """Trap: the server would draw with what it has."""
    with pytest.raises(InputError, match="no checkpoint 'no such checkpoint'"):
        connect(subject.client, "no such checkpoint")
    with pytest.raises(InputError, match="no VAE 'no such vae'"):
        connect(subject.client, vae="no such vae")


def test_vaes(subject: Subject) -> None:
    """Trap: Forge has no list of VAEs; they are among its modules, and are named to it by their path."""
    assert all(vae.model_name and vae.filename for vae in subject.client.vaes())
    if subject.dialect.has_sd_vae:
        assert subject.client.modules() == []


def test_loras(subject: Subject) -> None:
    """Trap: the name in a prompt is the file's stem, without its folder, whatever the alias is."""
    for entry in subject.client.loras():
        file = entry.path.replace("\\", "/").rpartition("/")[2]
        assert file.rpartition(".")[0] == entry.name
    try:
        folder = find_lora_folder(subject.client)
    except InputError:
        return
    assert folder.is_dir()


@pytest.mark.parametrize("img2img", [False, True])
def test_the_plot_script_is_as_we_know_it(subject: Subject, img2img: bool) -> None:
    """Trap: the axes' numbers and the number of arguments differ from fork to fork; a wrong one is another plot."""
    script = read_script(subject.client.script_info(), img2img=img2img)
    assert {SEED, PROMPT_SR, "Nothing", "Steps", "Sampler"} <= set(script.axes)
    assert script.name.lower() in getattr(subject.client.scripts(), "img2img" if img2img else "txt2img")


def test_all_other_lists(subject: Subject) -> None:
    client = subject.client
    assert "Lanczos" in {upscaler.name for upscaler in client.upscalers()}
    assert all(restorer.name for restorer in client.face_restorers())
    assert all(style.name for style in client.prompt_styles())
    assert isinstance(client.embeddings().loaded, dict)
    assert client.memory().ram.total > 0
    assert client.get("/sdapi/v1/latent-upscale-modes")


def test_credentials_are_tested_where_they_are_asked_for(subject: Subject) -> None:
    """Trap: /loras answers everybody, even with --api-auth: it proves nothing about a password."""
    if not subject.username:
        pytest.skip("the server was given without credentials")
    with A1111(subject.url) as nobody, A1111(subject.url, username="contract-nobody", password="x") as stranger:
        for client in (nobody, stranger):
            assert isinstance(client.loras(), list)
            for ask in (client.options, client.progress):
                with pytest.raises(InstallError, match="user and password"):
                    ask()
