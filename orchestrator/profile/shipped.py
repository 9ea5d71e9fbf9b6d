"""The profiles that come with the package, and making a workspace from one."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError, WorkspaceError
from orchestrator.files import write_text
from orchestrator.profile.load import load_profile, parse_profile
from orchestrator.profile.model import Profile
from orchestrator.workspace import Workspace

SCHEMA_NAME = "lora.schema.json"
DEFAULT_PROFILE = "article-sd15"


def profile_folder() -> Path:
    """Where the shipped profiles lie: inside an installed package, or beside it in a checkout."""
    installed = Path(str(resources.files("orchestrator"))) / "shipped_profiles"
    return installed if installed.is_dir() else Path(str(resources.files("orchestrator"))).parent / "profiles"


def shipped_profiles() -> dict[str, Path]:
    """Name → file of every shipped profile."""
    return {path.stem: path for path in sorted(profile_folder().glob("*.toml"))}


def find_profile(name_or_path: str) -> Path:
    """A shipped profile by name, or the user's own file by path. Raises `InputError` listing the names."""
    shipped = shipped_profiles()
    if name_or_path in shipped:
        return shipped[name_or_path]
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise InputError(
        f"There is no profile {name_or_path!r}.",
        fix=f"Shipped: {', '.join(shipped)}. Or give the path of a .toml file.",
    )


def make_workspace(root: Path, profile: Path, *, subject: str = "") -> Workspace:
    """Make a workspace folder with lora.toml copied from `profile`, comments and all; `subject` replaces its name.

    Raises `WorkspaceError` when there is a lora.toml already, `ProfileError` when the profile is wrong.
    """
    workspace = Workspace(root)
    if workspace.profile.exists():
        raise WorkspaceError(f"{root} is a workspace already.", fix="Choose another name, or edit its lora.toml.")
    load_profile(profile)
    text = profile.read_text(encoding="utf-8-sig")
    if subject:
        text = re.sub(
            r"(?m)^(\s*name\s*=\s*).*$", lambda found: found[1] + json.dumps(subject, ensure_ascii=False), text, count=1
        )
    text = re.sub(r"(?m)^#:schema .*\n", "", text, count=1)
    text = f"#:schema .orchestrator/{SCHEMA_NAME}\n{text}"
    parse_profile(text, workspace.profile)
    write_text(root / ".orchestrator" / SCHEMA_NAME, json.dumps(schema(), indent=2, ensure_ascii=False) + "\n")
    write_text(workspace.profile, text)
    return workspace


def schema() -> dict[str, Any]:
    """The JSON Schema of lora.toml, for editors (Even Better TOML, taplo)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Profile.model_json_schema()}
