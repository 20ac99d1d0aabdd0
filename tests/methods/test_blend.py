"""The blend of heads: its formula, what it holds out, its scale and its state."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests.methods.test_heads import NAMES, pictures, set_up
from vlprompt.backbones import Backbone
from vlprompt.errors import DataError
from vlprompt.methods.blend import USUAL_SCALE, WEIGHTS, Blend
from vlprompt.methods.folds import stratified_folds
from vlprompt.methods.gda import GDA
from vlprompt.methods.linear_probe import LinearProbe
from vlprompt.methods.method import TrainingSet
from vlprompt.methods.tip_adapter import TipAdapter


def blended(backbone: Backbone, learn: TrainingSet, images: torch.Tensor, values: list) -> torch.Tensor:
    """The formula written plainly, from heads that learned from `learn`, with c of 1."""
    total = torch.zeros(len(images), len(NAMES), dtype=torch.double)
    for (head, weight), value in zip(WEIGHTS.items(), values, strict=True):
        alone = head(backbone, NAMES)
        alone.learn(learn, value)
        spread = torch.stack([row.std() for row in alone(learn.features).logits]).mean()
        logits = alone(images).logits
        centred = torch.stack([row - row.mean() for row in logits])
        total += (weight * centred / spread).double()
    return total


def test_the_logits_are_the_formula_over_heads_that_chose_for_themselves(tiny_backbone: Backbone) -> None:
    learn, others = pictures(4), pictures(6, seed=0).features[::2]
    method = set_up(Blend, tiny_backbone, learn)
    values = [set_up(head, tiny_backbone, learn).value for head in WEIGHTS]
    expected = float(method.scale) * blended(tiny_backbone, learn, others, values)
    torch.testing.assert_close(method(others).logits.double(), expected, rtol=1e-4, atol=1e-3)


def test_no_head_speaks_louder_than_its_weight(tiny_backbone: Backbone) -> None:
    method = set_up(Blend, tiny_backbone, pictures(4))
    before = method(pictures(4).features).logits
    probe = method.blended[1]
    assert isinstance(probe, LinearProbe)
    probe.keep(1000 * probe.weight, 1000 * probe.bias)
    method.spreads[1] *= 1000
    torch.testing.assert_close(method(pictures(4).features).logits, before, rtol=1e-4, atol=1e-3)


def test_held_out_pictures_are_named_by_heads_that_did_not_learn_from_them(tiny_backbone: Backbone) -> None:
    learn = pictures(5)
    method = set_up(Blend, tiny_backbone, learn)
    assert method.held_out is not None
    values = [head.value for head in method.blended]
    places, named = [], []
    for seen, look in stratified_folds(learn.labels, method.seed):
        part = TrainingSet(learn.features[seen], learn.labels[seen])
        places.append(look)
        named.append(blended(tiny_backbone, part, learn.features[look], values).argmax(1))
    assert torch.equal(method.held_out.places, torch.cat(places))
    assert torch.equal(method.held_out.predicted, torch.cat(named))
    assert torch.equal(method.held_out.labels, learn.labels[method.held_out.places])


def test_the_scale_is_smaller_where_held_out_pictures_are_named_wrong(tiny_backbone: Backbone) -> None:
    learn = pictures(12)
    stream = torch.Generator().manual_seed(1)
    noise = torch.where(torch.rand(36, generator=stream) < 0.4, torch.randint(3, (36,), generator=stream), learn.labels)
    sure = float(set_up(Blend, tiny_backbone, learn).scale)
    unsure = float(set_up(Blend, tiny_backbone, TrainingSet(learn.features, noise)).scale)
    assert unsure < sure / 2


def test_single_pictures_leave_nothing_to_hold_out_and_the_usual_scale(tiny_backbone: Backbone) -> None:
    method = set_up(Blend, tiny_backbone, pictures(1))
    assert method.held_out is None
    assert float(method.scale) == USUAL_SCALE


def test_what_it_learned_is_saved_and_loaded_strictly(tiny_backbone: Backbone) -> None:
    method, images = set_up(Blend, tiny_backbone, pictures(4)), pictures(3).features
    state = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    again = Blend(tiny_backbone, NAMES)
    shapes = {name: tensor.shape for name, tensor in again.expected_state(12).items()}
    assert shapes == {name: tensor.shape for name, tensor in state.items()}
    again.load_learned(state)
    assert torch.equal(again(images).logits, method(images).logits)
    with pytest.raises(RuntimeError, match="scale"):
        Blend(tiny_backbone, NAMES).load_learned({name: state[name] for name in state if name != "scale"})
    with pytest.raises(RuntimeError, match="labels must be from 0 to 2"):
        Blend(tiny_backbone, NAMES).load_learned(state | {"heads.2.labels": state["heads.2.labels"] + 1})


def test_some_of_its_classes_are_served_in_any_order(tiny_backbone: Backbone) -> None:
    method, images = set_up(Blend, tiny_backbone, pictures(4)), pictures(3).features
    part = method.with_class_names(["okapi", "dog"])
    assert torch.equal(part(images).logits, method(images).logits[:, [2, 0]])


def test_pictures_too_many_for_a_cache_are_refused(tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlprompt.methods.tip_adapter.MOST_PICTURES", 8)
    with pytest.raises(DataError, match="more than 8"):
        set_up(Blend, tiny_backbone, pictures(3))


def test_its_heads_are_the_three_that_the_file_names() -> None:
    assert list(WEIGHTS) == [GDA, LinearProbe, TipAdapter]


def test_one_head_that_is_wrong_is_outvoted(tiny_backbone: Backbone) -> None:
    learn = pictures(6)
    method = set_up(Blend, tiny_backbone, learn)
    probe = method.blended[1]
    assert isinstance(probe, LinearProbe)
    probe.keep(-probe.weight, -probe.bias)
    named = method(learn.features).logits.argmax(1)
    assert (named == learn.labels).float().mean() > 0.9
    assert F.softmax(method(learn.features).logits, dim=1).isfinite().all()
