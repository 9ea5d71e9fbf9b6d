"""Where the installs are. Sources, the later wins: settings.toml in the user's configuration folder, ORCHESTRATOR_*
variables, the command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs
from pydantic import SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from orchestrator.errors import InputError

DEFAULT_URL = "http://127.0.0.1:7860"


def settings_file() -> Path:
    """The file the settings are read from; it need not exist."""
    return Path(platformdirs.user_config_dir("orchestrator", appauthor=False)) / "settings.toml"


class Settings(BaseSettings):
    """The user's installs. A password comes from ORCHESTRATOR_A1111_PASSWORD alone, so that it stands in no file and no
    process list.
    """

    model_config = SettingsConfigDict(env_prefix="ORCHESTRATOR_", extra="forbid", frozen=True)

    a1111_url: str = DEFAULT_URL
    a1111_user: str = ""
    a1111_password: SecretStr = SecretStr("")
    #: A1111's models/Lora; empty = asked from A1111, which works when it runs on this machine.
    lora_folder: str = ""
    #: The kohya_ss or sd-scripts folder.
    kohya_folder: str = ""
    #: The Python sd-scripts runs with; empty = the one of its own venv.
    kohya_python: str = ""

    @field_validator("a1111_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        value = value.strip()
        if "://" not in value:
            value = f"http://{value}"
        parts = urlsplit(value)
        # Blanks and quotes reach this far from a badly quoted command line.
        if parts.scheme not in {"http", "https"} or not parts.hostname or not set(parts.netloc).isdisjoint(" \"'<>\\"):
            raise ValueError("this is no address such as http://127.0.0.1:7860")
        if parts.username or parts.password:
            raise ValueError("give user and password apart from the address (a1111_user, ORCHESTRATOR_A1111_PASSWORD)")
        return value.rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=settings_file())


def load_settings(**given: Any) -> Settings:
    """The settings, with what the command line gave on top (None = not given). Raises `InputError` naming every wrong
    value.
    """
    try:
        return Settings(**{key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        )
        raise InputError(
            f"The settings cannot be used: {problems}.",
            fix=f"Correct {settings_file()}, the ORCHESTRATOR_* variables or the options.",
        ) from None
    except ValueError as error:
        raise InputError(
            f"{settings_file()} is not valid TOML: {error}.", fix="Correct the file and run the same command again."
        ) from None
