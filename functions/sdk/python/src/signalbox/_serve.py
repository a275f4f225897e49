"""A function as an HTTP server, for programs and containers."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Iterable, Mapping, Optional, Union

from ._cloudevents import BATCH, NotAnEvent, Reply, parse
from ._context import Context, Event, Permanent, Retry, use_in_thread

Handler = Callable[[Event], Union[None, Reply, Iterable[Reply]]]

#: The largest body that is taken, in bytes.
MAX_BODY = 64 << 20


class _Refused(Exception):
    """A request that is answered without the handler."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # the default of 5 makes callers wait a second when more come at a time
    daemon_threads = True

    def __init__(self, host: str, port: int, handler: Handler) -> None:
        if not host and socket.has_dualstack_ipv6():
            self.address_family, host = socket.AF_INET6, "::"
        elif ":" in host:
            self.address_family = socket.AF_INET6
        self.function = handler
        self.name = os.environ.get("SIGNALBOX_FUNCTION", "function")
        self.version = os.environ.get("SIGNALBOX_FUNCTION_VERSION", "")
        self.config: Mapping[str, Any] = json.loads(os.environ.get("SIGNALBOX_CONFIG") or "{}") or {}
        self.draining = False
        self._calls, self._changed = 0, threading.Condition()
        self._printing = threading.Lock()
        super().__init__((host, port), _Requests)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6 and self.server_address[0] == "::":
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        fault = sys.exc_info()[1]
        if not isinstance(fault, OSError):  # the caller went away: nothing to say
            self.log("error", f"a connection broke: {fault}", {}, {})

    def call(self, by: int) -> None:
        with self._changed:
            self._calls += by
            self._changed.notify_all()

    def drain(self, seconds: float) -> bool:
        """Waits for the calls under way; False when some go on after that many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._calls == 0, seconds)

    def log(self, level: str, message: str, run: Mapping[str, str], fields: Mapping[str, Any]) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        line = json.dumps({"time": stamp, "level": level, "msg": message, **run, **fields}, default=str)
        with self._printing:
            print(line, flush=True)


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps the connection open for the next event
    wbufsize = -1  # headers and body in one write: as two, an answer can take 40 ms more
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if self.path not in ("/healthz", "/readyz"):
            return self._answer(404, b"not found\n")
        if self.server.draining:
            return self._answer(503, b"stopping\n")
        self._answer(200, b"ok\n")

    def do_POST(self) -> None:
        self.server.call(+1)
        try:
            self._post()
        finally:
            self.server.call(-1)

    def _post(self) -> None:
        try:
            events = parse(self.headers.items(), self._body())
        except NotAnEvent as fault:
            return self._answer(400, f"no CloudEvent: {fault}\n".encode())
        except _Refused as refused:
            self.close_connection = True
            return self._answer(refused.status, f"{refused}\n".encode())
        replies: list[Reply] = []
        for raw in events:
            try:
                replies += self._one(raw)
            except Exception as fault:  # a handler may raise anything
                return self._failed(fault, raw)
        self._reply(replies)

    def _named(self, raw: Mapping[str, Any]) -> dict[str, str]:
        """What tells the lines of one run from those of another."""
        named = {"run": self.headers.get("Signalbox-Run", ""), "event": raw["id"]}
        trace = self.headers.get("traceparent", "").split("-")
        if len(trace) == 4:
            named["trace_id"] = trace[1]
        return {k: v for k, v in named.items() if v}

    def _one(self, raw: Mapping[str, Any]) -> list[Reply]:
        named = self._named(raw)
        attempt = self.headers.get("Signalbox-Attempt", "")
        run = {
            "event": raw, "config": self.server.config, "function": self.server.name, "version": self.server.version,
            "link": self.headers.get("Signalbox-Link", ""), "attempt": int(attempt) if attempt.isdigit() else 1,
            "replay": self.headers.get("Signalbox-Replay") == "true", "run": named.get("run", ""),
        }
        context = Context(run, _only_scripts, lambda level, text, fields: self.server.log(level, text, named, fields))
        use_in_thread(context)
        try:
            answer = self.server.function(context.event)
        finally:
            use_in_thread(None)
        replies = [] if answer is None else [answer] if isinstance(answer, Reply) else list(answer)
        for i, reply in enumerate(replies):
            if not isinstance(reply, Reply):
                raise TypeError(f"the handler returned {type(reply).__name__}: want None, a Reply or a list of them")
            reply.complete(id=f"{raw['id']}-{i}", source="/functions/" + self.server.name)
        return replies

    def _reply(self, replies: list[Reply]) -> None:
        if not replies:
            return self._answer(204)
        if len(replies) == 1:
            return self._answer(200, replies[0].body or b"", replies[0].headers())
        self._answer(200, json.dumps([r.as_json() for r in replies]).encode(), [("Content-Type", BATCH)])

    def _failed(self, fault: Exception, raw: Mapping[str, Any]) -> None:
        told = "".join(traceback.format_exception_only(type(fault), fault)).strip()
        self.server.log("error", told, self._named(raw), {"trace": "".join(traceback.format_tb(fault.__traceback__)[1:])})
        if isinstance(fault, Permanent):
            return self._answer(422, told.encode())
        if isinstance(fault, Retry):
            after = [] if fault.after is None else [("Retry-After", str(max(1, int(fault.after + 0.999))))]
            return self._answer(503, told.encode(), after)
        self._answer(500, told.encode())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks()
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            raise _Refused(400, "Content-Length: want a number") from None
        if not 0 <= length <= MAX_BODY:
            raise _Refused(413, f"the body has more than {MAX_BODY} bytes")
        body = self.rfile.read(length)
        if len(body) < length:
            raise _Refused(400, "the body ended early")
        return body

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            try:
                size = int(self.rfile.readline(64).split(b";")[0], 16)
            except ValueError:
                raise _Refused(400, "Transfer-Encoding: no chunk") from None
            if size < 0 or len(body) + size > MAX_BODY:
                raise _Refused(413, f"the body has more than {MAX_BODY} bytes")
            body += self.rfile.read(size)
            if size > 0:
                self.rfile.readline(2 + 1)
                continue
            while self.rfile.readline(65536) not in (b"\r\n", b"\n", b""):  # trailers
                pass
            return bytes(body)

    def _answer(self, status: int, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()) -> None:
        self.send_response(status)
        typed = False
        for name, value in headers:
            typed = typed or name == "Content-Type"
            self.send_header(name, value)
        if body and not typed:
            self.send_header("Content-Type", "text/plain; charset=utf-8")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        if self.server.draining:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """The access log is the gateway's."""


