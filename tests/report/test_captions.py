"""The words around a table fit what was run: they speak of seeds, shots and intervals only where there are any."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from vlprompt.errors import DataError
from vlprompt.report import csv_table, markdown_table, plain_text, report_html, summarize
from vlprompt.report.captions import caption


def _no_data(source):
    raise DataError(f"there is no folder {source}")


@pytest.fixture
def of(record_of):
    """Records of methods with their seeds: `of(coop=(1, 2))`; more data sets by name."""

    def of(*datasets: str, **seeds: tuple[int, ...]):
        return [
            record_of(dataset, method.replace("_", "-"), seed, 80 + seed + len(method), 70 - seed)
            for dataset in datasets or ("a",)
            for method, all_seeds in seeds.items()
            for seed in all_seeds
        ]

    return of


def everywhere(records) -> list[str]:
    """The comparison as text for a terminal, as Markdown and as a page, each on one line."""
    summary = summarize(records)
    pages = (plain_text(summary), markdown_table(summary), report_html(records, load=_no_data))
    return [" ".join(page.split("<style>")[0].split() + page.split("</style>")[-1].split()) for page in pages]


def test_methods_that_learn_nothing_have_no_shots_no_seeds_and_no_interval(of):
    for text in everywhere(of("a", "b", zero_shot=(0,), zero_shot_ensemble=(0,))):
        assert "othing is learned" in text
        assert "16 shots" not in text
        assert "0 seeds" not in text
        assert "mean over seeds" not in text
        assert "95%" not in text


def test_one_seed_has_no_interval(of):
    for text in everywhere(of(coop=(1,), cocoop=(1,))):
        assert "16 shots, 1 seed" in text
        assert "ne seed has no interval" in text
        assert "mean over seeds" not in text
        assert "95% interval" not in text
        assert "harmonic mean of base and new accuracy" in text


def test_one_shot_is_one_image(of):
    for text in everywhere([replace(record, shots=1) for record in of(coop=(1,), cocoop=(1,))]):
        assert "1 shot, 1 seed" in text
        assert "1 images" not in text


def test_several_seeds_have_a_mean_and_an_interval(of):
    for text in everywhere(of(coop=(1, 2, 3), cocoop=(1, 2, 3))):
        assert "16 shots, 3 seeds" in text
        assert "ean over seeds with its 95% interval (Student's t)" in text.replace("&#39;", "'")
        assert "learns nothing" not in text
        assert "harmonic mean of the two averages" in text


def test_a_method_that_learns_nothing_beside_others_is_said_to_have_one_result(of):
    for text in everywhere(of(zero_shot=(0,), coop=(1, 2))):
        assert "2 seeds" in text
        assert "zero-shot learns nothing and has one result" in text


def test_unequal_numbers_of_seeds_are_told_as_they_are(of):
    assert "16 shots, 1 to 3 seeds" in caption(summarize(of(coop=(1, 2, 3), cocoop=(1,))))
    assert "where there are two seeds or more" in caption(summarize(of(coop=(1, 2, 3), cocoop=(1,))))
    assert "16 shots, 2 to 3 seeds" in caption(summarize(of(coop=(1, 2, 3), cocoop=(1, 2))))


def test_the_average_is_over_what_was_run(of):
    assert "average over the 2 data sets" in caption(summarize(of("a", "b", coop=(1,))))
    records = [*of("a", "b", coop=(1,)), *of("a", cocoop=(1,))]
    assert "the 1 of 2 data sets that every method has" in caption(summarize(records))


def test_one_data_set_has_no_average_beside_it(of):
    for text in (*everywhere(of(coop=(1, 2))), csv_table(summarize(of(coop=(1, 2))))):
        assert "verage over" not in text
        assert "verages in percent" not in text
        assert "| average" not in text
        assert "\naverage," not in text


def test_bold_is_explained_only_where_something_is_bold(of):
    assert "Bold" not in caption(summarize(of(coop=(1,), cocoop=(1,))))
    assert "Bold: best." in caption(summarize(of(zero_shot=(0,), zero_shot_ensemble=(0,))))
    summary = summarize(of(coop=(1, 2, 3), zero_shot=(0,)))
    assert ("Bold: best, with an interval" in caption(summary)) == ("**" in markdown_table(summary))


def test_runs_with_different_numbers_of_threads_are_told_everywhere(of):
    first, second = of(coop=(1, 2))
    assert not any("threads; sums" in text for text in everywhere([first, second]))
    mixed = [first, replace(second, machine=replace(second.machine, threads=4))]
    for text in everywhere(mixed):
        assert "Runs had 1 and 4 threads; sums are rounded otherwise" in text
    (row, *_) = csv.DictReader(io.StringIO(csv_table(summarize(mixed))))
    assert row["threads"] == "1 and 4"


def test_csv_has_no_shots_seeds_or_half_widths_where_nothing_is_learned(of):
    rows = {
        row["method"]: row for row in csv.DictReader(io.StringIO(csv_table(summarize(of(zero_shot=(0,), coop=(1, 2))))))
    }
    assert (rows["zero-shot"]["shots"], rows["zero-shot"]["seeds"], rows["zero-shot"]["base_half_width"]) == (
        "0",
        "0",
        "",
    )
    assert (rows["coop"]["shots"], rows["coop"]["seeds"]) == ("16", "2")
    assert float(rows["coop"]["base_half_width"]) > 0


def test_uneven_classes_are_told_where_accuracy_hides_them(of):
    (record,) = of(coop=(1,))
    assert "balanced accuracy" not in caption(summarize([record]))
    half = record.results["base"]
    lost = dict(half.per_class_accuracy) | {next(iter(half.per_class_accuracy)): 0.0}
    uneven = replace(record, results={**record.results, "base": replace(half, per_class_accuracy=lost)})
    summary = summarize([uneven])
    for text in everywhere([uneven]):
        assert "balanced accuracy, the mean over the classes, differs by up to" in text
    (row, *_) = csv.DictReader(io.StringIO(csv_table(summary)))
    assert float(row["base_balanced"]) == pytest.approx(sum(lost.values()) / len(lost))
