"""A benchmark of an exported data set is the benchmark of the data set."""

from __future__ import annotations

from dataclasses import replace

from vlprompt.data.catalogue import load_dataset
from vlprompt.data.exporting import export_dataset
from vlprompt.data.samples import Dataset
from vlprompt.data.splits import keep_labels
from vlprompt.experiments import Plan, run
from vlprompt.protocols import BASE_TO_NEW


def few_classes_of(name: str) -> Dataset:
    """Six classes of a bundled data set, of which the sorted names would make other halves, with few pictures."""
    dataset = load_dataset(name)
    labels = [30, 4, 21, 12, 2, 40]
    train, test = (keep_labels(samples, labels) for samples in (dataset.train, dataset.test))
    return replace(dataset, train=train[::5], val=(), test=test[::5])


def test_zero_shot_on_an_export_is_that_on_the_bundled_data_to_the_digit(tiny_backbone, tmp_path):
    dataset = few_classes_of("emoji-animals")
    assert dataset.class_names != sorted(dataset.class_names)
    folder = export_dataset(dataset, tmp_path / "emoji-animals")
    records = []
    for source, out in ((dataset, "bundled"), (folder, "exported")):
        plan = Plan(BASE_TO_NEW, datasets=(source,), methods=("zero-shot",), backbone=tiny_backbone)
        records += run(plan, tmp_path / out, workers=1, progress=False, cache=None)
    bundled, exported = records
    assert exported.dataset.classes["base"] == bundled.dataset.classes["base"]
    assert exported.dataset.classes["new"] == bundled.dataset.classes["new"]
    assert exported.dataset.template == bundled.dataset.template
    assert exported.results == bundled.results
    assert exported.results["base"].predictions == bundled.results["base"].predictions
