from __future__ import annotations

import csv
from dataclasses import replace

import pytest
from PIL import Image

from tests.data.published.trees import write_tree
from tests.report.conftest import make_record
from tests.report.test_published import as_published
from vlprompt.cli import main, reproducing
from vlprompt.cli.arguments import parse
from vlprompt.cli.reproducing import commands_of, reproducible
from vlprompt.data.published.sets import PUBLISHED
from vlprompt.experiments.records import write_record
from vlprompt.report.published import compared_with_published


def test_the_first_table_is_base_to_new_with_coop_on_imagenet_apart():
    others, imagenet, coop = commands_of(reproducible()["cocoop-table-1"])
    shared = "--shots 16 --seeds 1,2,3 --backbone ViT-B-16/openai --views null"
    assert " ".join(others) == (
        "benchmark base-to-new caltech101 oxford-pets stanford-cars flowers102 food101 fgvc-aircraft sun397 dtd "
        f"eurosat ucf101 --methods zero-shot,coop,cocoop {shared} --out runs/cocoop-table-1"
    )
    assert imagenet[2:5] == ["imagenet", "--methods", "zero-shot,cocoop"]
    assert coop[2:5] == ["imagenet", "--methods", "coop"]
    assert coop[-4:-2] == ["--epochs", "50"]


def test_other_tables_have_their_protocol_data_sets_and_backbone():
    (transfer,), (shift,) = (commands_of(reproducible()[f"cocoop-table-{number}"]) for number in (2, 3))
    assert transfer[1:13] == ["cross-dataset", *list(PUBLISHED)[:11]]
    assert shift[1:7] == ["domain-shift", "imagenet", "imagenetv2", "imagenet-sketch", "imagenet-a", "imagenet-r"]
    curves = commands_of(reproducible()["coop-curves"])[0]
    assert curves[curves.index("--shots") + 1] == "1,2,4,8,16"
    assert curves[curves.index("--backbone") + 1] == "RN50/openai"


@pytest.mark.parametrize("name", list(reproducible()))
def test_the_command_line_takes_every_command(name):
    for command in commands_of(reproducible()[name]):
        assert parse(command) is not None


def test_data_that_are_not_there_are_named_in_one_sentence(tmp_path, capsys):
    assert main(["benchmark", "reproduce", "cocoop-table-1", "--root", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"11 data sets, of which 11 are not ready in {tmp_path}; vlprompt data prepare imagenet caltech101" in line
    assert f"--root {tmp_path} gets them" in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["cocoop-table-9"], "no table to reproduce named 'cocoop-table-9'; did you mean cocoop-table-"),
        (["later-few-shot"], "no table to reproduce named 'later-few-shot'"),
        ([], "TABLE is missing"),
        (["cocoop-table-1", "--bogus"], "no option named '--bogus'"),
    ],
)
def test_what_cannot_be_reproduced_is_said_in_one_sentence(arguments, says, capsys):
    assert main(["benchmark", "reproduce", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_all_commands_run_in_order_with_further_options_and_then_the_report(tmp_path, monkeypatch):
    """What the benchmarks would have written is there already."""
    ran = []

    def recorded(arguments):
        found = parse(arguments)
        assert found is not None
        return (lambda options: ran.append((arguments, options.get("workers", None)))), found[1]

    monkeypatch.setattr("vlprompt.cli.arguments.parse", recorded)
    monkeypatch.setattr(reproducing, "_check_data", lambda table, root: None)
    out = str(tmp_path / "out")
    reproducing.reproduction("cocoop-table-1", ["--workers", "2", "--out", out])(None)
    assert [arguments[1] for arguments, _ in ran] == ["base-to-new"] * 3 + [out]
    assert [workers for _, workers in ran[:3]] == ["2"] * 3


@pytest.mark.slow
def test_a_reproduced_table_ends_with_a_report_that_has_the_published_numbers(tmp_path, monkeypatch, capsys):
    """The part of Table 1 that is EuroSAT's, zero-shot, on a small tree of tiny pictures and the bundled backbone."""
    for number, path in enumerate(sorted(write_tree("eurosat", tmp_path / "data").rglob("*.jpg"))):
        Image.new("RGB", (32, 32), (number % 256, number // 2 % 256, 90)).save(path)
    table = reproducible()["cocoop-table-1"]
    rows = tuple(row for row in table.rows if row.dataset == "eurosat")
    small = replace(table, rows=rows, methods=("zero-shot",))
    monkeypatch.setattr(reproducing, "published_tables", lambda: {table.name: small})
    monkeypatch.setenv("VLPROMPT_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    options = ["--root", str(tmp_path / "data"), "--backbone", "mini", "--out", str(out), "--workers", "1"]
    assert main(["benchmark", "reproduce", "cocoop-table-1", *options]) == 0
    assert "vlprompt benchmark base-to-new eurosat --methods zero-shot --shots 16" in capsys.readouterr().err
    rows = list(csv.DictReader((out / "report" / "published.csv").open(encoding="utf-8")))
    assert [(row["test"], row["published"], row["comparable"]) for row in rows] == [
        ("base", "56.48", "no"), ("new", "64.05", "no"), ("H", "60.03", "no"),
    ]  # fmt: skip
    for reason in (
        "the backbone is mini here",
        "split of eurosat is drawn here",
        "30 test pictures here and 8,100 there",
    ):
        assert reason in rows[0]["reasons"]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("Not comparable: ") == 1


def test_coop_on_imagenet_compares_with_its_own_number_of_epochs(tmp_path):
    record = as_published(make_record("imagenet", "coop", 1, 76.0, 67.0))
    for epochs, reasons in ((50, ()), (200, ("coop’s epochs is 200 here and 50 there",))):
        one = replace(record, training={**record.training, "epochs": epochs})
        write_record(tmp_path / str(epochs), one)
        (table,) = [t for t in compared_with_published([one]) if t.table.name == "cocoop-table-1"]
        assert table.shared == reasons
