from __future__ import annotations

import multiprocessing
import os
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from tests.features.small_encoder import PREPROCESSING, random_pixels
from vlprompt.features import loading
from vlprompt.features.loading import Block, Blocks, Request, load_blocks
from vlprompt.features.transforms import EvaluationTransform


@dataclass(frozen=True)
class Scene:
    """Shows which process composed it: its pixels are the process number's lowest byte."""

    content_key: str = "scene"

    def open(self) -> Image.Image:
        return Image.new("RGB", (16, 16), (os.getpid() % 256, 0, 0))


def blocks_of(count: int, source: object = None) -> Blocks:
    requests = [[Request(at, random_pixels(at) if source is None else source, (0,))] for at in range(count)]
    return Blocks(requests, EvaluationTransform(PREPROCESSING))


def loaded(blocks: Blocks, workers: int | str, cores: int = 2) -> list[Block]:
    return list(load_blocks(blocks, workers, cores))


def in_this_process(blocks: list[Block]) -> list[bool]:
    return [bool(block.pixels[0, 0, 0, 0] == os.getpid() % 256) for block in blocks]


@pytest.mark.parametrize("workers", [0, 1, 3, "auto"])
def test_blocks_come_in_order_and_whole(workers: int | str) -> None:
    blocks = blocks_of(9)
    results = loaded(blocks, workers)
    assert [block.places for block in results] == [[at] for at in range(9)]
    assert all(np.array_equal(block.pixels, blocks[at].pixels) for at, block in enumerate(results))


def test_few_quick_images_are_loaded_in_this_process() -> None:
    assert all(in_this_process(loaded(blocks_of(20, Scene()), "auto")))


def test_slow_images_are_loaded_by_workers_after_the_timed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "WORTH_WORKERS_SECONDS", 0.0)
    here = in_this_process(loaded(blocks_of(8, Scene()), "auto"))
    assert here[:2] == [True, True]
    assert not all(here[2:])


@pytest.mark.parametrize(
    ("seconds", "blocks", "cores", "expected"),
    [(0.3, 50, 8, 0), (30, 50, 8, 8), (30, 3, 8, 3), (30, 50, 1, 0), (30, 1, 8, 0), (300, 500, 64, 16), (0.5, 9, 2, 0)],
)
def test_workers_start_only_where_they_pay(seconds: float, blocks: int, cores: int, expected: int) -> None:
    assert loading._workers_worth_starting(seconds, blocks, cores) == expected


def test_workers_do_not_start_by_themselves_where_scripts_need_a_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading.sys, "platform", "darwin")
    assert loading._workers_worth_starting(30, 50, 8) == 0


def test_a_process_that_may_have_no_children_loads_by_itself() -> None:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(loading._workers_worth_starting, (30, 50, 8)) == 0
        assert len(pool.apply(loaded, (blocks_of(5), 2))) == 5


def test_an_image_is_opened_once_for_all_its_views(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(loading, "open_image", lambda source, _: opened.append(source) or Image.new("RGB", (16, 16)))
    block = loading.load_block([Request(3, "photo", (0, 1, 2))], EvaluationTransform(PREPROCESSING))
    assert opened == ["photo"]
    assert (block.places, block.pixels.shape) == ([3], (3, 16, 16, 3))
