"""The context of a run."""

from __future__ import annotations

import base64
import contextvars
import json
import os
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, cast

#: Attributes of an event that are no extensions (CloudEvents 1.0).
_CORE = ("id", "source", "type", "specversion", "subject", "time", "datacontenttype", "dataschema")


class Permanent(Exception):
    """Raised for an event that no further attempt can help: it becomes a dead letter."""


class Retry(Exception):
    """Raised for another attempt, ``after`` that many seconds if given; it spends no attempt then."""

    def __init__(self, message: str = "", after: Optional[float] = None) -> None:
        super().__init__(message)
        self.after = after


class Event:
    """The CloudEvent a run is for. Attributes are strings, extensions too; None is absent."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw

    @property
    def id(self) -> str:
        return cast(str, self._raw["id"])

    @property
    def source(self) -> str:
        return cast(str, self._raw["source"])

    @property
    def type(self) -> str:
        return cast(str, self._raw["type"])

    @property
    def subject(self) -> Optional[str]:
        return self._raw.get("subject")

    @property
    def time(self) -> Optional[str]:
        """RFC 3339."""
        return self._raw.get("time")

    @property
    def datacontenttype(self) -> Optional[str]:
        return self._raw.get("datacontenttype")

    @property
    def dataschema(self) -> Optional[str]:
        return self._raw.get("dataschema")

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {k: v for k, v in self._raw.items() if k not in _CORE and k not in ("data", "data_base64")}

    @property
    def data(self) -> Any:
        """JSON as Python values, text as str, everything else as bytes; None is no data."""
        if "data_base64" in self._raw:
            return base64.b64decode(self._raw["data_base64"])
        return self._raw.get("data")

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute by its name, extensions too."""
        return default if name in ("data", "data_base64") else self._raw.get(name, default)

    def __getitem__(self, name: str) -> Any:
        if name in ("data", "data_base64") or name not in self._raw:
            raise KeyError(name)
        return self._raw[name]

    def __repr__(self) -> str:
        return f"Event(type={self.type!r}, source={self.source!r}, id={self.id!r})"


