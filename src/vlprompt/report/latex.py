r"""Tables in LaTeX with the rules of booktabs, to be put into a paper by \input.

Each is a floating table that needs the packages booktabs and graphicx only; `document` makes a whole file of them,
which shows what they look like.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vlprompt.escaping import for_terminal
from vlprompt.report.paper_tables import Cell, PaperTable

_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "_": r"\_", "&": r"\&", "%": r"\%", "#": r"\#", "$": r"\$",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "–": "--", "’": "'", "±": r"$\pm$", "−": "$-$", "×": r"$\times$",
    "[": "{[}", "]": "{]}",
}  # fmt: skip
"""Brackets in braces, since one after a line's end would be an argument of it."""
_SIGN = re.compile("|".join(map(re.escape, _SIGNS)))
PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage[margin=2cm]{geometry}
\begin{document}
"""
LONGEST = 45
"""Rows of a table on one page; the rest goes on in another."""


def escaped(text: str) -> str:
    """Text that means nothing but itself to LaTeX."""
    return _SIGN.sub(lambda sign: _SIGNS[sign[0]], for_terminal(text))


def latex_document(tables: Sequence[PaperTable]) -> str:
    """A file that compiles by itself, with all tables."""
    return PREAMBLE + "\n".join(latex_table(table) for table in tables) + "\n\\end{document}\n"


def latex_table(table: PaperTable) -> str:
    """One table; one of more rows than a page takes goes on in others."""
    starts = range(0, max(1, len(table.rows)), LONGEST)
    return "\n".join(_float(table, start, part) for part, start in enumerate(starts, start=1))


def _float(table: PaperTable, start: int, part: int) -> str:
    rows = [
        (r"\midrule" + "\n" if start + index in table.rules_above else "") + " & ".join(map(_cell, row)) + r" \\"
        for index, row in enumerate(table.rows[start : start + LONGEST])
    ]
    again = "" if part == 1 else f" (part {part})"
    alignment = "l" * table.text_columns + "r" * (len(table.columns) - table.text_columns)
    label = f"tab:{re.sub(r'[^A-Za-z0-9-]+', '-', table.label)}{'' if part == 1 else f'-{part}'}"
    lines = [
        r"\begin{table}[htbp]", r"\centering", rf"\caption{{{escaped(table.caption)}{again}}}", rf"\label{{{label}}}",
        r"\medskip",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%", rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule", *_heads(table), r"\midrule", *rows, r"\bottomrule", r"\end{tabular}}", r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _heads(table: PaperTable) -> list[str]:
    """One line of column heads, and where columns are grouped, one above it with rules between."""
    columns = " & ".join(escaped(column) for column in table.columns) + r" \\"
    if not table.groups:
        return [columns]
    above = ["" for _ in range(table.text_columns)]
    rules, column = [], table.text_columns + 1
    for title, width in table.groups:
        above.append(rf"\multicolumn{{{width}}}{{c}}{{{escaped(title)}}}")
        rules.append(rf"\cmidrule(lr){{{column}-{column + width - 1}}}")
        column += width
    return [" & ".join(above) + r" \\", " ".join(rules), columns]


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return escaped(cell)
    mean = rf"\textbf{{{escaped(cell.mean)}}}" if cell.bold else escaped(cell.mean)
    return f"{mean} {{\\scriptsize {escaped(cell.half_width)}}}" if cell.half_width else mean
