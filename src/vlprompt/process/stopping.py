"""SIGTERM and SIGHUP end the command line as Ctrl-C does: a KeyboardInterrupt, whose clean-up keeps what was computed.

Only the `vlprompt` command asks for that; a program that imports the package keeps its own handlers.
"""

from __future__ import annotations

import signal
from types import FrameType

_STOPPING = ("SIGTERM", "SIGHUP")
_received: list[int] = []


def stop_as_by_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, unless they are ignored, as SIGHUP is under nohup."""
    for number in _numbers(*_STOPPING):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def ignore_further_stops() -> None:
    """Nothing is left to stop: the last words are said whole, whatever else is pressed."""
    for number in _numbers("SIGINT", *_STOPPING):
        signal.signal(number, signal.SIG_IGN)


def exit_code() -> int:
    """Of a command that a KeyboardInterrupt ended: 128 and the signal's number, which is 130 for Ctrl-C."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def _stop(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt


def _numbers(*names: str) -> list[signal.Signals]:
    return [signal.Signals[name] for name in names if name in signal.Signals.__members__]
