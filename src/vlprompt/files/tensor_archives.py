"""Tensors from the files of `torch.save` and from TorchScript archives, without torch's loaders: no code is run.

Both are zip files: `NAME/data.pkl` describes the values, `NAME/data/KEY` holds a storage's bytes. A TorchScript archive
also has `NAME/code/`, which is never looked at; of its modules only the attributes are taken. Whatever a file claims
about sizes is compared with the bytes that are there before anything is allocated.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from vlprompt.errors import ForeignFileError
from vlprompt.files import open_regular
from vlprompt.files.plain_pickle import Attributes, Global, PickleRefused, plain_dict, read_plain_pickle

LARGEST_DESCRIPTION = 8_000_000
"""Bytes of data.pkl, and of the zip's directory; those of the largest models take less than one million."""
MOST_OVERLAP = 4
"""How often the bytes of a file may be counted by its tensors, which may share them."""
MOST_DEPTH = 100
MOST_MODULES = 100_000
MOST_DIMENSIONS = 32
OPENAIS_NUMBERS = ("input_resolution", "context_length", "vocab_size")
"""Beside the weights in OpenAI's archives."""

_OF_TRAINING = (
    *("torch.optim.", "dassl.optim.", "collections.defaultdict", "collections.Counter"),
    *("__builtin__.dict", "builtins.dict"),
    *("numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"),
)
"""Objects that optimisers and schedulers leave beside the weights. None is made: what stands there is left empty."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ZIP_START = b"PK\x03\x04"
_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


@dataclass(frozen=True)
class ArchivedTensor:
    """Where a tensor is in an archive; offset, shape and strides count elements of its storage."""

    storage: str
    dtype: torch.dtype
    elements: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights by name in a file of `torch.save` (a state dict, also under 'state_dict') or TorchScript archive.

    Raises:
        ForeignFileError: the file is damaged, of another kind, or holds something else than weights.
    """
    with open_archive(path) as archive:
        state: Any = archive.value
        if isinstance(state, Attributes):
            found = _tensors_of_modules(state)
            state = {name: tensor for name, tensor in found if name not in OPENAIS_NUMBERS}
        elif isinstance(state, dict):
            state = state.get("state_dict", state)
        if not isinstance(state, dict) or not state:
            raise ForeignFileError(f"{path} holds no weights by name; save model.state_dict() with torch.save.")
        return {name: archive.read(archive.expect_tensor(name, entry)) for name, entry in state.items()}


@contextmanager
def open_archive(path: Path) -> Iterator[TensorArchive]:
    """Open a file of `torch.save` or a TorchScript archive.

    Raises:
        ForeignFileError: it cannot be opened, is damaged or of another kind, or names something else.
    """
    try:
        with open_regular(path) as file:
            yield TensorArchive(path, file)
    except PickleRefused as error:
        raise ForeignFileError(f"{path} cannot be read: {error}.") from error
    except OSError as error:
        raise ForeignFileError(f"{path} cannot be read: {error.strerror or error}.") from error


@dataclass(frozen=True)
class _Entry:
    header: int
    size: int
    crc: int
    stored: bool


