"""Where the installs are: three sources, several servers, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.settings import Settings, completed, load_settings, settings_file

SERVERS = """
[[servers]]
url = "10.0.0.2:7860"
user = "me"
password_env = "FARM_PASSWORD"
lora_folder = '/mnt/farm/初音 Lora'

[[servers]]
url = "https://farm.example/webui/"
"""


def write(text: str) -> Path:
    file = settings_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def urls(settings: Settings) -> list[str]:
    return [address.url for address in settings.addresses()]


def test_nothing_said_is_the_webui_on_this_machine() -> None:
    (address,) = load_settings().addresses()
    assert (address.url, address.user, address.password.get_secret_value()) == ("http://127.0.0.1:7860", "", "")
    assert address.on_this_machine


def test_the_later_source_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    write('a1111_url = "http://a:1"\n')
    assert urls(load_settings()) == ["http://a:1"]
    monkeypatch.setenv("ORCHESTRATOR_A1111_URL", "b:2")
    assert urls(load_settings()) == ["http://b:2"]
    assert urls(load_settings(a1111_url="c:3")) == ["http://c:3"]
    assert urls(load_settings(a1111_url=("c:3", "d:4/"))) == ["http://c:3", "http://d:4"]
    assert urls(load_settings(a1111_url=())) == ["http://b:2"]


def test_several_servers_with_credentials_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_PASSWORD", "a:b c")
    monkeypatch.setenv("ORCHESTRATOR_A1111_PASSWORD", "general")
    write('a1111_user = "boss"\nlora_folder = "/here"\n' + SERVERS)
    farm, other = load_settings().addresses()
    assert (farm.url, farm.user, farm.password.get_secret_value()) == ("http://10.0.0.2:7860", "me", "a:b c")
    assert farm.lora_folder == "/mnt/farm/初音 Lora"
    assert (other.url, other.user, other.lora_folder) == ("https://farm.example/webui", "", "")
    assert not farm.on_this_machine
    assert "a:b c" not in repr(farm)


def test_the_first_address_written_goes_before_the_servers() -> None:
    write('a1111_url = "127.0.0.1:7861"\n' + SERVERS.replace('password_env = "FARM_PASSWORD"\n', ""))
    assert urls(load_settings()) == ["http://127.0.0.1:7861", "http://10.0.0.2:7860", "https://farm.example/webui"]


def test_the_command_line_names_servers_of_the_file_and_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_PASSWORD", "pw")
    write('a1111_user = "boss"\n' + SERVERS)
    first, second = load_settings(a1111_url=["http://new:1", "http://10.0.0.2:7860"]).addresses()
    assert (first.url, first.user) == ("http://new:1", "boss")
    assert (second.user, second.password.get_secret_value()) == ("me", "pw")


def test_the_variable_is_named_where_a_password_is_not_there() -> None:
    write(SERVERS)
    with pytest.raises(InputError, match=r"FARM_PASSWORD for http://10\.0\.0\.2:7860"):
        load_settings().addresses()
    assert urls(load_settings(a1111_url="https://farm.example/webui")) == ["https://farm.example/webui"]


def test_an_address_in_both_places_is_one_server() -> None:
    write('a1111_url = "http://localhost:7860"\n[[servers]]\nurl = "http://127.0.0.1:7860"\nuser = "me"\n')
    (address,) = load_settings().addresses()
    assert address.user == "me"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[servers]]\nurl = "http://a:1"\n[[servers]]\nurl = "a:1/"\n', "http://a:1 stands there twice"),
        ('[[servers]]\nurl = "ftp://a"\n', "servers[1].url: this is no address"),
        ('[[servers]]\nurl = "http://a:99999"\n', "servers[1].url: this is no address"),
        ('[[servers]]\nurl = "http://me:hunter2@a:1"\n', "servers[1].url: give user and password apart"),
        ('[[servers]]\nurl = "a:1"\npassword = "hunter2"\n', "servers[1]: a password must not stand in a file"),
        ('[[servers]]\nurl = "a:1"\npassword_env = "a b=c"\n', "servers[1].password_env"),
        ('[[servers]]\nurl = "a:1"\nuser = "a:b"\n', "servers[1].user: a user with a colon"),
        ('[[servers]]\nuser = "a"\n', "servers[1].url: Field required"),
        ('a1111_password = "hunter2"\n', "a1111_password: a password must not stand in a file"),
        ('a1111_comand = ["x"]\n', "a1111_comand"),
        ('a1111_command = "webui.sh --api"\n', "a1111_command"),
        ('a1111_command = [""]\n', "a1111_command"),
        ("restart_every = -1\n", "restart_every"),
        ('patience_s = "for ever"\n', "patience_s"),
        ('"--url" = "x"\n', "--url"),
        ('a1111_url = "x\n', "not valid TOML"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    write(text)
    with pytest.raises(InputError) as caught:
        load_settings()
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_all_problems_at_once_with_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_RESTART_EVERY", "often")
    write('[[servers]]\nurl = "a:1"\n[[servers]]\nurl = "b c"\n')
    with pytest.raises(InputError) as caught:
        load_settings(a1111_url=["ok:1", "http://me:hunter2@b"])
    for place in ("servers[2].url", "restart_every", "--url[2]"):
        assert place in caught.value.what
    assert "hunter2" not in str(caught.value)


def test_the_same_server_twice_on_the_command_line() -> None:
    with pytest.raises(InputError, match="--url: http://localhost:7860 stands there twice"):
        load_settings(a1111_url=["127.0.0.1:7860", "localhost:7860"])


def test_a_list_in_a_variable_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_A1111_COMMAND", '["/opt/web ui/webui.sh", "--api"]')
    assert load_settings().a1111_command == ("/opt/web ui/webui.sh", "--api")
    monkeypatch.setenv("ORCHESTRATOR_A1111_COMMAND", "/opt/webui.sh --api")
    with pytest.raises(InputError, match="JSON"):
        load_settings()


@pytest.mark.parametrize(
    ("given", "gives"),
    [
        (" 127.0.0.1:7860/ ", "http://127.0.0.1:7860"),
        ("http://[::1]:7860", "http://[::1]:7860"),
        ("https://host/under/a/path/", "https://host/under/a/path"),
    ],
)
def test_addresses_are_completed(given: str, gives: str) -> None:
    assert completed(given) == gives


@pytest.mark.parametrize("given", ["", "http://", "a b", "http://x:0", "http://[::1", "http://h/?a=1", "http://@h"])
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(ValueError, match=r"address"):
        completed(given)
