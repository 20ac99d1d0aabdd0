"""The Python of docs/benchmarks.md is run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


def test_the_plan_and_the_protocol_of_ones_own_run(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLPROMPT_CACHE", str(tmp_path / "cache"))
    run_a_plan, own = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    exec(run_a_plan.replace('"emoji-food"', "_few"), {"_few": _few()})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["zero-shot", "0"], ["gda", "1"], ["gda", "4"]]
    names: dict = {}
    exec(own, names)
    halves = names["Halves"]()
    assert list(halves.tests(_few())) == ["second half"]


def _few():
    from dataclasses import replace

    from vlprompt.data.catalogue import load_dataset

    food = load_dataset("emoji-food")
    train = tuple(sample for sample in food.train if sample.label < 4)
    test = tuple(sample for sample in food.test if sample.label < 4)
    return replace(food, train=train, val=(), test=test)
