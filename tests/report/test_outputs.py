from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from PIL import Image

from tests.report.conftest import make_few_shot_records, make_record
from tests.report.diagnosed import diagnosed
from vlprompt.cli import main
from vlprompt.experiments.records import write_record
from vlprompt.report.outputs import write_outputs


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """All forms of a report of both stories."""
    made = [
        diagnosed(make_record(dataset, method, seed, 80 + seed, 70))
        for dataset in ("food_1",)
        for method, seeds in (("zero-shot", (0,)), ("coop", (1, 2)), ("cocoop", (1, 2)))
        for seed in seeds
    ]
    few = make_few_shot_records(["food_1"], ["zero-shot", "coop", "gda"], shots=(1, 4), tests=("test",))
    few = [replace(r, dataset=replace(r.dataset, name=r.dataset.name.removeprefix("emoji-"))) for r in few]
    out = tmp_path_factory.mktemp("out")
    return out, write_outputs(out, [*made, *few])


def test_a_report_has_all_its_forms(written):
    out, paths = written
    assert {path.name for path in (out / "report").glob("*.*")} == {
        "report.md", "tables.tex", "results.csv", "paired.csv", "calibration.csv", "confusion.csv",
    }  # fmt: skip
    assert all(path.is_file() for path in paths)


def test_every_figure_is_there_as_pdf_and_as_png(written):
    folder = written[0] / "report" / "figures"
    names = {path.stem for path in folder.glob("*.pdf")}
    assert names == {path.stem for path in folder.glob("*.png")}
    assert {"gain-and-loss", "few-shot-curves", "reliability-base-to-new-base"} <= names
    assert sum(name.startswith("confusion-") for name in names) == 2
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            assert min(image.size) > 300
    assert all(path.read_bytes().startswith(b"%PDF") for path in folder.glob("*.pdf"))


def test_figures_leave_no_global_state(written):
    import matplotlib

    assert matplotlib.rcParams["font.size"] == matplotlib.rcParamsDefault["font.size"]
    assert "matplotlib.pyplot" not in sys.modules


def test_matplotlib_is_imported_only_when_figures_are_written():
    code = "import sys, vlprompt.report, vlprompt.report.outputs; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_report_of_several_folders_is_written_where_it_is_asked_for(tmp_path, capsys):
    for seed in (1, 2):
        write_record(tmp_path / f"m{seed}", make_record("food", "coop", seed, 80, 70))
    folders = [str(tmp_path / "m1"), str(tmp_path / "m2")]
    assert main(["report", *folders]) == 2
    assert "--out is missing: the report of 2 folders" in capsys.readouterr().err
    assert main(["report", *folders, "--out", str(tmp_path / "both")]) == 0
    assert "2 seeds" in capsys.readouterr().out
    assert (tmp_path / "both" / "report.html").is_file()
    assert (tmp_path / "both" / "report" / "tables.tex").is_file()
    assert not (tmp_path / "m1" / "report.html").exists()


def test_records_that_differ_are_said_and_stand_on_the_page_and_in_the_markdown(tmp_path, capsys):
    write_record(tmp_path / "a", make_record("food", "coop", 1, 80, 70))
    write_record(tmp_path / "a", make_record("food", "coop", 2, 82, 72))
    write_record(tmp_path / "b", make_record("food", "coop", 1, 81, 71))
    assert main(["report", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "c")]) == 0
    err = capsys.readouterr().err
    assert "the records of base-to-new food coop 16 shots seed 1 differ, and none of them counts: base 80.00" in err
    for path in ("report.html", "report/report.md"):
        text = (tmp_path / "c" / path).read_text(encoding="utf-8")
        assert "Records that differ" in text
        assert "81.00" in text


def test_where_all_records_differ_there_is_nothing_to_report(tmp_path, capsys):
    for folder, base in (("a", 80), ("b", 81)):
        write_record(tmp_path / folder, make_record("food", "coop", 1, base, 70))
    assert main(["report", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "c")]) == 2
    assert "hold no results but those that differ" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(tmp_path, capsys):
    write_record(tmp_path / "a", make_record("food", "coop", 1, 80, 70))
    assert main(["report", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "c")]) == 2
    assert f"{tmp_path / 'b'} is no folder of results" in capsys.readouterr().err
