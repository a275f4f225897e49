"""Tests of the package, by the standard library only: python -m unittest discover -s tests"""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from typing import Any, Mapping, Optional

from signalbox import Permanent, Reply, context, mount
from signalbox._cloudevents import NotAnEvent, decode_header, encode_header, parse

PROGRAM = """
import threading
from signalbox import Permanent, Reply, Retry, context, serve

busy = threading.Event()

def work(event):
    how = context.params.get("how")
    context.log.info("working", how=how, attempt=context.attempt)
    if how == "permanent": raise Permanent("never")
    if how == "later": raise Retry("soon", after=1.2)
    if how == "again": raise Retry("soon")
    if how == "wrong": raise KeyError("x")
    if how == "none": return None
    if how == "slow":
        threading.Event().wait(1)
        return Reply("com.example.slow")
    if how == "two": return [Reply("com.example.one", b"\\x00\\xff"), Reply("com.example.two", {"a": 1})]
    return Reply("com.example.done", {"of": event.subject, "width": context.config["width"]}, subject="Euro €", tenant=True)

serve(work)
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Served:
    """A program that serves, in a process of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        env = {**os.environ, "PORT": str(self.port), "SIGNALBOX_HOST": "127.0.0.1", "SIGNALBOX_FUNCTION": "f", "SIGNALBOX_CONFIG": '{"width": 200}'}
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM], env=env, stdout=subprocess.PIPE, text=True)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    raise RuntimeError("it did not start") from None

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def post(self, data: object, headers: Optional[Mapping[str, str]] = None) -> tuple[http.client.HTTPResponse, bytes]:
        c = self.connect()
        sent = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/t", "ce-type": "com.example.asked", "Content-Type": "application/json", **(headers or {})}
        c.request("POST", "/", data if isinstance(data, (bytes, list)) else json.dumps(data), sent, encode_chunked=isinstance(data, list))
        answer = c.getresponse()
        body = answer.read()
        c.close()
        return answer, body

    def end(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=20)
        if self.process.returncode != 0:
            raise RuntimeError(f"it ended with {self.process.returncode}")
        return out