class Params(Mapping[str, Any]):
    """The members of the event's data, where that is a JSON object; empty otherwise."""

    def __init__(self, data: Any) -> None:
        self._data = data if isinstance(data, dict) else {}

    def __getitem__(self, name: str) -> Any:
        return self._data[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return f"Params({self._data!r})"


class Events:
    """Sends events during the run."""

    def __init__(self, ask: Callable[[Mapping[str, Any]], Any]) -> None:
        self._ask = ask

    def send(
        self,
        type: str,
        data: Any = None,
        *,
        subject: Optional[str] = None,
        source: Optional[str] = None,
        datacontenttype: Optional[str] = None,
        **extensions: Any,
    ) -> str:
        """Appends an event to the log and returns its id once it is durable.

        data is JSON, or bytes as they are. The id is the same when the run is repeated, so that a repetition adds no
        second event: send the same events in the same order.
        """
        event: dict[str, Any] = {"specversion": "1.0", "type": type}
        for name, value in (("subject", subject), ("source", source), ("datacontenttype", datacontenttype)):
            if value is not None:
                event[name] = value
        for name, value in extensions.items():
            event[name] = value if isinstance(value, (str, bool, int)) else str(value)
        if isinstance(data, (bytes, bytearray, memoryview)):
            event["data_base64"] = base64.b64encode(bytes(data)).decode()
            event.setdefault("datacontenttype", "application/octet-stream")
        elif data is not None:
            json.dumps(data, allow_nan=False)  # what is no JSON is the caller's error, here
            event["data"] = data
            event.setdefault("datacontenttype", "application/json")
        return cast(str, self._ask({"is": "send", "event": event})["id"])


class State:
    """Values of the function that outlive the run, shared by all its workers on all replicas. Values are JSON."""

    def __init__(self, ask: Callable[[Mapping[str, Any]], Any]) -> None:
        self._ask = ask

    def get(self, key: str, default: Any = None) -> Any:
        value = self._ask({"is": "state", "op": "get", "key": key}).get("value")
        return default if value is None else json.loads(value)

    def set(self, key: str, value: Any) -> None:
        self._ask({"is": "state", "op": "set", "key": key, "value": json.dumps(value, allow_nan=False)})

    def delete(self, key: str) -> None:
        self._ask({"is": "state", "op": "delete", "key": key})


class Log:
    """Writes lines to the function's log; what is printed goes there too. Fields are what can be searched for."""

    def __init__(self, write: Callable[[str, str, Mapping[str, Any]], None]) -> None:
        self._write_line = write

    def _write(self, level: str, message: object, fields: Mapping[str, Any]) -> None:
        self._write_line(level, str(message), fields)

    def debug(self, message: object, **fields: Any) -> None:
        self._write("debug", message, fields)

    def info(self, message: object, **fields: Any) -> None:
        self._write("info", message, fields)

    def warning(self, message: object, **fields: Any) -> None:
        self._write("warn", message, fields)

    def error(self, message: object, **fields: Any) -> None:
        self._write("error", message, fields)


class Context:
    """One run: an event on its way through the scripts of a function.

    The scripts share it: what one sets on it, the next one finds.
    """

    event: Event
    params: Params
    events: Events
    state: State
    log: Log
    #: The function's configuration.
    config: Mapping[str, Any]
    #: The function, its version ("" is none), the link that chose it and the number of the attempt, from 1.
    function: str
    version: str
    link: str
    attempt: int
    #: Names this run in records and logs; "" where nobody gave it a name.
    run: str
    #: Whether the event is sent again on purpose.
    is_replay: bool

    def __init__(
        self, run: Mapping[str, Any], ask: Callable[[Mapping[str, Any]], Any], write: Callable[[str, str, Mapping[str, Any]], None]
    ) -> None:
        self.event = Event(run["event"])
        self.params = Params(self.event.data)
        self.events = Events(ask)
        self.state = State(ask)
        self.log = Log(write)
        self.config = run.get("config") or {}
        self.function = run.get("function", "")
        self.version = run.get("version", "")
        self.link = run.get("link", "")
        self.attempt = run.get("attempt", 1)
        self.is_replay = run.get("replay", False)
        self.run = run.get("run", "")

    def __repr__(self) -> str:
        return f"Context(function={self.function!r}, event={self.event!r}, attempt={self.attempt})"

    def mount(self, path: str) -> str:
        """Where the file of ``spec.mounts`` with that path is."""
        return mount(path)


def mount(path: str) -> str:
    """Where the file of ``spec.mounts`` with that path is: below ``SIGNALBOX_MOUNTS`` where that is set (programs and
    scripts), at the path itself in a container."""
    root = os.environ.get("SIGNALBOX_MOUNTS", "")
    return os.path.join(root, path.lstrip("/")) if root else path


#: The run of this thread, where a server makes several at a time.
_of_thread: contextvars.ContextVar[Optional[Context]] = contextvars.ContextVar("signalbox", default=None)


class _Current:
    """Stands for the context of the run under way."""

    def __init__(self) -> None:
        object.__setattr__(self, "_context", None)

    def _of(self) -> Context:
        current = _of_thread.get() or object.__getattribute__(self, "_context")
        if current is None:
            raise RuntimeError("no run is under way: context is there while an event is worked on")
        return cast(Context, current)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of(), name)

    def __dir__(self) -> Iterable[str]:
        return dir(self._of())

    def __repr__(self) -> str:
        current = _of_thread.get() or object.__getattribute__(self, "_context")
        return repr(current) if current is not None else "<context: no run is under way>"

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._of(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._of(), name)


#: The context of the run under way.
context: Context = _Current()  # type: ignore[assignment]


def use(current: Optional[Context]) -> None:
    """Makes current the context of the run under way; None ends it."""
    object.__setattr__(context, "_context", current)


def use_in_thread(current: Optional[Context]) -> None:
    """Makes current the context of the run that this thread makes; None ends it."""
    _of_thread.set(current)
