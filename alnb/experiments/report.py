"""Reports of experiments: figures, the paper's numbers beside ours, and HTML pages of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from alnb.acquisition import RANDOM
from alnb.curves.charts import (
    COLOURS,
    Trace,
    arm_traces,
    curve_layout,
    faint,
    figure_html,
    figure_layout,
    page_html,
)
from alnb.curves.statistics import dices, shares
from alnb.dataset import Dataset
from alnb.errors import saying
from alnb.experiments.engines import carry_out
from alnb.experiments.plan import Experiment
from alnb.experiments.results import Result, facts_of, read_all, table_of, write
from alnb.experiments.run import Clock, MakeLearner, PlannedRun, check, runs_of
from alnb.reports import CycleReport
from alnb.storage import write_text

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

PICTURE = (928, 900)  # window of the page, in its own pixels
Results: TypeAlias = Mapping[str, Result]
Row: TypeAlias = tuple[str, str, str]
OnCycle: TypeAlias = Callable[[PlannedRun, CycleReport, Clock], None]


# --- from an experiment to its files ---


def perform(
    experiment: Experiment,
    dataset: Dataset,
    out: Path,
    seeds: Sequence[int],
    *,
    jobs: int = 1,
    cluster: str | None = None,
    command: str = "",
    on_start: Callable[[Clock], None] = lambda clock: None,
    on_cycle: OnCycle = lambda run, report, clock: None,
    learner: MakeLearner | None = None,
) -> Result:
    """Carry an experiment out and write its files; a stopped one goes on.

    Parameters
    ----------
    experiment : Experiment
    dataset : Dataset
        With masks.
    out : Path
        Gets ``NAME.csv``, ``NAME.json`` and ``NAME.html``, and the runs in ``NAME/runs``.
    seeds : sequence of int
    jobs, cluster, learner
        As `carry_out` takes them.
    command : str
        The command line, for ``NAME.json``.
    on_start, on_cycle : callable
        Called with a clock that knows what is done and how long the rest will take.

    Raises
    ------
    AlnbError
        As `check` and `carry_out`.
    """
    runs = runs_of(experiment, out, seeds)
    clock = Clock(check(runs, dataset))
    on_start(clock)

    def noted(run: PlannedRun, report: CycleReport) -> None:
        clock.note(run, report)
        on_cycle(run, run.priced(report), clock)

    carry_out(runs, dataset, jobs=jobs, cluster=cluster, notify=noted, learner=learner)
    facts = facts_of(experiment, runs, dataset, command)
    result = Result(facts, table_of(experiment, runs, dataset))
    write(result, out)
    write_text(out / f"{result.name}.html", _experiment_page(result))
    return result


@saying("out")
def write_report(out: Path) -> tuple[Path, list[str]]:
    """Write ``report.html`` on all experiments in a folder; raise what `read_all` raises.

    Returns
    -------
    path : Path
        Of the page.
    conclusions : list of str
        A sentence for each comparison, after its experiment's name.
    """
    results = read_all(out)
    path = out / "report.html"
    write_text(path, _report_page(results))
    return path, [f"{name}: {line}" for name, one in results.items() for line in one.conclusions]


# --- pages ---

PSEUDO = (
    "These masks are pseudo-labels: a network made them, not a person. Every Dice on this page "
    "says how near a run comes to that network, not to the truth."
)
BOUNDED = ("fig5", "fig7", "imperfect")  # their figures show the upper bound
BESIDE = ("", "Laradji et al. 2020", "here")
SHARE_COLUMNS = ("", "labels", "cost", "of the full effort", "Dice", "of the bound")


def _experiment_page(result: Result) -> str:
    """Return the page of one experiment: its figure and caption."""
    title = f"{result.facts['title']}, {result.facts['dataset']['name']}"
    body = f"<h1>{escape(title)}</h1>{_warning(result)}{_figure(result, None)}"
    return page_html(title, body)


def _report_page(results: Results) -> str:
    """Return the page on all experiments of a dataset, beside the paper's numbers."""
    first = next(iter(results.values()))
    title = f"The paper’s experiments on {first.facts['dataset']['name']}"
    bound = bound_of(results)
    parts = [f"<h1>{escape(title)}</h1>", _warning(first), _data(first)]
    parts.append("<h2>What the runs show</h2>" + _conclusions(results))
    parts.append("<h2>Beside the paper</h2>" + _table(BESIDE, beside(results)))
    if shares := list(share_rows(results)):
        parts.append("<h2>Share of the upper bound</h2>" + _table(SHARE_COLUMNS, shares, numbers=4))
    for result in results.values():
        drawn = _figure(result, bound if result.name in BOUNDED else None)
        parts.append(f"<h2>{escape(result.facts['title'])}</h2>{drawn}{_made(result)}")
    return page_html(title, "".join(parts))


