"""One life of the server process: its open connections, and how it ends (stopped, killed, restarted)."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

Client = tuple[str, int]


class Connections:
    """Open connections by the client's address and port, so that a fault can cut the one a request came on.

    To be used in the event loop's thread only, except `alive`. Without a socket behind the request (an application
    called in-process) every method is harmless.
    """

    def __init__(self) -> None:
        self._open: dict[Client, asyncio.Transport] = {}
        self._lost: dict[Client, asyncio.Event] = {}
        self._held: set[Client] = set()

    def protocol(self) -> type[H11Protocol]:
        """uvicorn's own protocol, its connections entered here."""
        connections = self

        class Entered(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                if self.client is not None:
                    connections._open[self.client] = transport
                    connections._lost[self.client] = asyncio.Event()

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                if self.client is not None:
                    connections._open.pop(self.client, None)
                    connections._lost.pop(self.client).set()

        return Entered

    def alive(self, client: Client | None) -> bool:
        """Whether the client has not hung up."""
        return client is None or not self._open or client in self._open

    def close(self, client: Client | None) -> None:
        """Close properly (FIN) after what is already written."""
        transport = self._open.get(client) if client else None
        if transport is not None:
            transport.close()

    def reset(self, client: Client | None) -> None:
        """Close with a reset (RST): what is not yet read by the client is lost."""
        transport = self._open.get(client) if client else None
        if transport is None:
            return
        sock: Any = transport.get_extra_info("socket")
        # two shorts on Windows, two ints elsewhere: on, after 0 seconds
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if os.name == "nt" else "ii", 1, 0))
        transport.abort()

    def reset_all(self) -> None:
        """As when a process dies."""
        for client in list(self._open):
            self.reset(client)

    async def gone(self, client: Client | None) -> None:
        """Wait until the connection is lost, however long the client holds it, or the server stops."""
        lost = self._lost.get(client) if client else None
        if client is None or lost is None:
            return
        self._held.add(client)
        try:
            await lost.wait()
        finally:
            self._held.discard(client)

    def release(self) -> None:
        """Reset the connections that are held open on purpose: nobody shall wait for them at the end."""
        for client in list(self._held):
            self.reset(client)


class Uvicorn(uvicorn.Server):
    """A server that, asked to stop, does not wait for requests held open on purpose."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = connections

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let go of them, then as always."""
        self._connections.release()
        await super().shutdown(sockets)


@dataclass(frozen=True)
class Ending:
    """How a life ended: with which exit code, or to be followed by another."""

    code: int = 0
    again: bool = False


@dataclass
class Life:
    """What the application may do to its process. Not bound to a server (an in-process test) it does nothing."""

    connections: Connections = field(default_factory=Connections)
    ending: Ending | None = None
    _server: uvicorn.Server | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _stopped: bool = False
    _mourners: list[Callable[[], None]] = field(default_factory=list)

    def bind(self, server: uvicorn.Server, loop: asyncio.AbstractEventLoop) -> None:
        """The server runs in this loop."""
        self._server, self._loop = server, loop
        server.should_exit = self._stopped

    def stop(self) -> None:
        """End properly: no new connections, answers under way are sent. May be called from any thread."""
        self._stopped = True
        if self._server is not None:
            self._server.should_exit = True

    def at_death(self, call: Callable[[], None]) -> None:
        """Call this as soon as the process dies."""
        self._mourners.append(call)

    def die(self, ending: Ending) -> None:
        """At once: the port is refused, every connection reset, nothing finished. May be called from any thread."""
        self.ending = ending
        for call in self._mourners:
            call()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._die)

    def _die(self) -> None:
        if self._server is None:
            return
        for listening in self._server.servers:
            listening.close()
        self.connections.reset_all()
        self._server.should_exit = self._server.force_exit = True
