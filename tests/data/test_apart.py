"""Large and uncommon pictures are decoded in a process of their own, to the same bits and within bounds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.bombs import GREY, PALETTE, RGBA, write_png
from vlprompt.data.apart import PictureProcess
from vlprompt.data.images import decodes, find_unreadable, open_image
from vlprompt.data.samples import EncodedImage, Sample
from vlprompt.errors import UnreadableImageError

GIGABYTE = 10**9


def pixels_of(source, *, max_pixels):
    return np.asarray(open_image(source, max_pixels))


def loaded_modules(source, *, max_pixels):
    return np.array(["torch" in sys.modules, "sklearn" in sys.modules], np.uint8)


def crash(source, *, max_pixels):
    os.kill(os.getpid(), signal.SIGSEGV)


def take_memory(source, *, max_pixels):
    return np.ones(12 * max_pixels, np.uint8)


def print_something(source, *, max_pixels):
    os.write(1, b"a decoder's remark\n")
    return np.arange(3, dtype=np.uint8)


@pytest.fixture
def apart():
    with PictureProcess(10_000_000) as process:
        yield process


@pytest.fixture
def photo(tmp_path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_pictures_come_back_to_the_bit_one_after_another(apart, photo) -> None:
    expected = np.asarray(open_image(photo))
    for source in (photo, str(photo), EncodedImage(photo.read_bytes()), photo):
        assert np.array_equal(apart.call(pixels_of, source), expected)


def test_the_process_starts_only_when_it_is_needed_and_ends_with_the_block(photo) -> None:
    with PictureProcess() as process:
        assert process._process is None
        process.call(decodes, photo)
        child = process._process
        assert child is not None
    assert child.returncode == 0


def test_what_cannot_be_read_has_its_reason_and_the_next_picture_comes(apart, photo, tmp_path) -> None:
    (tmp_path / "bad.png").write_bytes(photo.read_bytes()[:200])
    with pytest.raises(UnreadableImageError, match=r"bad.png cannot be read as an image: it is damaged or cut short"):
        apart.call(pixels_of, tmp_path / "bad.png")
    assert apart.call(pixels_of, photo).shape == (30, 40, 3)


def test_names_that_are_not_utf8_reach_the_process(apart, photo, tmp_path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    photo.rename(odd)
    assert apart.call(pixels_of, odd).shape == (30, 40, 3)


def test_it_holds_no_model(apart, photo) -> None:
    assert apart.call(loaded_modules, photo).tolist() == [0, 0]


def test_a_decoder_that_crashes_costs_one_picture(apart, photo) -> None:
    with pytest.raises(UnreadableImageError, match=r"its decoder crashed \(SIGSEGV\)"):
        apart.call(crash, photo)
    assert apart.call(pixels_of, photo).shape == (30, 40, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the memory of a process so")
def test_its_memory_is_bounded_whatever_the_header_said(photo) -> None:
    with (
        PictureProcess(50_000_000) as process,
        pytest.raises(UnreadableImageError, match=r"it takes more than 400 MB to use"),
    ):
        process.call(take_memory, photo)


def test_what_a_decoder_prints_is_no_reply(apart, photo) -> None:
    assert apart.call(print_something, photo).tolist() == [0, 1, 2]


def test_where_no_process_can_be_started_pictures_are_opened_here(photo, monkeypatch) -> None:
    for executable in ("/nowhere/python", "/bin/true"):
        monkeypatch.setattr(sys, "executable", executable)
        with PictureProcess() as process:
            assert process.call(pixels_of, photo).shape == (30, 40, 3)


def test_code_beside_the_pictures_is_not_run(photo, tmp_path, monkeypatch) -> None:
    for name in ("json.py", "PIL.py", "numpy.py", "vlprompt.py"):
        (tmp_path / name).write_text("open('ran', 'w')\n")
    monkeypatch.chdir(tmp_path)
    with PictureProcess() as process:
        process.call(decodes, photo)
    assert not (tmp_path / "ran").exists()


BOMBS = {
    "16-bit grey": (GREY, 16),
    "RGBA": (RGBA, 8),
    "1-bit palette with transparency": (PALETTE, 1),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("kind", BOMBS)
def test_no_process_takes_a_gigabyte_for_a_picture_of_millions_of_pixels(tmp_path, kind) -> None:
    # 64 million pixels: the most that is used as it is.
    bomb = write_png(tmp_path / "bomb.png", 8000, 8000, *BOMBS[kind])
    code = (
        "import re, resource, sys\nfrom pathlib import Path\nfrom vlprompt.data.images import find_unreadable\n"
        "from vlprompt.data.samples import Sample\n"
        "assert not find_unreadable([Sample(Path(sys.argv[1]), 0, 'any')])\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(bomb)], capture_output=True, text=True, check=True)
    here, apart = (int(kilobytes) * 1024 for kilobytes in done.stdout.split())
    assert here < 150_000_000
    assert apart < GIGABYTE


def test_checking_many_pictures_names_all_that_cannot_be_read(tmp_path, photo) -> None:
    samples, expected = [], []
    for number in range(40):
        path = tmp_path / f"{number}.tif"
        Image.new("RGB", (9, 9)).save(path)
        if number % 7 == 0:
            path.write_bytes(path.read_bytes()[:60])
            expected.append(str(path))
        samples.append(Sample(path, 0, "any"))
    steps = []
    failures = find_unreadable(samples, progress=lambda done, total: steps.append((done, total)))
    assert list(failures) == expected
    assert steps == [(done, 40) for done in range(1, 41)]
