from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vlprompt.methods.folds import choose, stratified_folds


@settings(deadline=None)
@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=60), seed=st.integers(0, 9), folds=st.integers(2, 6))
def test_every_picture_is_held_out_once_unless_it_is_its_classs_only_one(
    labels: list[int], seed: int, folds: int
) -> None:
    given_labels = torch.tensor(labels)
    held_out = []
    for learn, look in stratified_folds(given_labels, seed, folds):
        assert sorted([*learn.tolist(), *look.tolist()]) == list(range(len(labels)))
        assert set(given_labels.tolist()) == set(given_labels[learn].tolist())
        held_out += look.tolist()
    assert sorted(held_out) == [place for place, label in enumerate(labels) if labels.count(label) > 1]


def test_the_folds_are_equally_large() -> None:
    labels = torch.arange(10).repeat_interleave(3)
    sizes = [len(look) for _, look in stratified_folds(labels, 1)]
    assert max(sizes) - min(sizes) <= 1


def test_where_no_picture_can_be_held_out_the_default_is_taken() -> None:
    def never(*_: torch.Tensor) -> list[torch.Tensor]:
        raise AssertionError

    chosen = choose((1.0, 2.0), torch.zeros(3, 2), torch.arange(3), 1, never, default=7.0)
    assert (chosen.value, chosen.held_out) == (7.0, None)


def test_what_names_most_held_out_pictures_right_is_chosen_and_of_equals_the_first() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    features = torch.nn.functional.one_hot(labels, 2).float()

    def logits(_: torch.Tensor, __: torch.Tensor, held_out: torch.Tensor) -> list[torch.Tensor]:
        return [-held_out, held_out, 3 * held_out]

    chosen = choose(("wrong", "right", "surer"), features, labels, 1, logits, default="none")
    assert chosen.value == "right"
    assert chosen.held_out is not None
    assert sorted(chosen.held_out.places.tolist()) == [0, 1, 2, 3]
    assert torch.equal(chosen.held_out.labels, labels[chosen.held_out.places])
    assert chosen.held_out.hits.all()
