"""Everything that can go wrong, in one tree.

    OrchestratorError                    exit code
    ├── InputError                       3   something the user wrote or chose
    │   ├── ProfileError                     lora.toml or a shipped profile
    │   ├── WorkspaceError                   the folder is not a workspace, or something in it is missing
    │   ├── PictureError                     a file that is no usable picture
    │   ├── DatasetError                     a dataset that cannot be built or trained on
    │   └── TrainingRefused                  everything that speaks against a training, before it is started
    ├── InstallError                     4   a program we drive is missing or does not answer
    │   ├── ServerUnreachable                A1111
    │   │   ├── ServerStarting                   … something answers, but has no API (yet)
    │   │   └── AnswerLost                       … the request was sent, and no whole answer came back
    │   ├── KohyaNotFound                    sd-scripts
    │   └── MissingExtra                     an optional part of this package
    ├── ToolError                        5   a program we drive answered, and failed
    │   ├── ServerError                      A1111
    │   └── TrainingFailed                   sd-scripts
    ├── ProofError                       6   A1111 said yes and did something else
    ├── StorageError                     7   disk full, no permission, a file that another program holds
    │   └── LedgerError                          the queue's ledger: damaged, locked, newer, on a network drive
    └── CardTaken                        8   another command or queue of ours computes on the graphics card

Every error says what happened, why probably, and what to do now. Exit code 1 is a defect of ours, 2 is a wrong command
line, 130 is Ctrl-C. `dataset check` ends with 8 when something would be locked in, and with 3 when the dataset cannot
be trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class OrchestratorError(Exception):
    """An error meant for the person at the keyboard.

    `what` happened is one sentence; `cause` is the probable reason; `fix` is what to do now. The two may be empty,
    `what` may not.
    """

    exit_code = 1

    def __init__(self, what: str, *, cause: str = "", fix: str = "") -> None:
        self.what = what
        self.cause = cause
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.cause, self.fix) if part)


class InputError(OrchestratorError):
    """Something the user wrote or chose cannot be used."""

    exit_code = 3


class ProfileError(InputError):
    """A profile cannot be used. `problems` holds all of them, each as `place: what is wrong`."""

    def __init__(self, source: Path | str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        listed = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(
            f"{source} has {count}:\n{listed}", fix="Correct the lines above and run the same command again."
        )


class WorkspaceError(InputError):
    """The folder is not a workspace, or what a command needs from it is not there yet."""


class PictureError(InputError):
    """A file is not a picture we can use."""

    def __init__(self, path: Path | str, why: str) -> None:
        self.path = path
        super().__init__(
            f"{path} cannot be used as a picture: {why}.",
            fix="Remove the file or replace it, then run the same command again.",
        )


class DatasetError(InputError):
    """A dataset cannot be built, or must not be trained on."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, where it stands (`training.extra.network_dimm`, a file, a line) and its cure."""

    place: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"{place}{self.what}" + (f" ({self.fix})" if self.fix else "")


class TrainingRefused(InputError):
    """A training was not started. `problems` holds everything found, so that one look mends it all."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        listed = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(
            f"The training was not started, {count}:\n{listed}",
            fix="Mend what is listed and run the same command again; the graphics card was not touched.",
        )


class InstallError(OrchestratorError):
    """A program we drive, or an optional part of ours, is missing."""

    exit_code = 4


class ServerUnreachable(InstallError):
    """Nothing answers at the address of A1111, or something else does."""

    def __init__(self, url: str, *, cause: str = "", fix: str = "") -> None:
        self.url = url
        super().__init__(
            f"No A1111 at {url}.",
            cause=cause or "It is not running, or it was started without --api.",
            fix=fix or "Start the webui with --api (COMMANDLINE_ARGS in webui-user), or name its address with --url.",
        )


class ServerStarting(ServerUnreachable):
    """Something answers there, but its API is not there: A1111 is still starting, or was started without --api.

    Nothing was drawn: the same request may be sent again once the API is there.
    """


class AnswerLost(ServerUnreachable):
    """A request was sent and no whole answer came back: reset, cut off, or given up after the server forgot it.

    The server may have done the work all the same. `task` is the id the request was sent with (empty = none).
    `answers` tells that the server itself was heard meanwhile: it is there, and not just starting.
    """

    def __init__(self, url: str, *, task: str = "", answers: bool = False, cause: str = "", fix: str = "") -> None:
        self.task = task
        self.answers = answers
        super().__init__(url, cause=cause, fix=fix)


class KohyaNotFound(InstallError):
    """No usable sd-scripts at the place given."""


class MissingExtra(InstallError):
    """An optional part of this package is needed and not installed."""

    def __init__(self, extra: str, what_for: str, *, cause: str = "") -> None:
        self.extra = extra
        super().__init__(
            f"{what_for}: not measured.",
            cause=cause,
            fix=f"python3 -m pip install -e '.[{extra}]' adds what is missing.",
        )


class ToolError(OrchestratorError):
    """A program we drive answered, and failed."""

    exit_code = 5


class ServerError(ToolError):
    """A1111 answered a request with an error. `status` is the HTTP code, `kind` the exception class it named (may be
    empty).
    """

    def __init__(self, route: str, status: int, kind: str, text: str, *, cause: str = "", fix: str = "") -> None:
        self.route = route
        self.status = status
        self.kind = kind
        self.text = text
        named = f"{kind}: {text}" if kind else text
        super().__init__(f"A1111 answered {route} with {status} ({named}).", cause=cause, fix=fix)


class TrainingFailed(ToolError):
    """sd-scripts ended without a usable LoRA file."""


class ProofError(OrchestratorError):
    """A1111 answered 200 and did something else than asked. `differences` names each one as `what: asked x, used y`."""

    exit_code = 6

    def __init__(self, differences: Sequence[str], *, fix: str = "") -> None:
        self.differences = tuple(differences)
        super().__init__(
            "A1111 did not draw what was asked: " + "; ".join(self.differences) + ".",
            cause="A1111 answers 200 even when a LoRA, checkpoint or sampler is unknown to it.",
            fix=fix or "The picture was not kept. Check the name above in the webui, then run the same command again.",
        )


class StorageError(OrchestratorError):
    """The disk is full, a folder may not be written, or another program holds a file."""

    exit_code = 7


class LedgerError(StorageError):
    """The ledger of the queue cannot be used: damaged, locked, written by a newer version, or on a network drive."""


class CardTaken(OrchestratorError):
    """Another command or queue of ours computes on the graphics card."""

    exit_code = 8
