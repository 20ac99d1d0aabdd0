"""Which images make a step."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.training.batches import epoch_order, epoch_seed, plan_steps

counts = st.integers(1, 300)
sizes = st.integers(1, 40)


@given(count=counts, batch_size=sizes)
def test_without_accumulation_the_steps_are_those_of_torch_s_loader(count, batch_size):
    data = torch.utils.data.TensorDataset(torch.arange(count))
    loader = torch.utils.data.DataLoader(data, batch_size=batch_size, drop_last=count >= batch_size)
    ours = [list(range(count))[batch] for group in plan_steps(count, batch_size) for batch in group]
    assert ours == [batch[0].tolist() for batch in loader]


@given(count=counts, batch_size=sizes, accumulate=st.integers(1, 6))
def test_a_group_holds_the_images_of_the_larger_batch(count, batch_size, accumulate):
    groups = plan_steps(count, batch_size, accumulate)
    larger = plan_steps(count, batch_size * accumulate)
    for group, (whole,) in zip(groups, larger, strict=True):
        assert [image for batch in group for image in range(count)[batch]] == list(range(count)[whole])
        assert all(0 < batch.stop - batch.start <= batch_size for batch in group)


def test_a_set_smaller_than_a_batch_is_one_short_batch():
    assert plan_steps(5, 32) == [(slice(0, 5),)]


def test_images_beyond_the_last_full_batch_are_left_out_of_the_epoch():
    assert plan_steps(70, 32) == [(slice(0, 32),), (slice(32, 64),)]


@given(count=counts, seed=st.integers(0, 2**40), epoch=st.integers(0, 10_000))
def test_an_epoch_s_order_holds_every_image_once(count, seed, epoch):
    assert sorted(epoch_order(count, seed, epoch).tolist()) == list(range(count))


def test_an_epoch_s_order_depends_on_seed_and_epoch_only():
    first = epoch_order(50, 1, 3)
    torch.manual_seed(99)
    assert torch.equal(first, epoch_order(50, 1, 3))
    assert not torch.equal(first, epoch_order(50, 1, 4))
    assert not torch.equal(first, epoch_order(50, 2, 3))


@pytest.mark.parametrize("other", [(1, 12, "order"), (11, 2, "order"), (1, 2, "method")])
def test_seeds_of_other_epochs_and_purposes_are_other_seeds(other):
    assert epoch_seed(1, 2, "order") != epoch_seed(*other)
