"""Runs the scripts of one function, event after event.

main() takes FILE... as arguments and speaks with Signalbox over the descriptors 3 (in) and 4 (out): frames of four bytes
length, big-endian, and that much JSON. Standard output and error are the function's own.
"""

from __future__ import annotations

import gc
import json
import os
import struct
import sys
import traceback
from _thread import allocate_lock
from types import CodeType
from typing import Any, BinaryIO, Mapping, Optional

from ._context import Context, Permanent, Retry, use


class Wire:
    """The connection with Signalbox. Threads of a script may use it at the same time."""

    def __init__(self, inward: BinaryIO, outward: BinaryIO) -> None:
        self._in, self._out = inward, outward
        self._lock = allocate_lock()

    def read(self) -> Optional[Any]:
        head = self._in.read(4)
        if len(head) < 4:
            return None
        return json.loads(self._in.read(struct.unpack(">I", head)[0]))

    def tell(self, message: Mapping[str, Any]) -> None:
        frame = frame_of(message)
        with self._lock:
            self._write(frame)

    def _write(self, frame: bytes) -> None:
        self._out.write(frame)
        self._out.flush()

    def log(self, level: str, message: str, fields: Mapping[str, Any]) -> None:
        self.tell({"is": "log", "level": level, "message": message + "".join(f" {k}={v}" for k, v in fields.items())})

    def ask(self, message: Mapping[str, Any]) -> Any:
        frame = frame_of(message)
        with self._lock:  # until the answer is there, which is the next frame
            self._write(frame)
            answer = self.read()
        if answer is None:
            raise SystemExit(0)  # Signalbox is gone
        if answer.get("error"):
            raise RuntimeError(answer["error"])
        return answer


def frame_of(message: Mapping[str, Any]) -> bytes:
    body = json.dumps(message).encode()
    return struct.pack(">I", len(body)) + body


def bound_memory(megabytes: int) -> None:
    if megabytes <= 0:
        return
    try:
        import resource
    except ImportError:  # no such limits on this system
        return
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))


class Scripts:
    """The files of a function, compiled when they are first needed."""

    def __init__(self, files: list[str]) -> None:
        self._files = files
        self._code: dict[str, CodeType] = {}
        self._home = os.open(".", os.O_RDONLY)  # where each script begins, wherever the one before went

    def run(self) -> None:
        for file in self._files:
            code = self._code.get(file)
            if code is None:
                with open(file, "rb") as source:
                    code = self._code[file] = compile(source.read(), file, "exec")
            sys.argv = [file]
            os.fchdir(self._home)
            sys.path[:1] = [os.path.dirname(os.path.abspath(file))]
            try:
                exec(code, {"__name__": "__main__", "__file__": file, "__builtins__": __builtins__})
            except SystemExit as end:
                if end.code not in (None, 0):
                    raise RuntimeError(f"{os.path.basename(file)} ended with {end.code}") from None


#: What bound_memory was told, in MB.
_memory = 0


def frames_of(error: BaseException) -> list[traceback.FrameSummary]:
    """Where the script failed. How this package was called, and what it did then, tells an author nothing."""
    ours = os.path.dirname(__file__)
    frames = list(traceback.extract_tb(error.__traceback__))
    while frames and os.path.dirname(frames[0].filename) == ours:
        frames.pop(0)
    for i, frame in enumerate(frames):
        if os.path.dirname(frame.filename) == ours:
            return frames[:i]
    return frames


def outcome_of(error: BaseException) -> dict[str, Any]:
    """What is told of a run that failed."""
    text = "".join(traceback.format_list(frames_of(error)) + traceback.format_exception_only(type(error), error))
    if isinstance(error, MemoryError) or str(error) == "can't start new thread":
        text = f"{text.rstrip()}: a worker may have {_memory} MB, see spec.scripts.memoryMB\n"
    told: dict[str, Any] = {"is": "failed", "error": f"{type(error).__name__}: {error}", "trace": text[-4000:]}
    if isinstance(error, Permanent):
        told["permanent"] = True
    if isinstance(error, Retry) and error.after is not None:
        told["after"] = error.after
    return told


def one(wire: Wire, scripts: Scripts, run: Mapping[str, Any]) -> dict[str, Any]:
    try:
        use(Context(run, wire.ask, wire.log))
        scripts.run()
        return {"is": "done"}
    except BaseException as error:  # a script may raise anything; SystemExit is dealt with above
        told = outcome_of(error)
        sys.stderr.write(told["trace"])
        return told
    finally:
        use(None)


def main() -> None:
    wire = Wire(os.fdopen(3, "rb"), os.fdopen(4, "wb"))
    os.set_inheritable(3, False)
    os.set_inheritable(4, False)
    global _memory
    _memory = int(os.environ.pop("SIGNALBOX_MEMORY_MB", "0"))
    bound_memory(_memory)
    scripts = Scripts(sys.argv[1:])
    sys.path.insert(0, "")  # what the worker needs is imported: a module of the function may have its name
    wire.tell({"is": "ready", "runtime": "python " + sys.version.split()[0]})
    gc.freeze()
    while (run := wire.read()) is not None:
        told = one(wire, scripts, run)
        sys.stdout.flush()
        sys.stderr.flush()
        wire.tell(told)


if __name__ == "__main__":
    main()
