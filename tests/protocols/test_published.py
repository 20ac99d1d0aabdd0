from __future__ import annotations

from statistics import fmean

import pytest

from vlprompt.data.published.sets import PUBLISHED
from vlprompt.errors import UnknownNameError
from vlprompt.protocols.published import AVERAGE, published_table, published_tables
from vlprompt.report.summary import harmonic_mean


def test_the_harmonic_means_of_the_first_table_recompute():
    for row in published_table("cocoop-table-1").rows:
        base, new, harmonic = row.values
        assert harmonic == pytest.approx(harmonic_mean(base, new), abs=0.011), row


@pytest.mark.parametrize("name", ["cocoop-table-1", "cocoop-table-2", "coop-curves"])
def test_averages_recompute(name):
    table = published_table(name)
    if name == "cocoop-table-2":
        for row in table.rows:
            assert row.values[-1] == pytest.approx(fmean(row.values[1:-1]), abs=0.006)
        return
    for average in table.averages:
        rows = [row for row in table.rows if row.method == average.method and row.dataset != AVERAGE]
        for column in range(2 if name == "cocoop-table-1" else 1):
            assert average.values[column] == pytest.approx(fmean(row.values[column] for row in rows), abs=0.006)


def test_every_data_set_is_one_that_the_package_has():
    for table in published_tables().values():
        assert set(table.datasets) <= set(PUBLISHED)


def test_every_table_says_where_its_numbers_are_from():
    for table in published_tables().values():
        assert table.paper
        assert table.read.endswith(".")


def test_where_sources_contradict_each_other_both_numbers_stand_with_a_doubt():
    rows = [row for row in published_table("later-base-to-new").rows if row.method in ("DePT", "clip-lora")]
    assert [row.values[2] for row in rows] == [77.97, 79.10, 79.18, 77.28]
    assert all(row.doubt for row in rows)


def test_an_unknown_table_is_named_with_those_that_there_are():
    with pytest.raises(UnknownNameError, match="published table named 'cocoop-table-9'; did you mean cocoop-table"):
        published_table("cocoop-table-9")
