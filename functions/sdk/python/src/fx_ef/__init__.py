"""The name under which older programs import ``context``."""

from signalbox import context

__all__ = ["context"]
