from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from tests.report.conftest import make_few_shot_record, make_few_shot_records, make_record
from vlprompt.report.latex import LONGEST, escaped, latex_document, latex_table
from vlprompt.report.paired import paired_differences
from vlprompt.report.paper_markdown import markdown_of
from vlprompt.report.paper_tables import Number, PaperTable, paired_table, result_tables

EVIL = r"a_b & 50% #1 $x$ {y} ~^ \input{z} <|> [k]"


def check_latex(text: str) -> None:
    """What a compiler would stumble over: braces, environments, rules, columns of each row."""
    unescaped = re.sub(r"\\\\|\\[{}%&#_$]", "", text)
    assert unescaped.count("{") == unescaped.count("}")
    for name in ("document", "table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}")
    for head, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        for rule in ("toprule", "midrule", "bottomrule"):
            assert rf"\{rule}" in body
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        for row in rows:
            spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", row))
            assert len(re.sub(r"\\&", "", row).split("&")) + spanned == len(head), row
    for special in "#%":
        assert not re.search(rf"(?<!\\){special}(?!\n)", text), special


@pytest.mark.parametrize("made", ["records", "few-shot"])
def test_tables_are_balanced_and_every_row_has_its_columns(records, made):
    tables = result_tables(records if made == "records" else make_few_shot_records())
    check_latex(latex_document(tables))


def test_names_mean_nothing_but_themselves(record_of):
    table = result_tables([record_of(EVIL, "coop", 1, 80, 70), record_of("b", "coop", 1, 80, 70)])[0]
    text = latex_table(table)
    check_latex(text)
    assert r"\input" not in text
    assert escaped(EVIL) in text
    assert escaped("a_b & 50% #1") == r"a\_b \& 50\% \#1"


@pytest.mark.slow  # the first compilation makes fonts
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_the_document_compiles(records, record_of, tmp_path):
    evil = result_tables([record_of(EVIL, "coop", 1, 80, 70), record_of("ü–’“x”", "coop", 1, 80, 70)])
    tables = [*result_tables(records), *result_tables(make_few_shot_records()), *evil]
    (tmp_path / "tables.tex").write_text(latex_document(tables), encoding="utf-8")
    options = ["-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"]
    done = subprocess.run(["pdflatex", *options, "tables.tex"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "tables.pdf").stat().st_size > 10_000


def test_base_to_new_is_printed_as_in_the_paper(records):
    lines = latex_table(result_tables(records)[0]).splitlines()
    assert r"\begin{tabular}{lrrrrrrrrr}" in lines
    assert r" & \multicolumn{3}{c}{CLIP} & \multicolumn{3}{c}{CoOp} & \multicolumn{3}{c}{CoCoOp} \\" in lines
    assert r"\cmidrule(lr){2-4} \cmidrule(lr){5-7} \cmidrule(lr){8-10}" in lines
    average = next(index for index, line in enumerate(lines) if line.startswith("average"))
    assert lines[average - 1] == r"\midrule"
    assert re.search(r"\d\d\.\d \{\\scriptsize \$\\pm\$\d\.\d\}", lines[average])


def test_what_is_best_is_bold():
    rows = (("a", Number("1.0", "±0.1", bold=True), Number("−2.0")),)
    text = latex_table(PaperTable("t", "c", ("", "x", "y"), rows))
    assert r"a & \textbf{1.0} {\scriptsize $\pm$0.1} & $-$2.0 \\" in text


def test_a_table_that_no_page_holds_goes_on_in_another():
    rows = tuple((str(number), Number("1.0")) for number in range(2 * LONGEST + 1))
    text = latex_table(PaperTable("t", "c", ("", "x"), rows, rules_above=(2 * LONGEST,)))
    check_latex(text)
    assert text.count(r"\begin{table}") == 3
    assert "(part 3)" in text
    assert text.count(r" & 1.0 \\") == len(rows)


def test_four_methods_take_two_tables(record_of):
    records = [record_of("a", method, 1, 80, 70) for method in ("coop", "cocoop", "kgcoop", "maple")]
    assert [table.label for table in result_tables(records)] == ["base-to-new-1", "base-to-new-2"]


def test_every_other_protocol_has_a_table_of_its_tests():
    results = {"emoji-food": 80.0, "emoji-travel": 70.0}
    records = [
        replace(make_few_shot_record("emoji-food", method, 16, seed, results), protocol="cross-dataset")
        for method in ("coop", "cocoop")
        for seed in (1, 2)
    ]
    (table,) = result_tables(records)
    check_latex(latex_table(table))
    assert table.columns == ("", "emoji-food", "emoji-travel", "average")
    assert [row[0] for row in table.rows] == ["CoOp", "CoCoOp"]


def test_paired_differences_are_a_table_with_both_intervals(records):
    table = paired_table(paired_differences(records))
    check_latex(latex_table(table))
    assert table.columns == ("", "test", "difference", "over seeds", "over data sets")
    row = next(row for row in table.rows if row[:2] == ("CoCoOp minus CoOp", "base-to-new, new, 16 shots"))
    assert [cell.mean[0] for cell in row[2:]] == ["+", "±", "±"]


def test_markdown_has_the_same_rows_and_escapes_names():
    record = make_record("a|b", "coop", 1, 80, 70)
    table = result_tables([record, replace(record, dataset=replace(record.dataset, name="c"))])[0]
    lines = markdown_of(table).splitlines()
    assert lines[1] == "| --- | ---: | ---: | ---: |"
    assert lines[2].count("|") - lines[2].count("\\|") == 5
