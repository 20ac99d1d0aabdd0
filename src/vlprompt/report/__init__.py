"""Tables, figures and the HTML report, made from result records alone. Importing this does not import torch."""

from vlprompt.report.html import report_html, write_report
from vlprompt.report.summary import Summary, compare, summarize
from vlprompt.report.tables import csv_table, markdown_table, plain_text, terminal_table

__all__ = [
    "Summary",
    "compare",
    "csv_table",
    "markdown_table",
    "plain_text",
    "report_html",
    "summarize",
    "terminal_table",
    "write_report",
]