def _figure(result: Result, bound: float | None) -> str:
    drawn = figure_html(figure_of(result, bound), result.name)
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


def _conclusions(results: Results) -> str:
    lines = [
        f"<li>{NAMES[name]}: {escape(sentence)}</li>"
        for name, result in results.items()
        for sentence in result.conclusions
    ]
    if not lines:
        return "<p>Nothing has been compared yet.</p>"
    how = (
        "Differences of Dice are paired by seed, with 95 % intervals by Student’s t; the last "
        "cycle within each cost counts. The intervals are over seeds, not over other patients."
    )
    if any(result.facts.get("folds") for result in results.values()):
        how += " Folds share slices to train on, so their intervals are too narrow."
    how += f" Of {len(lines)} comparisons, one in twenty would show a difference by chance."
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
    kinds = [""] * (len(head) - numbers) + [' class="number"'] * numbers

    def line(cells: Sequence[Any], tag: str) -> str:
        pairs = zip(kinds, cells, strict=True)
        drawn = "".join(f"<{tag}{kind}>{escape(str(cell))}</{tag}>" for kind, cell in pairs)
        return f"<tr>{drawn}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>"


# --- figures ---

CAPTION = "Thin lines: the seeds ({seeds}). Thick: their mean. Band: from the lowest to the highest"
BAR_CAPTION = "Bars: the mean over the seeds ({seeds}). Whiskers: from the lowest to the highest"


def figure_of(result: Result, bound: float | None = None) -> go.Figure:
    """Draw an experiment: curves, or bars if only one point of each run is shown.

    ``bound`` is the Dice of the upper bound, drawn as a dashed line.
    """
    import plotly.graph_objects as go

    bars = _has_one_point(result)
    top = max(result.table["dice"].max(), bound or 0.0)
    low = 0.0 if bars else result.table["dice"].min()
    layout = figure_layout(curve_layout(), low, top) | {"paper_bgcolor": "#ffffff"}
    layout["legend"] |= {"x": 1, "xanchor": "right"}
    figure = go.Figure((_bars if bars else _curves)(result), layout)
    if bars:
        xaxis = {"title": {"text": ""}, "showgrid": False}
        figure.update_layout(showlegend=False, xaxis=xaxis, bargap=0.45)
    if bound is not None:
        figure.add_hline(
            bound, line={"color": "#6b7280", "width": 1.5, "dash": "dash"},
            annotation={"text": f"upper bound {bound:.2f}", "font": {"color": "#4b5563"}},
            annotation_position="top left",
        )  # fmt: skip
    return figure


def _has_one_point(result: Result) -> bool:
    starts = all(arm["cycles"] == 0 for arm in result.facts["arms"].values())
    return starts or bool(result.facts.get("only_ends"))


