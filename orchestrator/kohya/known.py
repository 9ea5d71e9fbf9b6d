"""Names that sd-scripts takes as free text: optimizers, learning rate schedulers, network modules. Which there are is
read from the install; what they need beside it, too.

argparse knows no choices for them, so a misspelt one is found only after the model was loaded.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestrator.errors import Problem
from orchestrator.kohya import names_in_source
from orchestrator.kohya import packages as site
from orchestrator.kohya.code_cache import remembered
from orchestrator.kohya.install import KohyaInstall

#: sd-scripts v0.10.1: name → the module it imports for it (empty = comes with torch or transformers). Upper and lower
#: case do not matter to sd-scripts here.
_OPTIMIZERS: Mapping[str, str] = {
    **dict.fromkeys(("AdamW", "Adafactor", "SGDNesterov"), ""),
    **dict.fromkeys(
        (
            *("AdamW8bit", "Lion8bit", "SGDNesterov8bit", "PagedAdamW", "PagedAdamW8bit", "PagedAdamW32bit"),
            "PagedLion8bit",
        ),
        "bitsandbytes",
    ),
    "Lion": "lion_pytorch",
    "Prodigy": "prodigyopt",
    **dict.fromkeys(
        (
            *("DAdaptation", "DAdaptAdamPreprint", "DAdaptAdaGrad", "DAdaptAdam", "DAdaptAdan", "DAdaptAdanIP"),
            *("DAdaptLion", "DAdaptSGD"),
        ),
        "dadaptation",
    ),
    **dict.fromkeys(("RAdamScheduleFree", "AdamWScheduleFree", "SGDScheduleFree"), "schedulefree"),
}
#: torch 2.13's `torch.optim`; any other name without a dot is looked up there, and case matters.
_TORCH_OPTIMIZERS = (
    *("ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "Muon", "NAdam", "RAdam"),
    *("RMSprop", "Rprop", "SGD", "SparseAdam"),
)
#: sd-scripts v0.10.1, `get_scheduler_fix`.
_SCHEDULERS = (
    *("constant", "constant_with_warmup", "cosine", "cosine_with_min_lr", "cosine_with_restarts", "inverse_sqrt"),
    *("linear", "piecewise_constant", "polynomial", "warmup_stable_decay"),
)
#: Optimizers whose learning rate is a factor around 1, found by themselves.
ADAPTIVE = re.compile(r"dadapt\w*|prodigy|(\w+\.)+prodigy\w*", re.IGNORECASE)


@dataclass(frozen=True)
class Known:
    """What an install can be asked for.

    `optimizers`: name → module it needs (empty = none); `torch_optimizers` are taken in exactly this spelling;
    `network_modules` is empty where they could not be listed; `imports` are the modules of others without which
    sd-scripts does not even start.
    """

    optimizers: Mapping[str, str]
    torch_optimizers: tuple[str, ...] = _TORCH_OPTIMIZERS
    schedulers: tuple[str, ...] = _SCHEDULERS
    network_modules: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()


#: What sd-scripts v0.10.1 knows, for installs that cannot be read.
USUAL = Known(_OPTIMIZERS)


def read(install: KohyaInstall, cache: Path | None = None) -> Known:
    """What `install` knows, from its source and from the torch beside its Python. Runs nothing.

    Read once per process and, where a `cache` folder is given, once per version of the code. Where a function is not
    found as in any known version, sd-scripts v0.10.1 is assumed.
    """
    return _read(install.root, install.python, install.code_hash, cache)


def problems(values: Mapping[str, Any], known: Known = USUAL) -> list[Problem]:
    """Names in `values` that this install does not know."""
    return [*_optimizer(values, known), *_scheduler(values, known), *_network(values, known)]


def missing_packages(
    values: Mapping[str, Any], packages: Mapping[str, str], known: Known = USUAL, *, python: Path | None = None
) -> list[Problem]:
    """What `values` need and `packages` (as from `packages.installed`) lack; the place is the argument that needs it.
    With `python`, what lies beside it without being installed as a package counts, too.

    Nothing can be said of an environment without torch unless the install itself is known to import it: its packages
    lie elsewhere, or it is none that trains. sd-scripts' own imports are named with an empty place.
    """
    if not packages:
        return []

    def lacks(module: str) -> bool:
        return site.lacks(python, module, packages) if python is not None else not site.brings(module, packages)

    found: list[Problem] = []
    if absent := [site.package_of(name) for name in known.imports if lacks(name)]:
        them = "it" if len(absent) == 1 else "them"
        what = f"kohya's Python has no {', '.join(absent)}, and sd-scripts does not start without {them}"
        found.append(Problem("", what, "run kohya's setup script again, or name the right Python with --kohya-python"))
    if "torch" in packages:
        found += [
            Problem(
                key,
                f"{what} needs {site.package_of(module)}, which kohya's Python does not have",
                f"install {site.package_of(module)} there with pip, or choose another",
            )
            for key, what, module in _needed(values, known)
            if lacks(module)
        ]
    return found


def is_adaptive(optimizer: Any) -> bool:
    """Whether the optimizer finds its learning rate itself, so that the one given is a factor around 1."""
    return isinstance(optimizer, str) and ADAPTIVE.fullmatch(optimizer) is not None


def nearest(name: str, names: Collection[str], *, cutoff: float = 0.5) -> str:
    """`did you mean X?` for the name that looks most like `name`; empty when none does. Case does not count."""
    folded = {candidate.casefold(): candidate for candidate in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=cutoff)
    return f"did you mean {folded[near[0]]}?" if near else ""


def _optimizer(values: Mapping[str, Any], known: Known) -> Iterator[Problem]:
    name = values.get("optimizer_type")
    if not isinstance(name, str) or not name or "." in name:
        return
    names = (*known.optimizers, *known.torch_optimizers)
    if name.casefold() in {known_name.casefold() for known_name in known.optimizers} or name in known.torch_optimizers:
        return
    yield Problem(
        "optimizer_type",
        f"this sd-scripts knows no optimizer {name!r}",
        nearest(name, names) or f"there are {', '.join(sorted(set(names), key=str.casefold))}",
    )


def _scheduler(values: Mapping[str, Any], known: Known) -> Iterator[Problem]:
    name = values.get("lr_scheduler")
    optimizer = str(values.get("optimizer_type") or "").lower()
    # A class of one's own goes before the name; schedule-free optimizers and Adafactor (by default) ignore it.
    if not isinstance(name, str) or values.get("lr_scheduler_type") or optimizer.endswith("schedulefree"):
        return
    if name in known.schedulers or (name.startswith("adafactor") and optimizer == "adafactor"):
        return
    yield Problem(
        "lr_scheduler",
        f"this sd-scripts knows no scheduler {name!r}",
        nearest(name, known.schedulers) or f"there are {', '.join(known.schedulers)}",
    )


def _network(values: Mapping[str, Any], known: Known) -> Iterator[Problem]:
    name = values.get("network_module")
    if not isinstance(name, str) or not name.startswith("networks.") or not known.network_modules:
        return
    if name not in known.network_modules:
        yield Problem("network_module", f"this sd-scripts has no {name}", nearest(name, known.network_modules))


def _needed(values: Mapping[str, Any], known: Known) -> Iterator[tuple[str, str, str]]:
    """Argument, its value in words, module it needs."""
    name = values.get("optimizer_type")
    if isinstance(name, str) and name:
        modules = {known_name.casefold(): module for known_name, module in known.optimizers.items()}
        module = modules.get(name.casefold(), name.split(".")[0] if "." in name else "")
        if module and module != "torch":
            yield "optimizer_type", name, module
    if values.get("use_8bit_adam"):
        yield "use_8bit_adam", "use_8bit_adam", "bitsandbytes"
    if values.get("use_lion_optimizer"):
        yield "use_lion_optimizer", "use_lion_optimizer", "lion_pytorch"
    if values.get("xformers"):
        yield "xformers", "xformers", "xformers"
    if values.get("deepspeed"):
        yield "deepspeed", "deepspeed", "deepspeed"
    logs = values.get("log_with") or ("tensorboard" if values.get("logging_dir") else "")
    if logs in {"tensorboard", "all"}:
        yield ("log_with" if values.get("log_with") else "logging_dir"), "its log", "tensorboard"
    if logs in {"wandb", "all"}:
        yield "log_with", "wandb", "wandb"
    network = values.get("network_module")
    if isinstance(network, str) and network and not network.startswith("networks."):
        yield "network_module", network, network.split(".")[0]


@lru_cache(maxsize=16)
def _read(root: Path, python: Path, code_hash: str, cache: Path | None) -> Known:
    found = remembered(cache, "known", code_hash, Path(names_in_source.__file__), lambda: names_in_source.read(root))
    return Known(
        optimizers=found["optimizers"] or _OPTIMIZERS,
        torch_optimizers=names_in_source.torch_optimizers(python) or _TORCH_OPTIMIZERS,
        schedulers=tuple(found["schedulers"]) or _SCHEDULERS,
        network_modules=tuple(found["network_modules"]),
        imports=tuple(found["imports"]),
    )
