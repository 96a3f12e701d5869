"""What every part of tapewatch shares: contract, topics, settings, clock, instruments, audit log, command line."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapewatch.client import subscribe as subscribe

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """`subscribe`, loaded when it is asked for: the package itself imports nothing."""
    if name == "subscribe":
        from tapewatch.client import subscribe

        return subscribe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
