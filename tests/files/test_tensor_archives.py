"""Tensors from files of torch.save and TorchScript: the same as torch's, within bounds, and nothing is run."""

from __future__ import annotations

import os
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.archives import tensor_pickle, write_archive
from vlprompt.errors import ForeignFileError
from vlprompt.files.tensor_archives import OPENAIS_NUMBERS, open_archive, read_weights

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32]
DTYPES += [torch.int16, torch.int8, torch.uint8, torch.bool]
VIEWS: list[Callable[[Tensor], Tensor]] = [
    lambda tensor: tensor,
    lambda tensor: tensor.T,
    lambda tensor: tensor[1:],
    lambda tensor: tensor[:, ::2],
    lambda tensor: tensor[:0],
    lambda tensor: tensor[0, 0],
    lambda tensor: tensor[:1].expand(2, -1),
    lambda tensor: tensor.as_strided((2, 2), (1, 1)),
]


@contextmanager
def at_most(most_bytes: int) -> Iterator[None]:
    """Fails where more memory than that is taken at any moment."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most_bytes
    finally:
        tracemalloc.stop()


def equal(first: Tensor, second: Tensor) -> bool:
    return first.dtype == second.dtype and torch.equal(first, second)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(DTYPES), st.sampled_from(VIEWS), st.integers(2, 5), st.integers(2, 5)), min_size=1
    )
)
def test_what_torch_saves_is_read_to_the_bit(tmp_path_factory: pytest.TempPathFactory, tensors: list[Any]) -> None:
    state = {
        str(number): view((torch.randn(rows, columns) * 3).to(dtype))
        for number, (dtype, view, rows, columns) in enumerate(tensors)
    }
    state["again"] = state["0"]
    state["parameter"] = torch.nn.Parameter(torch.randn(3))
    path = tmp_path_factory.mktemp("saved") / "weights.bin"
    torch.save(state, path)
    read = read_weights(path)
    assert list(read) == list(state)
    assert all(equal(read[name], tensor) for name, tensor in state.items())


def test_tensors_that_share_a_storage_get_memory_of_their_own(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    torch.save({"head": whole[:2], "tail": whole[2:], "whole": whole}, tmp_path / "w.pt")
    read = read_weights(tmp_path / "w.pt")
    read["whole"].zero_()
    assert read["head"].tolist() == [0, 1]
    assert read["tail"].tolist() == [2, 3, 4, 5]


def test_a_state_dict_with_what_training_leaves_beside_it_is_read(tmp_path: Path) -> None:
    model = torch.nn.BatchNorm1d(3)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.randn(4, 3)).sum().backward()
    optimiser.step()
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 5)
    torch.save(
        {"state_dict": model.state_dict(), "optimizer": optimiser.state_dict(), "scheduler": schedule.__dict__},
        tmp_path / "epoch_3.pt",
    )
    read = read_weights(tmp_path / "epoch_3.pt")
    assert all(equal(read[name], tensor) for name, tensor in model.state_dict().items())


def test_the_other_byte_order_is_turned_round(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "big.pt", tensor_pickle(), {"0": struct.pack(">2f", 1.5, -2)}, byteorder=b"big")
    assert read_weights(path)["w0"].tolist() == [1.5, -2]


class Writing(torch.nn.Module):
    """Writes a file whenever any of its code is run."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).half())

    def forward(self, images: Tensor) -> Tensor:
        torch.save(images, "was-run")
        return images

    @torch.jit.export
    def __getstate__(self) -> dict[str, Tensor]:
        return {"weight": self.weight, "bias": self.weight[0]}

    @torch.jit.export
    def __setstate__(self, state: dict[str, Tensor]) -> None:
        torch.save(state["weight"], "was-run")
        self.weight = state["weight"]
        self.training = False


def script(module: torch.nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))
    return path


def test_a_torchscript_archive_that_would_write_a_file_is_read_and_writes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    read = read_weights(script(Writing(), tmp_path / "evil.pt"))
    assert os.listdir(tmp_path) == ["evil.pt"]
    assert equal(read["weight"], torch.arange(6.0).reshape(2, 3).half())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.load("evil.pt")
    assert "was-run" in os.listdir(tmp_path), "torch's own loader runs it, or this test would show nothing"


