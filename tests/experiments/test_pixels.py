"""A method that reads pixels, in a benchmark of base and new classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vlprompt.backbones import Backbone, load_backbone
from vlprompt.errors import BackboneError, SettingsWarning
from vlprompt.experiments import MethodRun, Plan, read_records, run
from vlprompt.methods.maple import MaPLe


def test_maple_is_trained_on_base_and_tested_on_new_classes_and_a_stopped_run_goes_on(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maple = MethodRun("maple", training={"epochs": 3, "warmup_epochs": 0})
    text_alone = MethodRun("maple", label="text-alone", options={"image_prompts": False}, training={"epochs": 3})
    plan = replace(plan, methods=(maple, text_alone), seeds=(1,))
    run(plan, tmp_path / "whole", cache=None, workers=1)

    def stopping(self: MaPLe, epoch: int, epochs: int) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MaPLe, "after_epoch", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(plan, tmp_path / "stopped", cache=None, workers=1)
    assert not read_records(tmp_path / "stopped")
    run(plan, tmp_path / "stopped", cache=None, workers=1)
    whole, resumed = (
        {record.method.label: record for record in read_records(tmp_path / out)} for out in ("whole", "stopped")
    )
    assert set(whole) == {"maple", "text-alone"}
    for label, record in whole.items():
        assert record.results == resumed[label].results
        assert record.final_loss == resumed[label].final_loss
        assert record.times.train_s > 0


@pytest.fixture
def resnet() -> Backbone:
    """A backbone whose image tower takes no tokens."""
    return load_backbone("mini", device="cpu")


def test_a_method_that_cannot_work_over_the_backbone_is_refused_before_anything_is_computed(
    plan: Plan, resnet: Backbone, tmp_path: Path
) -> None:
    plan = replace(plan, methods=("zero-shot", "maple"), backbone=resnet)
    with pytest.raises(BackboneError, match="'mini' takes no prompt tokens: it is a ResNet"):
        run(plan, tmp_path / "out", cache=None, workers=1)
    assert not read_records(tmp_path / "out")


def test_of_all_methods_one_that_cannot_work_over_the_backbone_is_left_out_with_a_warning(
    plan: Plan, resnet: Backbone, tmp_path: Path
) -> None:
    plan = replace(plan, methods=("zero-shot", "maple"), backbone=resnet, leave_out_unfit=True)
    with pytest.warns(SettingsWarning, match="method maple is left out: .* it is a ResNet"):
        records = run(plan, tmp_path / "out", cache=None, workers=1)
    assert {record.method.label for record in records} == {"zero-shot"}
