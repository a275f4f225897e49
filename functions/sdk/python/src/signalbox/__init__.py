"""What a script of a Signalbox function works with.

    from signalbox import context

    context.params.get("width", 200)
    context.events.send("com.example.thumbnail", {"width": 200})

``context`` is that of the run under way; a worker makes one run at a time.
"""

from ._context import Context, Event, Events, Params, Permanent, Retry, State, context

__all__ = ["Context", "Event", "Events", "Params", "Permanent", "Retry", "State", "context"]
