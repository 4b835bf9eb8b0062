"""HTML pages that need no network: an experiment's, and the report on all in a folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from alnb.bench.bands import caption_of, figure_of
from alnb.bench.paper import NAMES, beside, bound_of, share_rows
from alnb.bench.results import Result

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; background: #fff; margin: 0; }
main { width: 880px; margin: 0 auto; padding: 24px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 32px 0 8px; }
p, ul { margin: 6px 0; } ul { padding-left: 20px; }
.warning { background: #fef3c7; border-left: 4px solid #d97706; padding: 10px 14px; }
.warning { margin: 14px 0; font-weight: 600; }
.quiet, figcaption { color: #4b5563; font-size: 13px; }
figure { margin: 0; } figcaption { margin: 0 0 4px; }
code { font: 12.5px ui-monospace, monospace; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th, td { text-align: left; vertical-align: top; padding: 5px 12px 5px 0; }
td:nth-child(2):nth-last-child(2), td:nth-child(3):last-child { width: 39%; }
th { border-bottom: 2px solid #9ca3af; } td { border-bottom: 1px solid #e5e7eb; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
@page { size: A4; margin: 12mm; }
@media print {
  main { zoom: 0.78; padding: 0; }
  figure, tr, .warning { break-inside: avoid; } h2 { break-after: avoid; }
}
"""
PSEUDO = (
    "These masks are pseudo-labels: a network made them, not a person. Every Dice on this page "
    "says how near a run comes to that network, not to the truth."
)
BOUNDED = ("fig5", "fig7", "imperfect")  # whose figures show the upper bound
BESIDE = ("", "Laradji et al. 2020", "here")
SHARE_COLUMNS = ("", "labels", "cost", "of the full effort", "Dice", "of the bound")


def experiment_page(result: Result) -> str:
    """Return the page of one experiment: its figure and what it is of."""
    facts = result.facts
    title = f"{facts['title']}, {facts['dataset']['name']}"
    return _page(title, f"<h1>{escape(title)}</h1>{_warning(result)}{_figure(result, None)}")


def report_page(results: Mapping[str, Result]) -> str:
    """Return the page on all experiments of a dataset, beside the paper's own numbers."""
    first = next(iter(results.values()))
    name = first.facts["dataset"]["name"]
    bound = bound_of(results)
    parts = [f"<h1>The paper’s experiments on {escape(name)}</h1>", _warning(first), _data(first)]
    parts.append("<h2>What was shown</h2>" + _verdicts(results))
    parts.append("<h2>Beside the paper</h2>" + _table(BESIDE, beside(results)))
    shares = list(share_rows(results))
    if shares:
        parts.append("<h2>Share of the upper bound</h2>" + _table(SHARE_COLUMNS, shares, numbers=4))
    for result in results.values():
        drawn = _figure(result, bound if result.name in BOUNDED else None)
        parts.append(f"<h2>{escape(result.facts['title'])}</h2>{drawn}{_made(result)}")
    return _page(f"The paper’s experiments on {name}", "".join(parts))


def _page(title: str, body: str) -> str:
    from plotly.offline import get_plotlyjs

    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head><body><main>{body}</main></body></html>\n"
    )


def _figure(result: Result, bound: float | None) -> str:
    drawn = figure_of(result, bound).to_html(
        full_html=False, include_plotlyjs=False, div_id=f"figure-{result.name}",
        config={"displaylogo": False, "displayModeBar": False},
    )  # fmt: skip
    caption = f"<figcaption>{escape(caption_of(result))}</figcaption>"
    return f"<figure>{drawn}{caption}</figure>"


def _warning(result: Result) -> str:
    pseudo = result.facts["dataset"]["pseudo_labels"]
    return f'<p class="warning">{escape(PSEUDO)}</p>' if pseudo else ""


def _data(result: Result) -> str:
    data = result.facts["dataset"]
    parts = ", ".join(
        f"{part} {count['slices']} ({count['infected_slices']} infected)"
        for part, count in data["parts"].items()
        if count["slices"]
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in data["notes"])
    return (
        f"<p>{escape(data['name'])}: {data['scans']} scans; slices of {data['size']}×"
        f"{data['size']} pixels: {parts}.</p>"
        f'<ul class="quiet">{notes}<li>fingerprint <code>{data["fingerprint"]}</code></li></ul>'
    )


def _verdicts(results: Mapping[str, Result]) -> str:
    lines = [
        f"<li>{NAMES[name]}: {escape(sentence)}</li>"
        for name, result in results.items()
        for sentence in result.verdicts
    ]
    if not lines:
        return "<p>Nothing was compared yet.</p>"
    folds = any(result.facts.get("folds") for result in results.values())
    how = (
        "Differences of Dice, paired by seed, with 95 % intervals by Student’s t; the last cycle "
        "within each cost counts. The intervals tell of seeds alone, not of other patients"
        + (", and where folds are named of these, which share slices to train on" if folds else "")
        + f". Of {len(lines)} comparisons one in twenty would be “shown” by chance alone."
    )
    return f'<ul>{"".join(lines)}</ul><p class="quiet">{how}</p>'


def _made(result: Result) -> str:
    facts = result.facts
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f'<p class="quiet">Made by <code>{escape(facts["command"])}</code><br>'
        f"{escape(versions)}; {escape(facts['platform'])}</p>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]], numbers: int = 0) -> str:
    """Lay a table out, its last columns as numbers."""
    first = len(head) - numbers

    def line(cells: Sequence[Any], tag: str) -> str:
        kinds = ("" if i < first else ' class="number"' for i in range(len(cells)))
        drawn = (
            f"<{tag}{kind}>{escape(str(cell))}</{tag}>"
            for kind, cell in zip(kinds, cells, strict=True)
        )
        return f"<tr>{''.join(drawn)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>"