def caption_of(result: Result) -> str:
    """Say what the figure's lines are, which data they are of, and what else a reader must know."""
    seeds = ", ".join(map(str, result.facts["seeds"]))
    lines = (BAR_CAPTION if _has_one_point(result) else CAPTION).format(seeds=seeds)
    parts = result.facts["dataset"]["parts"]
    where = f"{parts['test']['slices']} test slices"
    if folds := result.facts.get("folds"):
        where = f"one of {folds} folds of {parts['train']['slices']} train slices"
    masks = " against pseudo-labels" if result.facts["dataset"]["pseudo_labels"] else ""
    network = f"{result.facts['network']}, {result.facts['device']}"
    notes = " ".join(result.facts["notes"])
    return f"{lines}. Dice of {where}{masks}; {network}. {notes}".strip()


def _curves_of(result: Result, arm: str) -> dict[str, pd.DataFrame]:
    own = result.table[result.table["arm"] == arm]
    return {f"seed {seed}": own[own["seed"] == seed] for seed in result.facts["seeds"]}


def _curves(result: Result) -> list[Trace]:
    return [
        trace
        for i, (arm, label) in enumerate(result.labels.items())
        for trace in arm_traces(label, _curves_of(result, arm), COLOURS[i % len(COLOURS)])
    ]


def _bars(result: Result) -> list[Trace]:
    """Draw a bar for each arm, whiskers over the seeds, and a dot for each seed."""
    ends = [
        [float(c["dice"].iloc[-1]) for c in _curves_of(result, arm).values()]
        for arm in result.labels
    ]
    dice = np.array(ends)  # (arms, seeds)
    means = dice.mean(axis=1)
    ticks = [f"{a}<br>{mean:.3f}" for a, mean in zip(result.labels.values(), means, strict=True)]
    spread = {"array": dice.max(axis=1) - means, "arrayminus": means - dice.min(axis=1)}
    bar: Trace = {
        "type": "bar", "x": ticks, "y": means,
        "marker": {"color": faint(COLOURS[0], 0.35)},
        "error_y": spread | {"color": COLOURS[0], "thickness": 1.5},
        "hovertemplate": "%{x}<br>mean Dice %{y:.3f}<extra></extra>",
    }  # fmt: skip
    dots: Trace = {
        "type": "scatter", "mode": "markers", "marker": {"color": COLOURS[0], "size": 6},
        "x": np.repeat(ticks, dice.shape[1]), "y": dice.ravel(),
        "hovertemplate": "%{x}<br>Dice %{y:.3f}<extra></extra>",
    }  # fmt: skip
    return [bar, dots]


# --- the paper's numbers beside ours ---

NAMES = {
    "fig5": "Figure 5", "fig6": "Figure 6", "fig7": "Figure 7",
    "imperfect": "Imperfect annotator", "ablations": "Ablations", "upper-bound": "Upper bound",
}  # fmt: skip
SHARES = 6  # ours: the share of the bound is given at so many costs
# Read off the paper's figure 6; its text does not say which value belongs to which K.
FIG6 = {
    "A-Mixed": (0.511, 0.537, 0.474, 0.445, 0.274, 0.169, 0.158),
    "A-Sep": (0.524, 0.446, 0.352, 0.300, 0.203, 0.171, 0.052),
}
PAPER = {  # what is compared, and what the paper says of it
    "fig5": (
        "Figure 5: entropy against random",
        "entropy is better on A-Mixed, A-Sep, B-Mixed and B-Sep, with 5 regions a cycle",
    ),
    "fig7": (
        "Figure 7: clicks against per-pixel labels",
        "clicks are better from 600 to 1000 s on A-Mixed and A-Sep",
    ),
    "imperfect": ("An annotator who errs", "its simulated annotator never errs"),
}


def bound_of(results: Results) -> float | None:
    """Return the upper bound's mean Dice over its seeds; None without a run that is not quick."""
    result = results.get("upper-bound")
    if result is None or result.facts.get("quick"):
        return None
    return float(result.table["dice"].mean())


