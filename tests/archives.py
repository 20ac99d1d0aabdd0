"""Archives as torch writes them, made by hand so that tests can lie in them."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_archive(
    path: Path,
    description: bytes,
    storages: Mapping[str, bytes] | None = None,
    *,
    compression: int = zipfile.ZIP_STORED,
    **entries: bytes,
) -> Path:
    """A zip with data.pkl, storages and further entries, such as byteorder."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", description)
        for key, data in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", data)
        for name, data in entries.items():
            archive.writestr(f"archive/{name}", data)
    return path


def tensor_pickle(
    shape: tuple[int, ...] = (2,),
    strides: tuple[int, ...] = (1,),
    offset: Any = 0,
    elements: Any = 2,
    kind: str = "FloatStorage",
    times: int = 1,
) -> bytes:
    """The pickle of {"w0": tensor, "w1": tensor, ...}, whose tensors all say the same of storage '0'."""
    storage = b"(" + _value("storage") + b"ctorch\n" + kind.encode() + b"\n" + _value("0") + _value("cpu")
    storage += _value(elements) + b"tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + _value(offset) + _value(shape) + _value(strides)
    tensor += _value(False) + b"ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02}(" + b"".join(_value(f"w{number}") + tensor for number in range(times)) + b"u."


def _value(value: Any) -> bytes:
    """The operations that push a plain value, without those that begin and end a pickle and remember values."""
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_value, value)) + b"t"
    if isinstance(value, str):
        return b"X" + len(value).to_bytes(4, "little") + value.encode()
    return pickle.dumps(value, 2)[2:-1]
