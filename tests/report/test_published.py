from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from tests.report.conftest import make_few_shot_record, make_record
from vlprompt.data.published.sets import PUBLISHED
from vlprompt.experiments.records import ResultRecord
from vlprompt.methods.declarations import recipe_for
from vlprompt.protocols.published import PublishedCell, published_table
from vlprompt.report.html import report_html
from vlprompt.report.published import _reasons_of_recipe, compared_with_published, published_csv
from vlprompt.report.summary import harmonic_mean

ELEVEN = published_table("cocoop-table-1").datasets


def as_published(record: ResultRecord) -> ResultRecord:
    """The record as the published way would have made it."""
    declared = PUBLISHED[record.dataset.name]
    share = declared.counts.test // len(record.results)
    totals = [declared.counts.test - share * (len(record.results) - 1)] + [share] * (len(record.results) - 1)
    results = zip(record.results.items(), totals, strict=True)
    training = recipe_for(record.method.name, record.protocol, record.shots or None).training
    return replace(
        record,
        dataset=replace(record.dataset, source=declared.name, template=declared.template, split="published"),
        backbone=replace(record.backbone, name="ViT-B-16/openai"),
        method=replace(record.method, options={}),
        training={**training.as_dict(), "views": None, "seed": record.seed} if training else None,
        results={test: replace(result, total=total) for (test, result), total in results},
    )


def made(datasets=("eurosat",), methods=("zero-shot", "cocoop"), seeds=(1, 2, 3)) -> list[ResultRecord]:
    return [
        as_published(make_record(dataset, method, seed, 87.0 + seed, 60.0))
        for dataset in datasets
        for method in methods
        for seed in (seeds if method != "zero-shot" else (0,))
    ]


def cells_of(records, table="cocoop-table-1"):
    (found,) = [one for one in compared_with_published(records) if one.table.name == table]
    return {(cell.dataset, cell.method, cell.test): cell for cell in found.cells}, found


def test_the_same_cell_has_the_published_number_ours_the_difference_and_our_interval():
    cells, table = cells_of(made())
    cell = cells["eurosat", "cocoop", "base"]
    assert cell.published == 87.49
    assert cell.ours.mean == pytest.approx(89.0)
    assert cell.difference.mean == pytest.approx(89.0 - 87.49)
    assert cell.difference.half_width == pytest.approx(4.302652729911275 / 3**0.5)  # t(0.975, 2) * s / sqrt(n), s = 1
    assert (cell.reasons, table.shared, table.notes) == ((), (), ())
    harmonic = cells["eurosat", "cocoop", "H"]
    assert harmonic.ours.mean == pytest.approx(harmonic_mean(89.0, 60.0))
    assert harmonic.published == 71.21


def test_an_average_stands_beside_ours_only_where_all_its_data_sets_are_there():
    assert ("average", "cocoop", "new") not in cells_of(made(ELEVEN[1:], ["cocoop"]))[0]
    cells, _ = cells_of(made(ELEVEN, ["cocoop"]))
    assert cells["average", "cocoop", "new"].published == 71.69
    assert cells["average", "cocoop", "new"].ours.mean == pytest.approx(60.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: replace(r, backbone=replace(r.backbone, name="mini")), "backbone is mini here"),
        (lambda r: replace(r, dataset=replace(r.dataset, source="eurosat=x")), "not as the published data set"),
        (lambda r: replace(r, dataset=replace(r.dataset, split="drawn here")), "split of eurosat is drawn here"),
        (lambda r: replace(r, dataset=replace(r.dataset, split="")), "split of eurosat is not known"),
        (lambda r: replace(r, dataset=replace(r.dataset, template="a {}.")), "template of eurosat is 'a {}.'"),
        (lambda r: replace(r, training={**r.training, "epochs": 3}), "cocoop’s epochs is 3 here and 10 there"),
        (lambda r: replace(r, training={**r.training, "views": 10}), "cocoop’s views is 10 here and None there"),
        (lambda r: replace(r, method=replace(r.method, options={"context_length": 8})), "context_length is 8 here"),
        (lambda r: replace(r, method=replace(r.method, name="coop")), "cocoop is coop here"),
        (
            lambda r: replace(r, results={k: replace(v, total=7) for k, v in r.results.items()}),
            "eurosat has 14 test pictures here and 8,100 there",
        ),
    ],
)  # fmt: skip
def test_what_matters_and_differs_makes_a_cell_not_comparable_and_says_why(change, says):
    changed = [change(record) for record in made(methods=["cocoop"])]
    cells, table = cells_of(changed)
    assert any(says in reason for reason in cells["eurosat", "cocoop", "base"].reasons)
    assert table.shared == cells["eurosat", "cocoop", "base"].reasons  # once, and not in every cell
    assert cells["eurosat", "cocoop", "base"].notes == ()