def beside(results: Results) -> Iterator[Row]:
    """Set our results beside the paper's: (what, the paper, here)."""
    if "fig5" in results:
        yield from _last_against(results["fig5"], RANDOM)
    if "fig6" in results:
        yield from _fig6(results["fig6"])
    if "fig7" in results:
        yield from _fig7(results["fig7"])
    if "imperfect" in results:
        yield from _last_against(results["imperfect"], "imperfect")
    bound = bound_of(results)
    if bound is None:
        return
    facts = results["upper-bound"].facts
    cost, slices = facts["full_cost_s"], facts["dataset"]["parts"]["train"]["slices"]
    yield (
        "Upper bound: the whole train part labelled in full",
        "Dice 84 % on A-Mixed, 368 slices, 35 328 s",
        f"Dice {bound:.1%}, {slices} slices, {_s(cost)}",
    )
    if "fig5" in results:
        fig5 = results["fig5"]
        last = float(fig5.table["cost_s"].max())
        for _, dice, share in shares(fig5.table, next(iter(fig5.labels)), [last], bound):
            yield (
                "Share of the bound that clicks reach",
                "Dice 76 % at 2460 s: 90 % of the bound for 7 % of its effort",
                f"Dice {dice:.1%} at {_s(last)}: {share:.0%} of the bound for "
                f"{last / cost:.1%} of its effort",
            )


def _s(seconds: float) -> str:
    return f"{seconds:,.0f} s".replace(",", "\N{NO-BREAK SPACE}")


def _last_against(result: Result, arm: str) -> Iterator[Row]:
    """Yield the conclusion on an arm at the highest cost, if it was compared."""
    compared = zip(result.conclusions, result.facts["comparisons"], strict=True)
    if found := [sentence for sentence, (_, second, _) in compared if second == arm]:
        yield (*PAPER[result.name], found[-1])


def _fig6(result: Result) -> Iterator[Row]:
    paper = "; ".join(
        f"{name} {' '.join(f'{dice:.3f}' for dice in sorted(values, reverse=True))}"
        for name, values in FIG6.items()
    )
    yield (
        "Figure 6: Dice by number of regions (K), start of 192 s",
        f"the smaller the regions the better; the seven values, highest first: {paper} "
        "(the figure's text does not say which K each belongs to)",
        ", ".join(
            f"{label}: {_mean_and_range(list(dices(result.table, arm, np.inf).values()))}"
            for arm, label in result.labels.items()
        ),
    )
    yield (
        "Figure 6: most against fewest regions",
        "the most regions are better",
        result.conclusions[-1],
    )


def _mean_and_range(values: list[float]) -> str:
    if not values:
        return "no Dice"
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _fig7(result: Result) -> Iterator[Row]:
    what, paper = PAPER["fig7"]
    for sentence, (_, _, cost) in zip(result.conclusions, result.facts["comparisons"], strict=True):
        yield f"{what} at {cost:.0f} s", paper, sentence


def share_rows(results: Results) -> Iterator[tuple[str, ...]]:
    """List which share of the bound is reached: (experiment, arm, cost, effort, Dice, share)."""
    bound = bound_of(results)
    if not bound:
        return
    for name in ("fig5", "fig7"):
        if name not in results:
            continue
        result = results[name]
        for arm, label in result.labels.items():
            for cost, dice, share in shares(result.table, arm, _costs(result, arm), bound):
                effort = cost / result.facts["full_cost_s"]
                yield NAMES[name], label, _s(cost), f"{effort:.1%}", f"{dice:.3f}", f"{share:.0%}"


def _costs(result: Result, arm: str) -> list[float]:
    """Choose costs evenly among an arm's cycles, with the first and the last."""
    costs = np.unique(result.table[result.table["arm"] == arm]["cost_s"])
    budget = next(iter(result.facts["arms"].values()))["config"]["budget_s"]
    if budget is not None:
        costs = np.append(costs[costs < budget - 1], budget)
    chosen = np.linspace(0, len(costs) - 1, min(SHARES, len(costs))).round().astype(int)
    return [float(costs[i]) for i in chosen]
