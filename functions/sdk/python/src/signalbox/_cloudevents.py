"""CloudEvents 1.0 over HTTP: what a server reads and answers (the HTTP binding and the JSON format)."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from typing import Any, Iterable, Mapping, Optional

_NAME = re.compile(r"^[a-z0-9]+$")
_ENCODED = re.compile(r"[^\x21\x23\x24\x26-\x7e]")

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


class NotAnEvent(ValueError):
    """A request that carries no CloudEvent."""


def is_json(content_type: str) -> bool:
    media = content_type.split(";")[0].strip().lower()
    return media in ("application/json", "text/json") or media.endswith("+json")


def decode_header(value: str) -> str:
    """A header's value as the binding says: percent-encoded UTF-8, perhaps in double quotes."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return urllib.parse.unquote_to_bytes(value.encode("latin-1")).decode("utf-8")


def encode_header(value: str) -> str:
    return _ENCODED.sub(lambda m: "".join(f"%{b:02X}" for b in m.group().encode()), value)


def _data_of(content_type: Optional[str], body: bytes) -> Any:
    if not body:
        return None
    if content_type is None:
        return body
    if is_json(content_type):
        return json.loads(body)
    if content_type.lower().startswith("text/"):
        return body.decode("utf-8")
    return body


def _checked(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    if raw.get("specversion") != "1.0":
        raise NotAnEvent(f"specversion {raw.get('specversion')!r}: want 1.0")
    for name in ("id", "source", "type"):
        if not isinstance(raw.get(name), str) or not raw[name]:
            raise NotAnEvent(f"{name}: missing")
    return raw


def parse(headers: Iterable[tuple[str, str]], body: bytes) -> list[Mapping[str, Any]]:
    """The events of a request as mappings, in any of the three modes. The data is in ``data``: JSON as values, text as
    str, everything else as bytes."""
    attributes: dict[str, Any] = {}
    content_type: Optional[str] = None
    try:
        for name, value in headers:
            name = name.lower()
            if name == "content-type":
                content_type = value
            elif name.startswith("ce-"):
                attributes[name[3:]] = decode_header(value)
        media = (content_type or "").split(";")[0].strip().lower()
        if media == BATCH:
            batch = json.loads(body)
            if not isinstance(batch, list):
                raise NotAnEvent("a batch that is no list")
            return [_structured(raw) for raw in batch]
        if media == STRUCTURED:
            return [_structured(json.loads(body))]
        if content_type is not None:
            attributes["datacontenttype"] = content_type
        data = _data_of(content_type, body)
    except NotAnEvent:
        raise
    except ValueError as fault:  # JSON and UTF-8 that are none
        raise NotAnEvent(str(fault)) from fault
    if data is not None:
        attributes["data"] = data
    return [_checked(attributes)]


def _structured(raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise NotAnEvent("an event that is no JSON object")
    if "data_base64" in raw:
        raw = {**raw, "data": base64.b64decode(raw.pop("data_base64"), validate=True)}
    return _checked(raw)


class Reply:
    """An event that a server answers with.

    data is JSON, or bytes as they are. Without an id the reply gets one that is the same when the call is repeated;
    without a source it is the function. What else is named is an extension.
    """

    def __init__(
        self,
        type: str,
        data: Any = None,
        *,
        subject: Optional[str] = None,
        source: Optional[str] = None,
        id: Optional[str] = None,
        datacontenttype: Optional[str] = None,
        **extensions: Any,
    ) -> None:
        self.attributes: dict[str, str] = {"specversion": "1.0", "type": type}
        if isinstance(data, (bytes, bytearray, memoryview)):
            self.body: Optional[bytes] = bytes(data)
            datacontenttype = datacontenttype or "application/octet-stream"
        elif isinstance(data, str) and datacontenttype is not None and not is_json(datacontenttype):
            self.body = data.encode()
        elif data is not None:
            self.body = json.dumps(data).encode()
            datacontenttype = datacontenttype or "application/json"
        else:
            self.body = None
        for name, value in {"subject": subject, "source": source, "id": id, "datacontenttype": datacontenttype, **extensions}.items():
            if value is None:
                continue
            if not _NAME.match(name):
                raise ValueError(f"attribute {name!r}: want lower-case letters and digits")
            self.attributes[name] = value if isinstance(value, str) else json.dumps(value) if isinstance(value, (bool, int)) else str(value)

    def complete(self, *, id: str, source: str) -> None:
        """Gives it what its author left out."""
        self.attributes.setdefault("id", id)
        self.attributes.setdefault("source", source)

    def headers(self) -> list[tuple[str, str]]:
        """The headers of the binary mode; the data is the body."""
        named = dict(self.attributes)
        content_type = named.pop("datacontenttype", None)
        headers = [("ce-" + name, encode_header(value)) for name, value in named.items()]
        return headers + ([("Content-Type", content_type)] if content_type else [])

    def as_json(self) -> dict[str, Any]:
        """The event in the JSON format."""
        event: dict[str, Any] = dict(self.attributes)
        if self.body is None:
            return event
        if is_json(event.get("datacontenttype", "")):
            event["data"] = json.loads(self.body)
        else:
            event["data_base64"] = base64.b64encode(self.body).decode()
        return event
