"""A method that reads pixels, in a benchmark of base and new classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

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
