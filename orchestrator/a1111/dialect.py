"""Which fork of A1111 answers, and what follows from it for a client.

Observed on A1111 1.10.1, Forge 2.0.1 and reForge 1.0.0v2; classic (Forge-classic, and old servers like it) was read in
its source only, so where that does not decide, its traits are the careful ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from orchestrator.errors import ServerError, ServerStarting

DialectName = Literal["A1111", "Forge", "reForge", "classic"]


@dataclass(frozen=True)
class Dialect:
    """What differs between the forks."""

    name: DialectName
    #: One LoRA of the prompt that the server does not have makes it leave out all of them.
    drops_all_loras: bool = False
    #: A LoRA file replaced under its old name goes on drawing with its old weights, under the new hash.
    keeps_replaced_loras: bool = False
    #: A LoRA whose hash the answer shows was really applied.
    hash_is_proof: bool = True
    #: There is /sdapi/v1/schedulers, and a schedule is not a part of a sampler's name.
    has_schedulers: bool = True
    #: There is /sdapi/v1/sd-vae; without it VAEs are among /sdapi/v1/sd-modules.
    has_sd_vae: bool = True
    #: The second pass of a hires request has a CFG of its own, which is 1 unless it is sent.
    has_hr_cfg: bool = False


# Its source goes on without a layer whose sizes do not fit, as reForge was observed to do.
A1111_DIALECT = Dialect("A1111", hash_is_proof=False)
FORGE = Dialect(
    "Forge",
    drops_all_loras=True,
    keeps_replaced_loras=True,
    has_sd_vae=False,
    has_hr_cfg=True,
)
REFORGE = Dialect(
    "reForge",
    drops_all_loras=True,
    keeps_replaced_loras=True,
    hash_is_proof=False,
    has_hr_cfg=True,
)
CLASSIC = Dialect(
    "classic",
    drops_all_loras=True,
    keeps_replaced_loras=True,
    hash_is_proof=False,
    has_schedulers=False,
)

_BY_VERSION = (
    (re.compile(r"v?1\.\d"), A1111_DIALECT),
    (re.compile(r"f2\."), FORGE),
    (re.compile(r"f1\."), REFORGE),
    # Forge of early 2024, before schedules were a field of their own.
    (re.compile(r"f0\."), CLASSIC),
    (re.compile(r"classic"), CLASSIC),
)


class Asks(Protocol):
    """The part of a client that recognising needs."""

    def get(self, route: str, **params: Any) -> Any: ...


def dialect_of_version(text: str) -> Dialect | None:
    """The dialect by the version that stands in infotexts (`v1.10.1`, `f2.0.1v1.10.1-…`); None = unknown to us."""
    return next((dialect for pattern, dialect in _BY_VERSION if pattern.match(text.strip())), None)


def recognise(server: Asks) -> Dialect:
    """Which dialect `server` speaks, by two to four GETs and without drawing.

    Raises `ServerStarting` while its API is not complete: the routes of Forge appear one by one. An old A1111 without
    schedulers (before 1.9) passes for classic, whose careful traits suit it.
    """
    options = _options(server)
    if "forge_preset" in options:
        return FORGE
    if any(name.startswith("reforge_") for name in options):
        return REFORGE
    # Asked first: this is one of the last routes to appear, so whatever is missing after it stays missing.
    scripts = server.get("/sdapi/v1/scripts")
    if not options and has_route(server, "/sdapi/v1/sd-modules"):
        return FORGE
    if any(str(name).casefold().endswith("for reforge") for names in scripts.values() for name in names):
        return REFORGE
    return A1111_DIALECT if has_route(server, "/sdapi/v1/schedulers") else CLASSIC


def has_route(server: Asks, route: str) -> bool:
    """Whether `server`, whose API is complete, answers a GET of `route` at all."""
    try:
        server.get(route)
    except ServerStarting:
        return False
    except ServerError as error:
        return error.status not in {404, 405}
    return True


def _options(server: Asks) -> dict[str, Any]:
    try:
        return dict(server.get("/sdapi/v1/options"))
    except ServerError as error:
        # Once a value of a wrong type was posted, every GET of the options is a 500 until it is put right.
        if error.status < 500:
            raise
        return {}
