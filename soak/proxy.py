"""A proxy before a server: it passes on what it gets, or answers wrongly in one of several ways."""

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

# What an S3 server, or what is between it and us, does wrong.
CUT = "truncate"
S3_FAULTS = ("500", "503", "429", "reset", "stall", CUT)
# What a database server does.
TCP_FAULTS = ("refuse", "reset")

_ERRORS = {
    "500": ("Internal Server Error", "InternalError"),
    "503": ("Service Unavailable", "SlowDown"),
    "429": ("Too Many Requests", "TooManyRequests"),
}

# Of a faulty connection to the database, at most so many bytes are passed on.
MOST_BYTES = 12_000

_PIECE = 65_536


def _never() -> bool:
    return False


@dataclass
class Proxy:
    """A proxy that runs in a thread of its own.

    Attributes:
        upstream: the port of the real server on this machine.
        http: whether it speaks HTTP; other servers' bytes are passed on as they come.
        rate: the share of faulty answers, 0 to 1; of connections where it is not HTTP.
        stall: how many seconds a stalled answer hangs before its connection is reset.
        delay: how many seconds each piece of an answer is held back.
        cuts: asked at each answer of the real server, whether to cut it.
        refusals: how many of the next connections are reset; only where it is not HTTP.
        seed: of what is faulty.
        kinds: of faults, where it is HTTP.
        passed: how many answers were sound.
        faults: how many were not, by kind.
        port: where it listens.
    """

    upstream: int
    http: bool
    rate: float = 0.0
    stall: float = 65.0
    delay: float = 0.0
    cuts: Callable[[], bool] = _never
    refusals: int = 0
    seed: int = 1
    kinds: Sequence[str] = S3_FAULTS
    passed: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    port: int = 0

    def __post_init__(self) -> None:
        """Prepare the loop of its thread."""
        self._loop = asyncio.new_event_loop()
        self._chance = random.Random(self.seed)  # noqa: S311
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._cut_next = False

    @property
    def endpoint(self) -> str:
        """Its address as that of an S3 service."""
        return f"http://127.0.0.1:{self.port}"

    def go_away(self) -> None:
        """Refuse new connections and reset those that are open, as a server that was stopped."""
        self._run(self._close())

    def come_back(self) -> None:
        """Serve again."""
        self._run(self._listen())

    def cut(self) -> None:
        """Reset all connections that are open, once; of HTTP the next answer where none is."""
        self._run(self._cut())

    def _run(self, job: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(job, self._loop).result(timeout=10)

    async def _listen(self) -> None:
        serve = self._serve_http if self.http else self._serve_bytes
        self._server = await asyncio.start_server(serve, "127.0.0.1", self.port, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server
        self._server.close()
        self._reset_all()

    async def _cut(self) -> None:
        self._cut_next = self.http and not self._open
        self._reset_all()

    def _reset_all(self) -> None:
        for writer in list(self._open):
            _reset(writer)

    def _draw(self, kinds: Sequence[str]) -> str | None:
        if self._cut_next:
            self._cut_next = False
            return CUT
        return self._chance.choice(kinds) if self._chance.random() < self.rate else None

    async def _serve_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, then close: so each request is a chance of its own."""
        with self._tracked(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            request = await _read_request(reader, writer)
            fault = self._draw(self.kinds)
            if fault:
                self.faults[fault] += 1
            if fault in _ERRORS:
                writer.write(_error(fault, head_only=request.startswith(b"HEAD ")))
            elif fault == "stall":
                with suppress(TimeoutError):
                    # Until then the client may have given up.
                    await asyncio.wait_for(reader.read(1), self.stall)
                _reset(writer)
            elif fault == "reset":
                _reset(writer)
            else:
                answer = await _ask(self.upstream, request)
                if self.cuts() or fault == CUT:
                    # The server has done what was asked, and the client hears half of it.
                    head, _, body = answer.partition(b"\r\n\r\n")
                    half = len(head) + 4 + len(body) // 2 if body else len(head) // 2
                    writer.write(answer[:half])
                else:
                    self.passed += 1
                    await self._trickle(answer, writer)
            await writer.drain()

    async def _trickle(self, answer: bytes, writer: asyncio.StreamWriter) -> None:
        """Write an answer: at once, or in two halves, each of which is held back."""
        half = len(answer) // 2 if self.delay else len(answer)
        for part in (answer[:half], answer[half:]):
            await asyncio.sleep(self.delay)
            writer.write(part)

    async def _serve_bytes(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Pass bytes both ways; of a faulty connection, none or some."""
        fault = self._draw(TCP_FAULTS)
        if self.refusals:
            self.refusals -= 1
            fault = "refuse"
        with self._tracked(writer):
            if fault == "refuse":
                self.faults[fault] += 1
                _reset(writer)
                return
            try:
                theirs, ours = await asyncio.open_connection("127.0.0.1", self.upstream)
            except OSError:
                _reset(writer)
                return
            most = self._chance.randrange(MOST_BYTES) if fault else None
            with self._tracked(ours):
                cut = await self._pipe_both(reader, writer, theirs, ours, most)
                if cut:
                    self.faults["reset"] += 1
                    _reset(writer)
                    _reset(ours)
                else:
                    self.passed += 1

    async def _pipe_both(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        theirs: asyncio.StreamReader,
        ours: asyncio.StreamWriter,
        most: int | None,
    ) -> bool:
        """Pass on bytes until a side ends; return whether it was because of `most`."""
        asked = False

        def ask() -> bool:
            nonlocal asked
            asked = True
            return False

        def answer() -> bool:
            """Take what follows a request for its answer, in however many pieces it comes."""
            nonlocal asked
            begins, asked = asked, False
            return begins and self.cuts()

        up = asyncio.create_task(self._pipe(reader, ours, None, ask))
        down = asyncio.create_task(self._pipe(theirs, writer, most, answer))
        done, rest = await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        return down in done and down.result()

    async def _pipe(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        most: int | None,
        cuts: Callable[[], bool],
    ) -> bool:
        """Pass on bytes to the end, or until they are cut; return whether they were."""
        passed = 0
        with suppress(ConnectionError):
            while read := await reader.read(_PIECE):
                if cuts():
                    return True
                await asyncio.sleep(self.delay)
                if most is not None and passed + len(read) > most:
                    writer.write(read[: most - passed])
                    return True
                passed += len(read)
                writer.write(read)
                await writer.drain()
        return False

    @contextmanager
    def _tracked(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._open.add(writer)
        try:
            yield
        finally:
            self._open.discard(writer)
            writer.close()


@contextmanager
def proxy(upstream: int, *, http: bool, **options: Any) -> Iterator[Proxy]:  # noqa: ANN401
    """Run a proxy beside the block.

    Args:
        upstream: the port of the real server.
        http: whether it speaks HTTP.
        options: others of `Proxy`'s attributes.
    """
    made = Proxy(upstream, http=http, **options)
    thread = threading.Thread(target=made._loop.run_forever, daemon=True)
    thread.start()
    made.come_back()
    try:
        yield made
    finally:
        made.go_away()
        made._loop.call_soon_threadsafe(made._loop.stop)
        thread.join(timeout=10)


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Read a request as it is to be sent on: whole, and the only one of its connection."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).rstrip().split(b"\r\n")
    names = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in lines}
    if b"expect" in names:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(int(names.get(b"content-length", b"0")))
    kept = [
        line for line in lines if line.partition(b":")[0].lower() not in {b"expect", b"connection"}
    ]
    return b"\r\n".join([first, *kept, b"Connection: close", b"", body])


async def _ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


def _error(fault: str, *, head_only: bool) -> bytes:
    reason, code = _ERRORS[fault]
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code>'
        f"<Message>{reason}</Message></Error>"
    ).encode()
    head = (
        f"HTTP/1.1 {fault} {reason}\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode()
    return head if head_only else head + body


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection without a goodbye."""
    opened = writer.get_extra_info("socket")
    with suppress(OSError):
        # With a wait of no seconds, closing is a reset.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
