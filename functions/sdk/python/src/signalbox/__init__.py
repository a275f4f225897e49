"""Functions of the Signalbox gateway.

A script works with the run under way:

    from signalbox import context

    context.params.get("width", 200)
    context.events.send("com.example.thumbnail", {"width": 200})

A program or a container serves:

    from signalbox import Reply, serve

    def thumbnail(event):
        return Reply("com.example.thumbnail", {"of": event.subject})

    serve(thumbnail)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._context import Context, Event, Events, Log, Params, Permanent, Retry, State, context, mount

if TYPE_CHECKING:
    from ._cloudevents import Reply
    from ._serve import serve

for _public in (Context, Event, Events, Log, Params, Permanent, Retry, State):
    _public.__module__ = __name__  # tracebacks name them as they are imported
del _public

__all__ = ["Context", "Event", "Events", "Log", "Params", "Permanent", "Reply", "Retry", "State", "context", "mount", "serve"]


def __getattr__(name: str) -> Any:
    """What servers need is imported when it is asked for: workers of scripts start the faster."""
    if name == "Reply":
        from ._cloudevents import Reply

        return Reply
    if name == "serve":
        from ._serve import serve

        return serve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
