"""LaTeX tables: booktabs, escaped, numbers in math mode."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

__all__ = ["latex_cell", "latex_escape", "latex_table"]

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "–": "--", "—": "---", "…": r"\dots{}", "−": "$-$", "±": r"$\pm$", "×": r"$\times$",
    "≤": r"$\leq$", "≥": r"$\geq$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "°": r"$^\circ$",
    "²": "$^2$", "³": "$^3$", "τ": r"$\tau$", "ρ": r"$\rho$", "σ": r"$\sigma$", "µ": r"$\mu$",
    "μ": r"$\mu$", "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "λ": r"$\lambda$",
    "Å": r"\AA{}", "å": r"\aa{}", "½": r"$\frac{1}{2}$", "✓": "yes",
}  # fmt: skip
_NUMBER = r"[+−-]?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?"
_CELL = re.compile(rf"({_NUMBER})(?: ± ({_NUMBER}))?(\*)?(?: \(n=(\d+)\))?")
_RANGE = re.compile(rf"({_NUMBER}) to ({_NUMBER})")


def latex_escape(text: object) -> str:
    r"""Text that LaTeX prints as it stands.

    >>> print(latex_escape("50 % of a_b"))
    50 \% of a\_b
    """
    return "".join(_SPECIAL.get(char, char) for char in " ".join(str(text).split()))


def latex_cell(text: str, *, bold: bool = False) -> str:
    r"""A cell: numbers, "mean ± sd" and "low to high" in math mode, everything else escaped.

    >>> print(latex_cell("1,234.5 ± 0.1", bold=True))
    $\mathbf{1{,}234.5} \pm \mathbf{0.1}$
    """
    if found := _RANGE.fullmatch(text):
        return f"${_math(found[1])}$ to ${_math(found[2])}$"
    found = _CELL.fullmatch(text)
    if found is None:
        return rf"\textbf{{{latex_escape(text)}}}" if bold else latex_escape(text)
    parts = [_math(part) for part in found.groups()[:2] if part is not None]
    shown = r" \pm ".join(rf"\mathbf{{{part}}}" if bold else part for part in parts)
    count = rf"\ (n={found[4]})" if found[4] else ""
    return f"${shown}{'^{*}' if found[3] else ''}{count}$"


def latex_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str,
    label: str,
    bold: Collection[tuple[int, int]] = (),
) -> str:
    r"""A floating table; columns of numbers stand on the right.

    Args:
        columns, rows: headings and cells as plain text.
        caption, label: of the table; `\ref{tab:<label>}` finds it.
        bold: (row, column) of the cells in bold.
    """
    kinds = "".join("r" if _numeric([row[i] for row in rows]) else "l" for i in range(len(columns)))
    lines = [
        r"\begin{table}[t]",
        r"  \centering",
        rf"  \caption{{{latex_escape(caption)}}}",
        rf"  \label{{tab:{label}}}",
        rf"  \begin{{tabular}}{{{kinds}}}",
        r"    \toprule",
        _line([latex_escape(column) for column in columns]),
        r"    \midrule",
    ]
    for r, row in enumerate(rows):
        cells = [latex_cell(cell, bold=(r, c) in bold) for c, cell in enumerate(row)]
        lines.append(_line(cells))
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"])


def _line(cells: Sequence[str]) -> str:
    return f"    {' & '.join(cells)} \\\\"


def _math(number: str) -> str:
    shown = number.replace("−", "-").replace(",", "{,}")
    mantissa, _, exponent = shown.partition("e")
    return rf"{mantissa} \times 10^{{{exponent}}}" if exponent else mantissa


def _numeric(cells: Sequence[str]) -> bool:
    told = [cell for cell in cells if cell not in ("–", "")]
    return bool(told) and all(_CELL.fullmatch(cell) or _RANGE.fullmatch(cell) for cell in told)
