from __future__ import annotations

from dataclasses import replace

import pytest

from vlprompt.errors import SettingsError
from vlprompt.report.stories import csv_table, markdown_tables, plain_tables, stories_of, together
from vlprompt.report.summary import chosen, summarize
from vlprompt.report.tables import plain_text


@pytest.fixture(scope="module")
def both(records, few_shot_records_of):
    return [*records, *few_shot_records_of()]


def test_records_of_both_protocols_are_two_stories(records, both):
    stories = stories_of(both)
    assert stories.new_names == tuple(records)
    assert {record.protocol for record in stories.with_pictures} == {"few-shot"}


def test_the_published_table_comes_first_and_is_what_it_is_alone(records, both):
    assert plain_tables(both, 100).startswith(plain_text(summarize(records), 100))


@pytest.mark.parametrize("width", [80, 120])
def test_both_stories_fit_a_terminal(both, width):
    text = plain_tables(both, width)
    assert max(map(len, text.splitlines())) <= width
    assert "high contrast" in text


def test_markdown_has_the_tables_of_both(both):
    text = markdown_tables(both)
    assert text.index("| average |") < text.index("| own style |")


def test_a_csv_table_is_of_one_story(both, records):
    with pytest.raises(SettingsError, match='protocol="few-shot"'):
        csv_table(both)
    of_one = chosen(both, shots=None, backbone=None, protocol="base-to-new")
    assert csv_table(of_one) == csv_table(records)
    assert "dataset,test,method" in csv_table(chosen(both, shots=None, backbone=None, protocol="few-shot"))


def test_one_number_of_shots_keeps_what_holds_for_all(both):
    kept = chosen(both, shots=4, backbone=None, protocol="few-shot")
    assert {record.shots for record in kept} == {0, 4}


def test_a_benchmark_is_told_together_with_the_other_protocol_of_the_folder(records, few_shot_records_of):
    few = few_shot_records_of()
    assert together(few, [*few, *records]) == [*few, *records]
    other = [replace(record, backbone=replace(record.backbone, name="big")) for record in records]
    assert together(few, [*few, *other]) == few


def test_results_that_cannot_share_a_page_are_a_clear_error(records, few_shot_records_of, record_of):
    several = [*records, record_of("emoji-food", "coop", 1, 80, 80, shots=4)]
    with pytest.raises(SettingsError, match="number of shots"):
        together(few_shot_records_of(), several)
