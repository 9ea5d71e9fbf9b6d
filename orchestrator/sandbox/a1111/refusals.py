"""The answer to a request that failed or was refused, in the shape of each dialect."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from . import answers, pydantic2
from .dialects import Dialect
from .failures import InvalidBody, ServerError
from .life import Client, Life


def refusal(
    refused: InvalidBody | ServerError, dialect: Dialect, zipped: bool, life: Life, client: Client | None
) -> Response:
    """422 with its list of problems, or the status and body of an error."""
    if isinstance(refused, InvalidBody):
        problems = pydantic2.problems(refused.problems, refused.sent) if dialect.pydantic2 else refused.problems
        return answers.response(answers.to_bytes({"detail": problems}), 422, zipped=zipped)
    answer = answers.response(answers.to_bytes(refused.body(dialect)), refused.status, zipped=zipped)
    if refused.status == 401 and dialect.challenges:
        answer.headers["WWW-Authenticate"] = "Basic"
    if dialect.closes_after_error and not refused.worded:
        return _Closing(answer, life, client)
    return answer


class _Closing(Response):
    """Its connection ends after it, though nothing in it says so."""

    def __init__(self, answer: Response, life: Life, client: Client | None) -> None:
        super().__init__(answer.body, answer.status_code)
        self.raw_headers = answer.raw_headers
        self._life, self._client = life, client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)
        self._life.connections.close(self._client)
