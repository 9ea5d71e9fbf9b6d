"""The moments after the port opened: the API is not there yet, and asking for it can be the end of the server."""

from __future__ import annotations

import sys

from starlette.types import ASGIApp, Receive, Scope, Send

from . import answers
from .dialects import Dialect

_LATE = ("/sdapi/v1/loras", "/sdapi/v1/refresh-loras")
"""On Forge these appear last."""
_FAILURE = """Traceback (most recent call last):
  File "launch.py", line 48, in <module>
    main()
  File "modules/api/api.py", in api_middleware
    @app.middleware("http")
RuntimeError: Cannot add middleware after an application has started
"""


class Window:
    """Passes requests on once the API is there; before that, everything under /sdapi is 404.

    A bare TCP connection without a request is harmless, as on the real servers.
    """

    def __init__(self, dialect: Dialect, seconds: float) -> None:
        self._dialect = dialect
        self._touched = False
        self._api = self._all = seconds <= 0

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application behind this window."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or self._all:
                await app(scope, receive, send)
                return
            if not self._api:
                self._touched = True
            path = scope["path"]
            if path.startswith("/sdapi/") and not (self._api and path not in _LATE):
                await answers.response(answers.to_bytes({"detail": "Not Found"}), 404)(scope, receive, send)
                return
            await app(scope, receive, send)

        return guarded

    def add_api(self) -> int | None:
        """The moment the routes are added. None when that works, else the exit code, or 0 for a server that lives on
        without an API for ever."""
        if self._touched and self._dialect.early_request != "survives":
            sys.stderr.write(_FAILURE)
            sys.stderr.flush()
            return 1 if self._dialect.early_request == "dies" else 0
        self._api = True
        return None

    @property
    def comes_late(self) -> bool:
        """Whether some routes need as long again."""
        return self._dialect.early_request == "survives"

    def finish(self) -> None:
        """Every route is there."""
        self._all = True