def _only_scripts(_: Mapping[str, Any]) -> Any:
    raise RuntimeError("context.events and context.state are for scripts; a server returns Reply")


def serve(handler: Handler, *, host: Optional[str] = None, port: Optional[int] = None, drain: float = 30.0) -> None:
    """Calls handler with each event that is posted, until SIGTERM or SIGINT; then ends once the calls under way have,
    or after ``drain`` seconds.

    handler gets the event and returns None, a Reply, or a list of them. What it raises is answered: Permanent with 422,
    Retry with 503, everything else with 500. ``signalbox.context`` is that of the call. Several calls are made at a
    time, each in a thread of its own.

    Listens on ``port``, else PORT, else 8080, of ``host``, else SIGNALBOX_HOST, else all addresses. GET /healthz answers
    200 while events are taken. Call it from the main thread.
    """
    server = _Server(
        os.environ.get("SIGNALBOX_HOST", "") if host is None else host, int(os.environ.get("PORT") or 8080) if port is None else port, handler
    )

    def stop(*_: Any) -> None:
        server.draining = True
        threading.Thread(target=server.shutdown, daemon=True).start()

    before = {s: signal.signal(s, stop) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.serve_forever(poll_interval=0.05)
        server.socket.close()  # nobody new is let in
        if not server.drain(drain):
            server.log("warn", f"calls under way did not end within {drain:g} s", {}, {})
    finally:
        server.server_close()
        for number, handling in before.items():
            signal.signal(number, handling)