class Serving(unittest.TestCase):
    served: Served

    @classmethod
    def setUpClass(cls) -> None:
        cls.served = Served()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.served.end()

    def test_a_reply_is_a_binary_event_with_encoded_headers(self) -> None:
        answer, body = self.served.post({"how": ""}, {"ce-subject": "a%20b"})
        self.assertEqual(200, answer.status)
        self.assertEqual({"of": "a b", "width": 200}, json.loads(body))
        got = {k.lower(): v for k, v in answer.getheaders()}
        want = {"ce-type": "com.example.done", "ce-id": "1-0", "ce-source": "/functions/f", "ce-subject": "Euro%20%E2%82%AC", "ce-tenant": "true"}
        self.assertEqual(want, {k: v for k, v in got.items() if k in want})

    def test_several_replies_are_a_batch(self) -> None:
        answer, body = self.served.post({"how": "two"})
        self.assertEqual("application/cloudevents-batch+json", answer.getheader("Content-Type"))
        one, two = json.loads(body)
        self.assertEqual(("AP8=", "1-0"), (one["data_base64"], one["id"]))
        self.assertEqual(({"a": 1}, "1-1"), (two["data"], two["id"]))

    def test_outcomes(self) -> None:
        for how, status, after in (
            ("none", 204, None), ("permanent", 422, None), ("later", 503, "2"), ("again", 503, None), ("wrong", 500, None),
        ):
            with self.subTest(how):
                answer, body = self.served.post({"how": how})
                self.assertEqual((status, after), (answer.status, answer.getheader("Retry-After")))
                self.assertNotIn(b"File ", body)

    def test_a_structured_event_and_a_batch_of_one(self) -> None:
        event = {"specversion": "1.0", "id": "7", "source": "/t", "type": "t", "subject": "s", "data": {"how": ""}}
        for media, value in (("application/cloudevents+json", event), ("application/cloudevents-batch+json; charset=utf-8", [event])):
            answer, body = self.served.post(json.dumps(value).encode(), {"Content-Type": media})
            self.assertEqual((200, "7-0", "s"), (answer.status, answer.getheader("ce-id"), json.loads(body)["of"]))

    def test_chunks(self) -> None:
        answer, body = self.served.post([b'{"how"', b': ""}'])
        self.assertEqual(200, answer.status, body)

    def test_what_is_no_event_is_refused(self) -> None:
        for headers in ({"ce-type": ""}, {"ce-specversion": "0.3"}, {"Content-Type": "application/cloudevents+json"}):
            answer, _ = self.served.post(b"[1", headers)
            self.assertEqual(400, answer.status)

    def test_health(self) -> None:
        for path, status in (("/healthz", 200), ("/x", 404)):
            c = self.served.connect()
            c.request("GET", path)
            self.assertEqual(status, c.getresponse().status)
            c.close()

    def test_a_connection_is_kept(self) -> None:
        c = self.served.connect()
        for _ in range(3):
            c.request("POST", "/", b"{}", {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/t", "ce-type": "t", "Content-Type": "application/json"})
            answer = c.getresponse()
            answer.read()
            self.assertEqual((200, False), (answer.status, answer.will_close))
        c.close()


class Stopping(unittest.TestCase):
    def test_a_call_under_way_is_answered_before_the_end(self) -> None:
        served = Served()
        c = served.connect()
        c.request("POST", "/", b'{"how": "slow"}', {
            "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/t", "ce-type": "t", "Content-Type": "application/json", "Signalbox-Run": "r-1",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        })
        first = served.process.stdout.readline()  # type: ignore[union-attr]  # the call is under way
        line: Mapping[str, Any] = json.loads(first)
        self.assertEqual(("info", "working", "r-1", "1", "slow", 1), tuple(line[k] for k in ("level", "msg", "run", "event", "how", "attempt")))
        self.assertEqual("0af7651916cd43dd8448eb211c80319c", line["trace_id"])
        served.process.send_signal(signal.SIGTERM)
        answer = c.getresponse()
        self.assertEqual((200, "com.example.slow"), (answer.status, answer.getheader("ce-type")))
        self.assertEqual(0, served.process.wait(timeout=10))
        served.process.stdout.close()  # type: ignore[union-attr]
        c.close()

    def test_the_end_takes_no_time_without_calls(self) -> None:
        served = Served()
        began = time.monotonic()
        served.end()
        self.assertLess(time.monotonic() - began, 5)


class Events(unittest.TestCase):
    def test_headers_survive_encoding(self) -> None:
        for value in ("plain", "a b", 'q"uo%te', "Euro € 😀", "ü"):
            self.assertEqual(value, decode_header(encode_header(value)))
        self.assertEqual('a"b', decode_header('"a\\"b"'))

    def test_data_is_as_its_type_says(self) -> None:
        base = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/"), ("ce-type", "t")]
        for media, body, want in (
            ("application/json", b"[1]", [1]), ("application/x+json", b"1", 1), ("text/plain", "ü".encode(), "ü"), ("image/png", b"\x89", b"\x89"), ("application/json", b"", None),
        ):
            self.assertEqual(want, parse([*base, ("Content-Type", media)], body)[0].get("data"))
        self.assertRaises(NotAnEvent, parse, [*base, ("Content-Type", "application/json")], b"{")

    def test_a_wrong_attribute_is_the_authors_error(self) -> None:
        self.assertRaises(ValueError, Reply, "t", None, Upper="x")


class Scripts(unittest.TestCase):
    def test_there_is_no_context_without_a_run(self) -> None:
        self.assertRaises(RuntimeError, lambda: context.event)

    def test_a_mount_lies_below_its_root(self) -> None:
        with tempfile.TemporaryDirectory() as root:
            os.environ["SIGNALBOX_MOUNTS"] = root
            try:
                self.assertEqual(str(pathlib.Path(root, "etc/token")), mount("/etc/token"))
            finally:
                del os.environ["SIGNALBOX_MOUNTS"]
        self.assertEqual("/etc/token", mount("/etc/token"))

    def test_errors_are_errors(self) -> None:
        self.assertTrue(issubclass(Permanent, Exception))


if __name__ == "__main__":
    unittest.main()
