"""Large and uncommon pictures, decoded in a process of their own.

A loaded model leaves little room below a gigabyte, decoders are written in C, and their input comes from strangers. So
what is not `decoding.is_quiet` is opened in a process that holds no model and no torch, whose memory the system bounds,
and whose crash costs one picture. It starts when the first such picture comes, in about 0.2 seconds.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from vlprompt.data.limits import BYTES_A_PIXEL, MAX_PIXELS
from vlprompt.data.samples import EncodedImage
from vlprompt.errors import UnreadableImageError

ROOM_BYTES = 64_000_000
"""What the process may take beside the picture, and beside what Python and its libraries have when it starts."""

READY = b"ready\n"
END_SECONDS = 5.0

Work = Callable[..., np.ndarray]


class PictureProcess:
    """Does work on pictures in another process, which starts with the first and ends with the block.

    Args:
        max_pixels: bounds its memory; see `decoding`.
    """

    def __init__(self, max_pixels: int = MAX_PIXELS) -> None:
        self.max_pixels = max_pixels
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def call(self, work: Work, source: str | Path | EncodedImage, **settings: Any) -> np.ndarray:
        """What `work(source, max_pixels=..., **settings)` returns, an array of uint8.

        Args:
            work: a function of a module.
            settings: plain values, as JSON has them.

        Raises:
            UnreadableImageError: the picture cannot be read, or the process did not survive it.
        """
        if not self._start():
            return work(source, max_pixels=self.max_pixels, **settings)
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        encoded = source.data if isinstance(source, EncodedImage) else b""
        request = {
            "work": f"{work.__module__}:{work.__qualname__}",
            "path": None if isinstance(source, EncodedImage) else str(source),
            "bytes": len(encoded),
            "settings": settings,
        }
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n" + encoded)
            self._process.stdin.flush()
            reply = json.loads(self._process.stdout.readline())
            content = _read_exactly(self._process.stdout, reply.get("bytes", 0))
        except (OSError, ValueError, EOFError):
            raise UnreadableImageError(str(source), self._death()) from None
        if "reason" in reply:
            raise UnreadableImageError(str(source), reply["reason"])
        return np.frombuffer(content, np.uint8).reshape(reply["shape"])

    def _start(self) -> bool:
        """Whether the process is there; where it cannot be started (a frozen program), pictures are opened here."""
        if self._process is not None:
            return True
        # As multiprocessing does, the other process finds modules where this one does; -P leaves the current folder
        # out, which is a stranger's where pictures are.
        paths = os.pathsep.join(path for path in sys.path if path)
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-W", "ignore", "-m", __name__, str(self.max_pixels)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **one_thread, "PYTHONPATH": paths},
            )
        except OSError:
            return False
        self._process = process
        assert process.stdout is not None
        if process.stdout.readline() != READY:
            self.close()
            return False
        return True

    def _death(self) -> str:
        process = self._process
        self.close()
        code = process.returncode if process is not None else None
        if code is not None and code < 0:
            return f"its decoder crashed ({signal.Signals(-code).name})."
        return "its decoder ended unexpectedly."


def _read_exactly(file: IO[bytes], count: int) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise EOFError
    return content


def _serve(max_pixels: int) -> None:
    """The other process's life: one picture after another until its input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is its parent's business
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a decoder prints is no reply
    from vlprompt.data import images  # noqa: F401  what every work needs, before memory is bounded

    _bound_memory(BYTES_A_PIXEL * max_pixels + ROOM_BYTES)
    replies.write(READY)
    replies.flush()
    requests = sys.stdin.buffer
    while line := requests.readline():
        request = json.loads(line)
        content = requests.read(request["bytes"])
        module, name = request["work"].split(":")
        source = EncodedImage(content) if request["path"] is None else Path(request["path"])
        array: np.ndarray | None = None
        try:
            array = getattr(importlib.import_module(module), name)(source, max_pixels=max_pixels, **request["settings"])
            reply = {"shape": array.shape, "bytes": array.size}
        except UnreadableImageError as error:
            reply = {"reason": error.reason}
        except MemoryError:
            reply = {"reason": f"it takes more than {BYTES_A_PIXEL * max_pixels / 1e6:,.0f} MB to use."}
        replies.write(json.dumps(reply).encode() + b"\n")
        if array is not None:
            replies.write(np.ascontiguousarray(array).data)
        replies.flush()


def _bound_memory(room: int) -> None:
    """From here on, this process gets so many bytes more and then MemoryError; where the system cannot, no bound."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = now + room if hard == resource.RLIM_INFINITY else min(now + room, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    except (ImportError, OSError, ValueError):
        pass


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
