"""The two shapes in which the server refuses something."""

from __future__ import annotations

from typing import Any

from .dialects import A1111, Dialect

NAN = (
    "A tensor with NaNs was produced in Unet. This could be either because there's not enough precision to represent "
    'the picture, or because your video card does not support half type. Try setting the "Upcast cross attention '
    'layer to float32" option in Settings > Stable Diffusion or using the --no-half commandline argument to fix this. '
    "Use --disable-nan-check commandline argument to disable this check."
)
"""What the server says when the model gave no picture."""


class ServerError(Exception):
    """Becomes `{"error": kind, "detail": …, "body": "", "errors": message}`, the server's answer to nearly
    every failure."""

    def __init__(self, kind: str, message: str = "", *, status: int = 500, detail: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.detail = detail

    @property
    def worded(self) -> bool:
        """Refused in the server's own words rather than failed."""
        return self.kind == "HTTPException"

    def body(self, dialect: Dialect = A1111) -> dict[str, Any]:
        """The JSON the client reads."""
        if self.worded and dialect.plain_http_errors:
            return {"detail": self.detail}
        return {"error": self.kind, "detail": self.detail, "body": "", dialect.error_key: self.message}


def http_error(status: int, detail: str) -> ServerError:
    """A refusal the server words itself: the sentence is in `detail`, `errors` stays empty."""
    return ServerError("HTTPException", status=status, detail=detail)


class InvalidBody(Exception):
    """Becomes 422 `{"detail": [{loc, msg, type}, …]}`; `sent` is the body it is about."""

    def __init__(self, problems: list[dict[str, Any]], sent: Any = None) -> None:
        super().__init__(str(problems))
        self.problems = problems
        self.sent = sent


class Died(Exception):
    """The server ended while this request waited or ran: there is nobody left to answer it."""
