"""The two shapes in which the server refuses something."""

from __future__ import annotations

from typing import Any


class ServerError(Exception):
    """Becomes `{"error": kind, "detail": …, "body": "", "errors": message}`, the server's answer to nearly
    every failure."""

    def __init__(self, kind: str, message: str = "", *, status: int = 500, detail: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.detail = detail

    def body(self) -> dict[str, Any]:
        """The JSON the client reads."""
        return {"error": self.kind, "detail": self.detail, "body": "", "errors": self.message}


def http_error(status: int, detail: str) -> ServerError:
    """A refusal the server words itself: the sentence is in `detail`, `errors` stays empty."""
    return ServerError("HTTPException", status=status, detail=detail)


class InvalidBody(Exception):
    """Becomes 422 `{"detail": [{loc, msg, type}, …]}`."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        super().__init__(str(problems))
        self.problems = problems


class Died(Exception):
    """The server ended while this request waited or ran: there is nobody left to answer it."""
