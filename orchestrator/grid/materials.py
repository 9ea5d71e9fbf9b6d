"""What recipes from another time or machine need, looked for here by content: LoRA files, checkpoints, VAEs, pictures.

Names prove nothing: a LoRA may be called otherwise here, and another file may have its name. So every file is known by
its hash, among those the server lists and those of this workspace's runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.a1111.models import LoraEntry
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.files import sha256_file
from orchestrator.lora.catalog import LoraFile
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.render.server import Server, connect

#: Digits of a hash that are told to people.
_DIGITS = 12
#: Options that say where files lie or what is run: a stranger's recipe does not get to set them.
_NOT_A_STRANGERS = re.compile(r"dir|path|file|folder|command|script|url|host|token|password", re.IGNORECASE)

#: Gives the server a file of a run, and returns the stem it has there.
Deploys = Callable[[LoraFile], str]


def _cannot_deploy(file: LoraFile) -> str:
    raise InputError(f"{file.path.name} is not given to the webui.")


@dataclass(frozen=True)
class Materials:
    """Finds by content what recipes name, on `server` and among `files`, which are the LoRA files of runs here.

    `deploy` gives the server one of them. `trusted` recipes are this workspace's own; others may not set options of the
    webui that concern files, nor send work to its extensions. `pictures` are where init pictures and masks may lie.
    """

    server: Server
    files: Callable[[], Iterable[LoraFile]] = tuple
    deploy: Deploys = _cannot_deploy
    trusted: bool = True
    pictures: tuple[Path, ...] = ()
    _loras: dict[str, LoraUse | str] = field(default_factory=dict, init=False, repr=False, compare=False)
    _models: dict[tuple[str, ...], Mapping[str, str] | str] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def bind(self, recipe: Recipe) -> tuple[Recipe, str]:
        """`recipe` as this server is asked for it, and why it cannot be drawn (empty = it can).

        What cannot differ without being another picture stays or is a problem: LoRA files, checkpoint, VAE, init
        picture. The server's version and settings become those of now: nobody can ask for others.
        """
        problems = []
        uses = []
        for use in recipe.loras:
            here = self.lora(use)
            problems += [here] if isinstance(here, str) else []
            uses.append(use if isinstance(here, str) else here)
        model = self.model(recipe)
        problems += [model] if isinstance(model, str) else []
        changes: dict[str, Any] = {} if isinstance(model, str) else dict(model)
        for what, digest, place in (
            ("picture to vary", recipe.init_sha256, "init_path"),
            ("mask", recipe.mask_sha256, "mask_path"),
        ):
            if digest and (path := self._picture(digest)) is not None:
                changes[place] = path
            elif digest:
                problems.append(f"{what} missing: no file with its content ({digest[:_DIGITS]}) is here (--init FILE)")
        problems += self._distrusted(recipe)
        bound = recipe.evolve(
            loras=tuple(uses),
            server_version=self.server.version,
            settings_hash=self.server.settings_hash,
            **changes,
        )
        return bound, "; ".join(dict.fromkeys(problems))

    def lora(self, use: LoraUse) -> LoraUse | str:
        """`use` under the stem its file has here, or why there is none: `LoRA missing: …`."""
        if use.sha256 not in self._loras:
            self._loras[use.sha256] = self._find_lora(use)
        found = self._loras[use.sha256]
        return found if isinstance(found, str) else replace(use, stem=found.stem, shown_hash=found.shown_hash)

    def _find_lora(self, use: LoraUse) -> LoraUse | str:
        listed = self._once("listed", self._listed)
        # The one that is called so first: it is most often the one, and every other file would have to be read.
        for entry in sorted(listed, key=lambda entry: entry.name != use.stem):
            stored = str(entry.metadata.get("sshs_model_hash") or "")
            if stored and not (use.shown_hash and stored.startswith(use.shown_hash)):
                continue
            path = Path(entry.path)
            if path.is_file():
                if use.sha256.removeprefix("model:") in {self._sha256(path), stored}:
                    return replace(use, stem=entry.name)
            elif stored and not path.parent.is_dir():
                # On another machine: the hash of its weights is all there is, and it is what decides the pixels.
                return replace(use, stem=entry.name)
        for file in self._once("files", lambda: list(self.files())):
            if use.sha256 in {file.sha256, f"model:{file.model_hash}"}:
                return replace(use, stem=self.deploy(file), shown_hash=file.shown_hash)
        digits = use.sha256.removeprefix("model:")[:_DIGITS]
        return (
            f"LoRA missing: {use.stem} ({digits}) is neither in the webui nor among this workspace's runs: copy the "
            "file into models/Lora, under any name"
        )

    def _listed(self) -> list[LoraEntry]:
        # Files that were deleted or renamed stay in its list until it reads the folder again.
        self.server.client.refresh_loras()
        return self.server.client.loras()

    def model(self, recipe: Recipe) -> Mapping[str, str] | str:
        """The fields of a recipe that name checkpoint and VAE here, or why they cannot be had."""
        wanted = (recipe.checkpoint_hash, recipe.checkpoint, recipe.vae_hash, recipe.vae)
        if wanted not in self._models:
            self._models[wanted] = self._find_model(recipe)
        return self._models[wanted]

    def _find_model(self, recipe: Recipe) -> Mapping[str, str] | str:
        server = self.server
        if recipe.checkpoint_hash and recipe.checkpoint_hash != server.checkpoint_hash:
            listed = self._once("models", server.client.models)
            named = recipe.checkpoint.partition(" [")[0]
            by_hash = [entry for entry in listed if entry.hash == recipe.checkpoint_hash]
            # A checkpoint that was never loaded has no hash yet; one of that name may be it, and loading it tells.
            by_name = [entry for entry in listed if not entry.hash and entry.answers_to(named)]
            missing = (
                f"checkpoint missing: {named or 'it'} [{recipe.checkpoint_hash}] is not in the webui: copy the file "
                "into models/Stable-diffusion, under any name, and load it once"
            )
            if not by_hash and not by_name:
                return missing
            try:
                server = connect(server.client, (by_hash or by_name)[0].title, server.vae, memory=server.memory)
            except OrchestratorError as error:
                return f"checkpoint missing: {error.what}"
            if server.checkpoint_hash != recipe.checkpoint_hash:
                return missing
        if recipe.vae_hash != server.vae_hash:
            try:
                vae = recipe.vae or ("None" if not recipe.vae_hash else "")
                server = connect(server.client, server.checkpoint, vae, memory=server.memory)
            except OrchestratorError as error:
                return f"VAE missing: {error.what}"
            if recipe.vae_hash != server.vae_hash:
                wanted = f"{recipe.vae} [{recipe.vae_hash}]".strip() if recipe.vae_hash else "none"
                has = f"{server.vae} [{server.vae_hash}]".strip() if server.vae_hash else "none"
                return f"VAE other: asked {wanted}, the webui has {has}: choose that VAE in the webui"
        return {
            "checkpoint": server.checkpoint,
            "checkpoint_hash": server.checkpoint_hash,
            "vae": server.vae,
            "vae_hash": server.vae_hash,
        }

    def _picture(self, digest: str) -> Path | None:
        def sha256s() -> dict[str, Path]:
            return {sha256_file(path): path for path in self.pictures if path.is_file()}

        return self._once("pictures", sha256s).get(digest)  # type: ignore[no-any-return]

    def _distrusted(self, recipe: Recipe) -> list[str]:
        if self.trusted:
            return []
        if recipe.alwayson_scripts:
            return ["it sends work to extensions of the webui, which a file from elsewhere may not"]
        if not recipe.options:
            return []
        present = self._once("options", self.server.client.options)
        try:
            options = json.loads(recipe.options)
            strange = [
                name
                for name, value in options.items()
                if name not in present
                or _NOT_A_STRANGERS.search(name)
                or isinstance(value, dict | list)
                or (isinstance(value, str) != isinstance(present[name], str) and present[name] is not None)
            ]
        except (ValueError, AttributeError):
            return ["the options it sets cannot be read"]
        return [f"it sets the webui's option {name!r}, which a file from elsewhere may not" for name in strange]

    def _sha256(self, path: Path) -> str:
        return self._once(f"sha256 {path}", lambda: sha256_file(path))  # type: ignore[no-any-return]

    def _once(self, name: str, find: Callable[[], Any]) -> Any:
        if name not in self._kept:
            self._kept[name] = find()
        return self._kept[name]