class TensorArchive:
    """An open archive.

    Attributes:
        path: for messages.
        value: what it holds: plain values, with `ArchivedTensor` for tensors and `Attributes` for modules and for the
            objects of training.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        self._size = file.seek(0, 2)
        self._counted = 0
        self._entries = self._directory()
        self._name = self._top_folder()
        self._swap = self._is_big_endian()
        self._torchscript = any(name.startswith(f"{self._name}/code/") for name in self._entries)
        description = self._whole_entry(f"{self._name}/data.pkl")
        self.value = read_plain_pickle(description, self._find, self._storage)

    def expect_tensor(self, name: object, entry: object) -> ArchivedTensor:
        """An entry of a state dict, which must be a tensor under a text."""
        if not isinstance(name, str) or not isinstance(entry, ArchivedTensor):
            raise ForeignFileError(f"{self.path} has weights with {_short(name)} among them, which is no tensor.")
        return entry

    def read(self, tensor: ArchivedTensor) -> Tensor:
        """The tensor itself, with memory of its own."""
        if 0 in tensor.shape:
            return torch.empty(tensor.shape, dtype=tensor.dtype)
        width = tensor.dtype.itemsize
        extent = _extent(tensor.shape, tensor.strides)
        entry = self._entries[f"{self._name}/data/{tensor.storage}"]
        data = self._bytes(entry, tensor.offset * width, extent * width)
        if len(data) == entry.size and zlib.crc32(data) != entry.crc:
            raise ForeignFileError(f"{self.path} is damaged: the checksum of its storage {tensor.storage!r} is wrong.")
        if self._swap and width > 1:
            data = bytearray(np.frombuffer(data, dtype=f"u{width}").byteswap().tobytes())
        if tensor.dtype == torch.bool:
            flat = torch.frombuffer(data, dtype=torch.uint8) != 0  # torch knows no bool of another byte than 0 and 1
        else:
            flat = torch.frombuffer(data, dtype=tensor.dtype)
        return flat.as_strided(tensor.shape, tensor.strides).contiguous()

    def _directory(self) -> dict[str, _Entry]:
        """The zip's entries by name."""
        self._file.seek(0)
        start = self._file.read(512)
        if not start.startswith(_ZIP_START):
            raise ForeignFileError(_no_archive(self.path, start))
        try:
            with zipfile.ZipFile(_BoundedReads(self._file, self._size)) as archive:  # type: ignore[arg-type]
                infos = archive.infolist()
        except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError, OverflowError) as error:
            raise PickleRefused("its zip directory is damaged or cut short") from error
        return {
            info.filename: _Entry(
                info.header_offset,
                info.file_size,
                info.CRC,
                stored=info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1,
            )
            for info in infos
        }

    def _top_folder(self) -> str:
        folders = [name.removesuffix("/data.pkl") for name in self._entries if name.endswith("/data.pkl")]
        folders = [folder for folder in folders if "/" not in folder]
        if len(folders) != 1:
            raise ForeignFileError(f"{self.path} is a zip file, but none that torch.save writes: it has no data.pkl.")
        return folders[0]

    def _is_big_endian(self) -> bool:
        name = f"{self._name}/byteorder"
        order = self._whole_entry(name) if name in self._entries else b"little"
        if order not in (b"little", b"big"):
            raise PickleRefused("its byteorder is neither little nor big")
        return order == b"big"

    def _whole_entry(self, name: str) -> bytes:
        """A small entry, whole."""
        entry = self._entries[name]
        if entry.size > LARGEST_DESCRIPTION:
            raise PickleRefused(f"its {name.rpartition('/')[2]} has {entry.size / 1e6:,.0f} MB")
        data = self._bytes(entry, 0, entry.size)
        if zlib.crc32(data) != entry.crc:
            raise PickleRefused(f"its {name.rpartition('/')[2]} is damaged")
        return bytes(data)

    def _bytes(self, entry: _Entry, start: int, count: int) -> bytearray:
        """Bytes of an entry, which must lie in the file uncompressed, as torch writes them."""
        if not entry.stored:
            raise PickleRefused("its entries are compressed, which torch never does")
        if not 0 <= entry.header <= self._size - _LOCAL_HEADER.size:
            raise PickleRefused("its zip directory is damaged or cut short")
        self._file.seek(entry.header)
        header = self._file.read(_LOCAL_HEADER.size)
        signature, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        place = entry.header + _LOCAL_HEADER.size + name_length + extra_length + start
        if signature != _ZIP_START or place + count > self._size:
            raise PickleRefused("its zip directory is damaged or cut short")
        self._file.seek(place)
        data = bytearray(count)
        if self._file.readinto(data) != count:  # type: ignore[attr-defined]
            raise PickleRefused("it is cut short")
        return data

    def _find(self, name: str) -> Global:
        known = _KNOWN.get(name)
        if known is not None:
            return Global(name, lambda arguments: known(self, arguments))
        module, _, storage = name.rpartition(".")
        if module == "torch" and storage in _STORAGES:
            return Global(name)
        if (self._torchscript and name.startswith("__torch__.")) or name.startswith(_OF_TRAINING):
            return Global(name, lambda arguments: Attributes(name))
        raise PickleRefused(
            f"it asks for {_short(name)}, which is neither a tensor nor a plain value (nothing of it was run); save "
            "its weights alone, with torch.save(model.state_dict(), FILE)"
        )

    def _storage(self, identifier: Any) -> tuple[str, torch.dtype, int]:
        """Key, type and number of elements of a storage, whose bytes must be there."""
        if not isinstance(identifier, tuple) or len(identifier) != 5 or identifier[0] != "storage":
            raise PickleRefused("it has a storage of an unknown kind")
        _, kind, key, _, elements = identifier
        dtype = _STORAGES.get(kind.name.removeprefix("torch.")) if isinstance(kind, Global) else None
        if dtype is None or not isinstance(key, str) or not _is_count(elements):
            raise PickleRefused("it has a storage of an unknown kind")
        entry = self._entries.get(f"{self._name}/data/{key}")
        if entry is None or elements * dtype.itemsize > min(entry.size, self._size):
            raise PickleRefused(f"the bytes of its storage {_short(key)} are not all there")
        return key, dtype, elements

    def _tensor(self, arguments: tuple[Any, ...]) -> ArchivedTensor:
        """`_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks[, metadata])`."""
        if len(arguments) not in (6, 7) or (len(arguments) == 7 and arguments[6]):
            raise PickleRefused("it has a tensor of an unknown kind")
        storage, offset, shape, strides = arguments[:4]
        if not _is_storage(storage) or not _is_count(offset) or not _are_counts(shape) or not _are_counts(strides):
            raise PickleRefused("it has a tensor of an unknown kind")
        key, dtype, elements = storage
        if len(shape) != len(strides) or len(shape) > MOST_DIMENSIONS or max(shape, default=0) > 2**31:
            raise PickleRefused("it has a tensor of an impossible shape")
        if 0 not in shape and offset + _extent(shape, strides) > elements:
            raise PickleRefused(f"a tensor in it reaches beyond its storage {_short(key)}")
        self._counted += math.prod(shape) * dtype.itemsize
        if self._counted > MOST_OVERLAP * self._size:
            raise PickleRefused("its tensors together are far larger than the file")
        return ArchivedTensor(key, dtype, elements, offset, shape, strides)


