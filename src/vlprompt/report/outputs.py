"""All files of a report beside its page: Markdown, LaTeX, CSV, and every figure as PDF and PNG.

<out>/report.html
<out>/report/report.md  tables.tex  results.csv  paired.csv  published.csv  calibration.csv  confusion.csv
<out>/report/figures/*.pdf  *.png
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vlprompt.escaping import for_markdown
from vlprompt.experiments.merging import Conflict
from vlprompt.experiments.records import ResultRecord
from vlprompt.files import write_atomically
from vlprompt.report import stories
from vlprompt.report.data_files import calibration_csv, confusion_csv, paired_csv, results_csv
from vlprompt.report.diagnostics import all_confusions, calibrations
from vlprompt.report.estimates import Interval
from vlprompt.report.latex import latex_document
from vlprompt.report.paired import paired_differences, worth_showing
from vlprompt.report.paper_markdown import markdown_of
from vlprompt.report.paper_tables import paired_table, published_paper_table, result_tables
from vlprompt.report.print_figures import write_figures
from vlprompt.report.published import compared_with_published, published_csv

FOLDER = "report"


def write_outputs(
    out: Path, records: Sequence[ResultRecord], conflicts: Sequence[Conflict] = (), interval: Interval = "student"
) -> list[Path]:
    """Write them below `out` and return their paths; what the records have no numbers for is not written.

    Raises:
        SettingsError: as `write_report`.
        OutputError: a file cannot be written.
    """
    folder = out / FOLDER
    differences, compared = paired_differences(records, interval), compared_with_published(records, interval)
    shown = paired_table(worth_showing(records, differences))
    beside = [*([shown] if shown else []), *(published_paper_table(one) for one in compared)]
    texts = {
        "report.md": _markdown(records, [markdown_of(table) for table in beside], conflicts),
        "tables.tex": latex_document([*result_tables(records, interval), *beside]),
        "results.csv": results_csv(records, interval),
        "paired.csv": paired_csv(differences) if differences else "",
        "published.csv": published_csv(compared) if compared else "",
        "calibration.csv": calibration_csv(found) if (found := calibrations(records)) else "",
        "confusion.csv": confusion_csv(confused) if (confused := all_confusions(records)) else "",
    }
    written = {folder / name: text for name, text in texts.items() if text}
    for path, text in written.items():
        write_atomically(path, text)
    return [*written, *write_figures(folder / "figures", records, interval)]


def _markdown(records: Sequence[ResultRecord], beside: Sequence[str], conflicts: Sequence[Conflict]) -> str:
    parts = ["# Results\n", stories.markdown_tables(records), *beside]
    if conflicts:
        rows = [
            f"| {for_markdown(conflict.run)} | {for_markdown(str(folder))} | {for_markdown(words)} |"
            for conflict in conflicts
            for folder, words in conflict.results()
        ]
        parts.append(
            "## Records that differ\n\nNone of them counts above.\n\n| run | folder | result |\n| --- | --- | --- |\n"
        )
        parts[-1] += "\n".join(rows) + "\n"
    return "\n".join(parts)