class Tower(torch.nn.Module):
    """As in OpenAI's archives: nested modules, half precision, three numbers beside the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1).half(), torch.nn.BatchNorm2d(2))
        self.logit_scale = torch.nn.Parameter(torch.tensor(4.6))
        self.names = ["a", "b"]
        self.sizes = [1, 2]
        for name in OPENAIS_NUMBERS:
            self.register_buffer(name, torch.tensor(7))

    def forward(self, images: Tensor) -> Tensor:
        return images


def test_a_torchscript_archive_gives_its_state_dict_without_openais_numbers(tmp_path: Path) -> None:
    tower = Tower()
    read = read_weights(script(tower, tmp_path / "tower.pt"))
    expected = {name: tensor for name, tensor in tower.state_dict().items() if name not in OPENAIS_NUMBERS}
    assert read.keys() == expected.keys()
    assert all(equal(read[name], tensor) for name, tensor in expected.items())


def test_an_archive_whose_own_code_alone_knows_its_tensors_is_refused(tmp_path: Path) -> None:
    class Tuple(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(2))

        def forward(self, images: Tensor) -> Tensor:
            return images

        @torch.jit.export
        def __getstate__(self) -> tuple[Tensor, bool]:
            return (self.weight, self.training)

        @torch.jit.export
        def __setstate__(self, state: tuple[Tensor, bool]) -> None:
            self.weight = state[0]
            self.training = state[1]

    with pytest.raises(ForeignFileError, match="which is not run"):
        read_weights(script(Tuple(), tmp_path / "tuple.pt"))


class Command:
    def __reduce__(self) -> Any:
        return os.system, ("touch was-run",)


def test_a_file_that_would_run_a_command_is_refused_by_name_and_runs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"w": torch.zeros(1)}, "scheduler": Command()}, "w.pt")
    with pytest.raises(
        ForeignFileError, match=rf"w\.pt .*'{os.system.__module__}\.system', which is neither"
    ) as refusal:
        read_weights(Path("w.pt"))
    assert "\n" not in str(refusal.value)
    assert os.listdir(tmp_path) == ["w.pt"]


def test_a_whole_pickled_module_is_refused_with_the_way_out(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(ForeignFileError, match=r"asks for 'torch\.nn.*save its weights alone"):
        read_weights(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (torch.zeros(2), "holds no weights by name"),
        ({}, "holds no weights by name"),
        ([torch.zeros(2)], "holds no weights by name"),
        ({"w": torch.zeros(2), "n": 3}, "with 'n' among them, which is no tensor"),
        ({1: torch.zeros(2)}, "with 1 among them, which is no tensor"),
        ({"w": torch.zeros(2, dtype=torch.complex64)}, "asks for 'torch.ComplexFloatStorage'"),
        ({"w": torch.zeros(2).to_sparse()}, "asks for 'torch._utils._rebuild_sparse_tensor'"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, value: Any, complaint: str) -> None:
    torch.save(value, tmp_path / "w.pt")
    with pytest.raises(ForeignFileError, match=complaint):
        read_weights(tmp_path / "w.pt")


TWO_FLOATS = {"0": struct.pack("<2f", 1, 2)}


@pytest.mark.parametrize(
    ("description", "complaint"),
    [
        (tensor_pickle(elements=10**12), "storage '0' are not all there"),
        (tensor_pickle(elements=3), "storage '0' are not all there"),
        (tensor_pickle(elements=-1), "storage of an unknown kind"),
        (tensor_pickle(elements="2"), "storage of an unknown kind"),
        (tensor_pickle(kind="UntypedStorage"), "asks for 'torch.UntypedStorage'"),
        (tensor_pickle(shape=(3,)), "reaches beyond its storage"),
        (tensor_pickle(shape=(10**9, 10**9)), "impossible shape"),
        (tensor_pickle(shape=(10**9, 10**9), strides=(0, 0)), "far larger than the file"),
        (tensor_pickle(shape=(10**15,), strides=(0,)), "impossible shape"),
        (tensor_pickle(shape=(2,) * 40, strides=(0,) * 40), "impossible shape"),
        (tensor_pickle(strides=(2,)), "reaches beyond its storage"),
        (tensor_pickle(strides=(-1,)), "tensor of an unknown kind"),
        (tensor_pickle(shape=(-2,)), "tensor of an unknown kind"),
        (tensor_pickle(shape=(2.0,)), "tensor of an unknown kind"),  # type: ignore[arg-type]
        (tensor_pickle(shape=(True,)), "tensor of an unknown kind"),
        (tensor_pickle(offset=1), "reaches beyond its storage"),
        (tensor_pickle(offset=2**70), "tensor of an unknown kind"),
        (tensor_pickle(offset=-1), "tensor of an unknown kind"),
        (tensor_pickle()[:-1], "cut short"),
    ],
)
def test_a_size_that_the_file_does_not_have_is_refused_before_memory_is_taken(
    tmp_path: Path, description: bytes, complaint: str
) -> None:
    path = write_archive(tmp_path / "w.pt", description, TWO_FLOATS)
    with at_most(2_000_000), pytest.raises(ForeignFileError, match=complaint) as refusal:
        read_weights(path)
    assert "\n" not in str(refusal.value)


def test_entries_that_blow_up_when_decompressed_are_refused(tmp_path: Path) -> None:
    bomb = {"0": bytes(100_000_000)}
    path = write_archive(
        tmp_path / "w.pt", tensor_pickle((25_000_000,), elements=25_000_000), bomb, compression=zipfile.ZIP_DEFLATED
    )
    assert path.stat().st_size < 200_000
    with at_most(4_000_000), pytest.raises(ForeignFileError, match="compressed, which torch never does"):
        read_weights(path)


def test_many_tensors_that_are_all_the_same_large_storage_are_refused(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "w.pt", tensor_pickle((10_000,), elements=10_000, times=200), {"0": bytes(40_000)})
    with at_most(2_000_000), pytest.raises(ForeignFileError, match="far larger than the file"):
        read_weights(path)


def test_a_directory_that_is_larger_than_any_models_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlprompt.files.tensor_archives.LARGEST_DESCRIPTION", 100_000)
    path = write_archive(tmp_path / "w.pt", tensor_pickle(), {str(number): b"" for number in range(2000)})
    with pytest.raises(ForeignFileError, match="zip directory is damaged"):
        read_weights(path)


def test_modules_within_themselves_are_refused(tmp_path: Path) -> None:
    within = b"\x80\x02c__torch__\nLoop\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sb."
    path = write_archive(tmp_path / "w.pt", within, **{"code/loop.py": b""})
    with pytest.raises(ForeignFileError, match="nested without end"):
        read_weights(path)


@pytest.mark.parametrize("value", [{"w": torch.zeros(2)}, torch.nn.Linear(2, 2)])
def test_the_format_before_torch_1_6_is_refused_with_the_way_to_convert(tmp_path: Path, value: Any) -> None:
    torch.save(value, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(ForeignFileError, match=r"before torch 1\.6; convert it .*torch\.save\(torch\.load"):
        read_weights(tmp_path / "old.pth")


@pytest.mark.parametrize("content", [b"", b"weights", b"PK\x03\x04", bytes(1000)])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(ForeignFileError, match=r"w\.pt"):
        read_weights(tmp_path / "w.pt")


def test_another_zip_file_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("letter.txt", "hello")
    with pytest.raises(ForeignFileError, match="none that torch.save writes"):
        read_weights(tmp_path / "w.pt")


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pt")
    with pytest.raises(ForeignFileError, match="a pipe"):
        read_weights(tmp_path / "w.pt")
    with pytest.raises(ForeignFileError, match="No such file"):
        read_weights(tmp_path / "nothing.pt")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "w.pt"
    torch.save({"state_dict": torch.nn.Linear(2, 3).state_dict(), "epoch": 3}, path)
    return path.read_bytes()


def test_a_changed_storage_is_seen_by_its_checksum(tmp_path: Path, saved: bytes) -> None:
    with zipfile.ZipFile(_write(tmp_path, saved)) as archive:
        data = archive.read("w/data/0")
    place = saved.index(data)
    with pytest.raises(ForeignFileError, match="checksum of its storage"):
        read_weights(_write(tmp_path, saved[:place] + b"\x00\x00\x00\x01" + saved[place + 4 :]))


@pytest.mark.parametrize("offset", [0, 1, 2**31, 2**63, 2**64 - 1])
def test_a_directory_that_points_outside_the_file_is_refused(tmp_path: Path, saved: bytes, offset: int) -> None:
    content = bytearray(saved)
    end = content.rindex(b"PK\x06\x06")
    content[end + 48 : end + 56] = struct.pack("<Q", offset)
    with pytest.raises(ForeignFileError, match="zip directory is damaged"):
        read_weights(_write(tmp_path, bytes(content)))


def _write(folder: Path, content: bytes) -> Path:
    path = folder / "changed.pt"
    path.write_bytes(content)
    return path


@settings(max_examples=150, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4), cut=st.integers(0, 3000))
def test_changed_or_missing_bytes_give_tensors_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, saved: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    content = bytearray(saved)
    for place, byte in changes:
        content[place % len(content)] = byte
    path = _write(
        tmp_path_factory.mktemp("changed"), bytes(content[: len(content) - (cut if cut < len(content) else 0)])
    )
    with suppress(ForeignFileError):
        assert all(isinstance(tensor, Tensor) for tensor in read_weights(path).values())


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    torch.save({"small": torch.ones(2), "large": torch.zeros(10_000_000)}, tmp_path / "w.pt")
    with at_most(4_000_000), open_archive(tmp_path / "w.pt") as archive:
        assert archive.read(archive.value["small"]).tolist() == [1, 1]