class _BoundedReads:
    """A file for `zipfile`, which would read a directory of any size at once."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self.seek = file.seek
        self.tell = file.tell

    def read(self, count: int = -1) -> bytes:
        rest = max(self._size - self._file.tell(), 0)
        count = rest if count is None or count < 0 else min(count, rest)
        if count > LARGEST_DESCRIPTION:
            raise zipfile.BadZipFile("the directory is too large")
        return self._file.read(count)


def _tensors_of_modules(module: Attributes) -> Iterator[tuple[str, ArchivedTensor]]:
    """The tensors of a module and of those in it, under the names that a state dict gives them."""
    waiting, seen = [("", module, 0)], 0
    while waiting:
        prefix, current, depth = waiting.pop()
        seen += 1
        if depth > MOST_DEPTH or seen > MOST_MODULES:
            raise PickleRefused("its modules are nested without end")
        if not isinstance(current.state, dict | None):
            raise PickleRefused(f"only the code of its {_short(current.name)}, which is not run, knows what it holds")
        for name, value in (current.state or {}).items():
            if isinstance(value, ArchivedTensor):
                yield f"{prefix}{name}", value
            elif isinstance(value, Attributes):
                waiting.append((f"{prefix}{name}.", value, depth + 1))


def _parameter(archive: TensorArchive, arguments: tuple[Any, ...]) -> ArchivedTensor:
    """`_rebuild_parameter(tensor, requires_grad, hooks)`."""
    if len(arguments) != 3 or not isinstance(arguments[0], ArchivedTensor):
        raise PickleRefused("it has a parameter that is no tensor")
    return arguments[0]


def _first(archive: TensorArchive, arguments: tuple[Any, ...]) -> Any:
    """What TorchScript says of a list's or a value's type is not needed."""
    if not arguments:
        raise PickleRefused("its pickle is damaged")
    return arguments[0]


_KNOWN: dict[str, Callable[[TensorArchive, tuple[Any, ...]], Any]] = {
    "collections.OrderedDict": lambda archive, arguments: plain_dict(arguments),
    "torch._utils._rebuild_tensor_v2": TensorArchive._tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.jit._pickle.build_intlist": _first,
    "torch.jit._pickle.build_doublelist": _first,
    "torch.jit._pickle.build_boollist": _first,
    "torch.jit._pickle.build_tensorlist": _first,
    "torch.jit._pickle.restore_type_tag": _first,
}


def _no_archive(path: Path, start: bytes) -> str:
    """What a file is that does not begin as a zip file."""
    if start.startswith(b"\x80") or start[257:262] == b"ustar":
        return (
            f"{path} is in the format that torch.save had before torch 1.6; convert it where it came from: "
            f"torch.save(torch.load(FILE, map_location='cpu'), NEW_FILE) with a newer torch."
        )
    return f"{path} is no file that torch.save writes (it is empty, damaged or of another kind)."


def _extent(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Elements from a tensor's first to behind its last."""
    return 1 + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


def _are_counts(values: object) -> bool:
    return isinstance(values, tuple) and all(_is_count(value) for value in values)


def _is_storage(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and isinstance(value[1], torch.dtype)


def _short(value: object) -> str:
    """A value from a file, quoted and not at length."""
    text = ascii(value) if isinstance(value, str | int) else f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."
