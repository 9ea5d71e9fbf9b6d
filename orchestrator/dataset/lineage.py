"""Where each picture of a dataset came from, where else it was used, and what differs between two versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from orchestrator.dataset.on_disk import copies, manifest_of, manifest_of_version
from orchestrator.errors import WorkspaceError
from orchestrator.workspace import Workspace

#: One picture as a dataset's manifest has it.
Entry = Mapping[str, Any]
_LONGEST_PROMPT = 60


@dataclass(frozen=True)
class Shown:
    """One picture of a version. `origin` is one sentence part; `versions` all versions it was trained on in."""

    file: str
    group: str
    caption: str
    origin: str
    sha256: str
    versions: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """One thing that differs. `what`: a picture came, went, moved to another group, was made anew of the same source
    (straightened, retouched), has another caption; or a group is seen another number of times.
    """

    what: Literal["added", "removed", "other group", "changed", "caption", "repeats"]
    file: str
    group: str
    before: str
    after: str


def show(workspace: Workspace, version: str) -> list[Shown]:
    """The pictures of a version, by its dataset's manifest or the copy a training run holds. Raises `WorkspaceError`
    when there is neither.
    """
    used = _used(workspace)
    return [
        Shown(
            file=str(entry["file"]),
            group=str(entry["group"]),
            caption=str(entry["caption"]),
            origin=describe(entry),
            sha256=str(entry["sha256"]),
            versions=tuple(used.get(_content(entry), ())),
        )
        for entry in _manifest(workspace, version)["pictures"]
    ]


def diff(workspace: Workspace, before: str, after: str) -> list[Difference]:
    """What `after` has that `before` has not, and the other way round. Raises `WorkspaceError` for one not known."""
    old, new = _manifest(workspace, before), _manifest(workspace, after)
    was = {_content(entry): entry for entry in old["pictures"]}
    now = {_content(entry): entry for entry in new["pictures"]}
    gone = {_root(entry): entry for key, entry in was.items() if key not in now}
    roots = {str(entry.get("from", {}).get("sha256", "")): root for root, entry in gone.items()}
    found: list[Difference] = []
    for key, entry in now.items():
        file, group = str(entry["file"]), str(entry["group"])
        if key in was:
            earlier = was[key]
            if earlier["group"] != group:
                found.append(Difference("other group", file, group, str(earlier["group"]), group))
            if earlier["caption"] != entry["caption"]:
                found.append(Difference("caption", file, group, str(earlier["caption"]), str(entry["caption"])))
        elif (root := _root(entry) if _root(entry) in gone else roots.get(_source(entry), "")) in gone:
            other = gone.pop(root)
            found.append(Difference("changed", file, group, describe(other), describe(entry)))
        else:
            found.append(Difference("added", file, group, "", describe(entry)))
    found += [Difference("removed", str(e["file"]), str(e["group"]), describe(e), "") for e in gone.values()]
    repeats = {group["name"]: group["repeats"] for group in old["groups"]}
    found += [
        Difference("repeats", "", group["name"], str(repeats[group["name"]]), str(group["repeats"]))
        for group in new["groups"]
        if group["name"] in repeats and repeats[group["name"]] != group["repeats"]
    ]
    return found


def describe(entry: Entry) -> str:
    """A picture's origin in words: `drawn with ai_model_v3-000060 at 0.8, seed 12, "a face", straightened by 3.1°`."""
    about = entry.get("from", {})
    origin = about.get("origin") or {}
    recipe = origin.get("recipe") or {}
    words = []
    if origin.get("imported_from"):
        words.append(f"imported from {origin['imported_from']}")
        if origin.get("source"):
            words.append(f"made of {origin['source']}")
    elif origin.get("source"):
        words.append(f"varied from {origin['source']}" if recipe else f"from {origin['source']}")
    elif not recipe:
        words.append(f"from {about.get('path', 'an unknown place')}")
    if recipe:
        loras = " + ".join(f"{use['stem']} at {use['weight']:g}" for use in recipe.get("loras", ()))
        words.append(f"drawn with {loras}" if loras else "drawn without LoRA")
        words.append(f"seed {recipe.get('seed')}")
        words.append(f'"{_short(str(recipe.get("prompt", "")))}"')
    elif origin.get("infotext"):
        words.append(f'A1111, seed {origin.get("seed", "?")}: "{_short(str(origin.get("prompt", "")))}"')
    if origin.get("straightened_deg"):
        words.append(f"straightened by {origin['straightened_deg']:.1f}°")
    if origin.get("changed_by_hand"):
        words.append("changed by hand")
    return ", ".join(words)


def to_dict(rows: Iterable[Shown | Difference]) -> list[dict[str, Any]]:
    """Plain values for JSON."""
    return [asdict(row) for row in rows]


def known_versions(workspace: Workspace) -> list[str]:
    """The versions whose dataset is built, and those that a training run remembers, by name."""
    root = workspace.dataset("x").parent
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    versions = [(folder, str(manifest["version"])) for folder in folders if (manifest := manifest_of(folder))]
    # Datasets put aside (changed by hand) carry the version they were.
    built = {version for folder, version in versions if folder == workspace.dataset(version)}
    return sorted(built | copies(workspace).keys())


def _manifest(workspace: Workspace, version: str) -> dict[str, Any]:
    manifest = manifest_of_version(workspace, version)
    if manifest is None:
        there = known_versions(workspace)
        raise WorkspaceError(
            f"The dataset of {version} is not built, and no training run remembers it.",
            fix=f"Known are: {', '.join(there)}." if there else "Run `orchestrator dataset build` first.",
        )
    return manifest


def _used(workspace: Workspace) -> dict[str, list[str]]:
    used: dict[str, list[str]] = {}
    for version in known_versions(workspace):
        for entry in _manifest(workspace, version)["pictures"]:
            versions = used.setdefault(_content(entry), [])
            if version not in versions:
                versions.append(version)
    return used


def _content(entry: Entry) -> str:
    return str(entry["sha256"])


def _source(entry: Entry) -> str:
    """The content of what a picture was made of: an imported one and the straightened one in its place are one."""
    return str((entry.get("from", {}).get("origin") or {}).get("source_sha256") or "")


def _root(entry: Entry) -> str:
    """What a picture was made of: two that share it are one picture, treated differently."""
    about = entry.get("from", {})
    origin = about.get("origin") or {}
    for name in ("source_sha256", "recipe_key", "imported_from"):
        if origin.get(name):
            return f"{name} {origin[name]} {origin.get('seed', '') if name == 'source_sha256' else ''}"
    return str(about.get("path", ""))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_PROMPT else text[: _LONGEST_PROMPT - 1].rstrip() + "…"
