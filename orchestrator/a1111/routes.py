"""What every group of routes stands on: GET and POST of one server, answers read into their shapes."""

from __future__ import annotations

import threading
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from orchestrator.a1111.connection import Connection
from orchestrator.a1111.dialect import Dialect, recognise
from orchestrator.errors import OrchestratorError, ServerError, ServerStarting

Shape = TypeVar("Shape")


class Routes:
    """One server, by its connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._dialect: Dialect | None = None
        self._recognising = threading.Lock()

    @property
    def url(self) -> str:
        return self.connection.url

    @property
    def simulated(self) -> bool:
        """Whether the last answer came from a simulation, which says so in a header of each."""
        return self.connection.simulated

    def get(self, route: str, **params: Any) -> Any:
        """The JSON of any GET route."""
        return self.connection.get(route, **params)

    def post(self, route: str, body: Any = None) -> Any:
        """The JSON of any POST route. Never repeated: A1111 goes on with a request whose caller is gone."""
        return self.connection.post(route, body)

    def dialect(self) -> Dialect:
        """Which fork this is, found out once and without drawing. Raises `ServerStarting` while its API is not
        complete.
        """
        with self._recognising:
            self._dialect = self._dialect or recognise(self)
            return self._dialect

    def _read(self, route: str, shape: TypeAdapter[Shape], **params: Any) -> Shape:
        return read(route, shape, self.get(route, **params))

    def _post_read(self, route: str, body: Any, shape: TypeAdapter[Shape]) -> Shape:
        return read(route, shape, self.post(route, body))

    def _read_if_there(self, route: str, shape: TypeAdapter[Shape]) -> Shape | None:
        """As `_read`, but None where the server has no such route (as opposed to: not yet)."""
        try:
            return self._read(route, shape)
        except ServerStarting:
            self._whole_api()
        try:
            return self._read(route, shape)
        except ServerStarting:
            return None

    def _whole_api(self) -> None:
        """Raise `ServerStarting` unless the API is complete: this is one of the last routes to appear."""
        self.get("/sdapi/v1/scripts")

    def _post_if_there(self, route: str, absent: OrchestratorError) -> Any:
        """POST where the route may be absent for good: then `absent` is raised. A 404 means that nothing was taken."""
        try:
            return self.post(route)
        except ServerStarting:
            self._whole_api()
        raise absent


def read(route: str, shape: TypeAdapter[Shape], answer: Any) -> Shape:
    """`answer` in its shape. Raises `ServerError` when it has another."""
    try:
        return shape.validate_python(answer)
    except ValidationError as error:
        raise not_its_shape(route, error) from error


def not_its_shape(route: str, error: Exception) -> ServerError:
    """An answer that is no answer of A1111's. The values themselves are left out: pictures and passwords are among
    them.
    """
    if isinstance(error, ValidationError):
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)[:3]]
        text = "; ".join(problems)
    else:
        text = str(error)
    return ServerError(
        route,
        200,
        type(error).__name__,
        f"the answer has not the shape of A1111's: {text}",
        cause="An extension changes it, or something in between is not A1111.",
        fix="Look at the answer with `client.get` or `client.post`, and say which version this is in a report.",
    )