def test_a_reason_that_only_some_cells_have_is_a_note():
    records = made(methods=["zero-shot", "cocoop"])
    changed = [replace(r, training={**r.training, "epochs": 3}) if r.training else r for r in records]
    cells, table = cells_of(changed)
    assert table.notes == ("Not comparable: cocoop’s epochs is 3 here and 10 there",)
    assert (cells["eurosat", "zero-shot", "new"].notes, cells["eurosat", "cocoop", "new"].notes) == ((), (1,))


def test_other_shots_are_another_cell():
    records = [replace(record, shots=4) for record in made(methods=["cocoop"])]
    assert compared_with_published(records) == []


def test_where_sources_contradict_each_other_the_cell_says_so():
    record = as_published(make_few_shot_record("imagenet", "coop", 16, 1, {"test": 61.0}))
    record = replace(record, backbone=replace(record.backbone, name="RN50/openai"))
    cells, table = cells_of([record], "coop-curves")
    assert cells["imagenet", "coop", "test"].notes == (1,)
    assert "about 61" in table.notes[0]


def transferred(seeds=(1, 2, 3)) -> list[ResultRecord]:
    """CoCoOp trained on ImageNet and tested on all eleven data sets."""
    results = {name: 40.0 + place for place, name in enumerate(ELEVEN)}
    made = [make_few_shot_record("imagenet", "cocoop", 16, seed, results) for seed in seeds]
    there = [as_published(replace(record, protocol="cross-dataset")) for record in made]
    totals = {name: PUBLISHED[name].counts.test for name in ELEVEN}
    return [replace(r, results={t: replace(v, total=totals[t]) for t, v in r.results.items()}) for r in there]


def test_a_transfer_stands_beside_each_target_and_their_average():
    cells, table = cells_of(transferred(), "cocoop-table-2")
    assert cells["imagenet", "cocoop", "eurosat"].published == 45.37
    assert cells["imagenet", "cocoop", "average"].published == 65.74
    assert cells["imagenet", "cocoop", "average"].ours.mean == pytest.approx(45.5)  # of the ten targets
    assert (table.shared, table.notes) == ((), ())


def test_another_number_of_a_targets_pictures_is_told_of_its_cells_alone():
    changed = [
        replace(r, results={t: replace(v, total=7) if t == "dtd" else v for t, v in r.results.items()})
        for r in transferred()
    ]
    cells, _ = cells_of(changed, "cocoop-table-2")
    reasons = ("dtd has 7 test pictures here and 1,692 there",)
    assert {test for (_, _, test), cell in cells.items() if cell.reasons == reasons} == {"dtd", "average"}


def test_where_nothing_compares_a_protocols_published_table_is_context():
    records = [
        replace(
            make_few_shot_record("emoji-food", "coop", 16, 1, {"emoji-food": 80, "emoji-travel": 70}), protocol=name
        )
        for name in ("cross-dataset", "class-incremental")
    ]
    page = report_html(records[:1])
    assert page.count("hence not comparable with ours") == 1
    assert "94.43" in page
    assert "What was published" not in report_html(records[1:])


def test_bundled_data_have_no_cell_in_common_and_the_page_says_so_once(records):
    assert compared_with_published(records) == []
    assert report_html(records).count("not comparable") == 1


def test_the_page_shows_published_ours_and_difference():
    page = report_html(made())
    assert "87.49" in page
    assert "+1.5 ±2.5" in page
    assert "not comparable" not in page.lower()


def test_the_csv_has_the_numbers_unrounded_and_the_reasons():
    records = [replace(record, backbone=replace(record.backbone, name="mini")) for record in made(methods=["cocoop"])]
    rows = list(csv.DictReader(io.StringIO(published_csv(compared_with_published(records)))))
    assert [(row["test"], float(row["published"])) for row in rows] == [("base", 87.49), ("new", 60.04), ("H", 71.21)]
    assert {row["comparable"] for row in rows} == {"no"}
    assert "mini" in rows[0]["reasons"]


def test_a_setting_that_only_the_published_recipe_records_tells_a_run_apart():
    row = next(row for row in published_table("later-base-to-new").rows if row.method == "clip-lora")
    record = as_published(make_record("eurosat", "clip-lora", 1, 87.0, 60.0))
    cell = PublishedCell(row, "base", 16, 84.1)
    assert list(_reasons_of_recipe(record, cell)) == []
    counted = {name: value for name, value in record.training.items() if name != "iterations"}
    told = list(_reasons_of_recipe(replace(record, training=counted), cell))
    assert told == ["clip-lora’s iterations is None here and 8000 there"]
