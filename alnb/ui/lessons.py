"""What the lessons in `notebooks/` need more than once: players, and what a reader does by hand.

A cell that needs one above it, in a notebook that is run out of order, says so in a sentence:
importing this module in a notebook sees to that.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, Protocol

import anywidget
import ipywidgets as widgets
import numpy as np
import traitlets
from IPython.core.getipython import get_ipython
from IPython.display import HTML, display
from numpy.typing import NDArray
from platformdirs import user_cache_path

from alnb.annotation import Answer, Click, Verdict
from alnb.arrays import Grey, Mask
from alnb.asking import Asker
from alnb.config import Config
from alnb.dataset import Dataset, SliceId
from alnb.errors import AlnbError
from alnb.live import Basis, Live
from alnb.metrics import Scores
from alnb.oracle import Oracle
from alnb.pool import Pool
from alnb.posterior import Posterior, binary_entropy
from alnb.regions import Region
from alnb.session import Session
from alnb.ui.in_cell import InCell
from alnb.ui.parts import capital
from alnb.ui.stills import Line, Panel, Still, chart, picture

# Ours: a quarter of the time, for maps that look the same on slices of 128 pixels.
QUICK = Config(asking="live", predict_zoom=1.0, predict_mirrored=False)
"""The settings of all lessons that train no network."""

ENTROPY = "uncertainty (entropy), 0 to 0.69 nats"
COST, DICE = "labelling cost, nominal seconds", "Dice on test slices"
SHOWN = 6  # ours: slices of a race to choose from; more don't fit a screen


class Network(Protocol):
    """What has published slices: a `alnb.training.trainer.Trainer`."""

    cache: Path

    @property
    def origin(self) -> str:
        """The name of the network before any answer."""
        ...


def features_folder(dataset: Dataset) -> Path:
    """Name the folder where what a network publishes of a dataset is kept for the next lesson."""
    return user_cache_path("alnb") / "lessons" / dataset.fingerprint[:12]


# --- players ---


class Player:
    """Asks one region at a time by a heuristic, has the oracle answer it, and learns at once.

    No network is trained: the live layer learns on what one has published.

    Parameters
    ----------
    dataset : Dataset
        With masks, its slices published.
    network : Network
        It published them.
    config : Config
        Heuristic, seed, and how the oracle labels.
    folder : Path, optional
        Of its session; None: a temporary one.

    Attributes
    ----------
    session : Session
    asker : Asker
    """

    def __init__(
        self,
        dataset: Dataset,
        network: Network,
        config: Config = QUICK,
        folder: Path | None = None,
    ) -> None:
        place = folder or Path(tempfile.mkdtemp(prefix="alnb-lesson-")) / "session"
        self.session = Session.open(place, dataset, config)
        settings = self.session.state.config
        self.asker = Asker(self.session, Pool(dataset, settings))
        basis = Basis(network.origin, learned=settings.pretrain_steps > 0)
        self.asker.use(basis, cache=network.cache)
        self.oracle = Oracle(dataset, settings.seed, settings)
        self.asker.measure()

    @property
    def live(self) -> Live:
        """The live layer as it is now."""
        assert self.asker.live is not None  # noqa: S101 - the constructor gave it a network
        return self.asker.live

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answers so far."""
        return self.session.state.answers

    def play(self, answers: int = 1, *, seconds: float = np.inf) -> None:
        """Ask and answer so many regions, or until the answers cost so many nominal seconds.

        Less where nothing is left to ask.
        """
        for _ in range(answers):
            asked = self.session.state.pending or self.asker.ask()
            if not asked or self.session.state.cost.nominal_s >= seconds:
                return
            self.answer(self.session.state.pending[0])

    def answer(self, region: Region) -> Answer:
        """Have the oracle answer a region, which is chosen if it was not asked; learn and measure.

        Returns
        -------
        Answer
        """
        if region not in self.session.state.pending:
            self.asker.choose(region)
        answer = self.oracle.answer(region, partial(self.asker.outlines, region))
        self.session.submit(answer)
        self.asker.measure()
        return answer

    @property
    def curve(self) -> tuple[list[float], list[float]]:
        """Nominal seconds and Dice after each answer; Dice is NaN where nothing was found."""
        rows = [sample.row() for sample in self.session.state.samples]
        return [row["cost_s"] for row in rows], [row["dice"] for row in rows]

    def line(self, name: str, **look: bool) -> Line:
        """Describe its curve for a chart; ``look`` as in `Line`."""
        seconds, dice = self.curve
        return Line(name=name, x=seconds, y=dice, **look)

    def measure(self, threshold: float = 0.5, part: str = "test") -> Scores:
        """Compare what it predicts with the masks of a part, at a threshold of the probability."""
        dataset, found = self.session.dataset, Scores()
        for where in dataset.part(part):  # type: ignore[arg-type] # one of the parts
            found += Scores.of(self.live.infection(where) >= threshold, dataset.mask(where))
        return found


def heads(live: Live, where: SliceId, count: int = 12, seed: int = 0) -> Posterior:
    """Draw a posterior from several last layers, each taught two thirds of the answers.

    Parameters
    ----------
    live : Live
        With answers.
    where : SliceId
        Published.
    count : int
        How many; ours: more change the maps by less than one can see.
    seed : int
        Of which answers each learns.
    """
    rng = np.random.default_rng(seed)
    maps = []
    for _ in range(count):
        head = copy(live)
        some = rng.permutation(len(live.answers))[: max(1, round(2 * len(live.answers) / 3))]
        head.learn([live.answers[n] for n in sorted(some.tolist())])
        maps.append(head.infection(where))
    entropies = np.mean([binary_entropy(p) for p in maps], axis=0)
    return Posterior(np.mean(maps, axis=0), entropies, count)


def reliability(
    infection: NDArray[np.floating[Any]], mask: Mask, bins: int = 10
) -> tuple[list[float], list[float]]:
    """Sort pixels by their predicted probability, and see how many of each bin are infected.

    Parameters
    ----------
    infection, mask : arrays of one shape
        The probability of infection, in [0, 1], and the truth.
    bins : int
        Of equal width.

    Returns
    -------
    predicted, found : list of float
        The mean probability and the infected share of each bin; bins of fewer than 20 pixels are
        left out (ours: their share is chance).
    """
    number = np.minimum((infection * bins).astype(int), bins - 1)
    each = [number == n for n in range(bins)]
    full = [one for one in each if one.sum() >= 20]
    return [float(infection[one].mean()) for one in full], [float(mask[one].mean()) for one in full]


# --- by hand ---


class Pressed(anywidget.AnyWidget):
    """A still picture that can be pressed, also with the arrow keys and Enter.

    Parameters
    ----------
    on_press : callable
        Takes the number of the panel, and the row and column as shares of its side.
    """

    _esm = Path(__file__).with_name("pressed.js")

    png = traitlets.Bytes(help="the picture").tag(sync=True)
    width = traitlets.Int(help="on the page, in pixels").tag(sync=True)
    alt = traitlets.Unicode(help="what a screen reader says").tag(sync=True)

    def __init__(self, on_press: Callable[[int, float, float], object]) -> None:
        super().__init__()
        self._on_press, self._still = on_press, Still(b"", 1, "")
        self.on_msg(self._receive)

    def show(self, still: Still) -> None:
        """Show another picture."""
        self._still = still
        with self.hold_sync():
            self.width, self.alt, self.png = still.width, still.alt, still.png

    def _receive(self, _widget: object, message: dict[str, Any], _buffers: object) -> None:
        place = self._still.at(float(message["x"]), float(message["y"]))
        if place is not None:
            self._on_press(*place)


class Hand:
    """A picture to press with a sentence under it; `widget` is what to show."""

    def __init__(self) -> None:
        self._picture, self._text = Pressed(self._on_press), widgets.HTML()
        self._below = widgets.VBox()
        self.widget = widgets.VBox([self._picture, self._text, self._below])

    def _on_press(self, panel: int, down: float, right: float) -> None:
        try:
            self._press(panel, down, right)
        except AlnbError as error:
            self._text.value = f"<b>{capital(str(error))}</b>"
        else:
            self._draw()

    def _press(self, panel: int, down: float, right: float) -> None:
        """Take a press, as `Pressed` hands it on."""
        raise NotImplementedError

    def still(self) -> Still:
        """Draw the picture as it is now."""
        raise NotImplementedError

    def _said(self) -> str:
        """Say what it shows, in HTML."""
        raise NotImplementedError

    def _draw(self) -> None:
        self._picture.show(self.still())
        self._text.value = self._said()


class Guess(Hand):
    """Press the regions of a slice that you think are infected.

    Parameters
    ----------
    image : (H, W) uint8 array
    regions : sequence of Region
        Of that slice.
    """

    def __init__(self, image: Grey, regions: Sequence[Region]) -> None:
        super().__init__()
        self.image, self.regions = image, tuple(regions)
        self.chosen: list[Region] = []
        self._draw()

    def _press(self, panel: int, down: float, right: float) -> None:
        """Choose the region there, or no longer."""
        height, width = self.image.shape
        row, col = down * height - 0.5, right * width - 0.5
        for region in self.regions:
            if region.contains(row, col):
                change = self.chosen.remove if region in self.chosen else self.chosen.append
                change(region)

    def still(self) -> Still:
        """Draw the slice with the chosen regions framed."""
        title = "Press the regions that you think hold infection"
        panel = Panel(title=title, image=self.image, grid=self.regions, frames=self.chosen)
        return picture([panel], side=448)

    def _said(self) -> str:
        return f"{len(self.chosen)} of {len(self.regions)} regions chosen."

    def result(self, mask: Mask) -> str:
        """Count what was right, in a sentence; ``mask`` is (H, W)."""
        infected = [region for region in self.regions if region.pixels(mask).any()]
        right = sum(region in infected for region in self.chosen)
        return (
            f"{len(infected)} of {len(self.regions)} regions are infected. You chose "
            f"{len(self.chosen)}; {right} of them are."
        )


class Probe(Hand):
    """Press a pixel, and read what several posteriors say of it.

    Parameters
    ----------
    panels : sequence of Panel
        All of one slice.
    posteriors : mapping of str to Posterior
        By what they are called, of that slice.
    truth : (H, W) bool array
    pixels : sequence of (row, col)
        Read at first, so that there is something to compare with.
    heat : str
        As in `picture`.
    """

    def __init__(
        self,
        panels: Sequence[Panel],
        posteriors: Mapping[str, Posterior],
        truth: Mask,
        pixels: Sequence[tuple[int, int]] = (),
        heat: str = "",
    ) -> None:
        super().__init__()
        self.panels, self.posteriors, self.truth, self.heat = panels, posteriors, truth, heat
        self.pixels = [*pixels]
        self._draw()

    def _press(self, panel: int, down: float, right: float) -> None:
        """Read the pixel there, too; of more than five the oldest is left out."""
        height, width = self.truth.shape
        self.pixels = [*self.pixels, (int(down * height), int(right * width))][-5:]

    def still(self) -> Still:
        """Draw the panels with the pixels marked."""
        drawn = [replace(one, marks=self.pixels) for one in self.panels]
        return picture(drawn, heat=self.heat, side=176)

    def table(self) -> HTML:
        """Write a table of what each posterior says of the pixels."""
        return HTML(self._said())

    def _said(self) -> str:
        heads = "".join(f"<th colspan=3>{escape(name)}</th>" for name in self.posteriors)
        kinds = "<th>p</th><th>ambiguity</th><th>ignorance</th>" * len(self.posteriors)
        rows = []
        for number, (row, col) in enumerate(self.pixels, 1):
            values = [
                (one.mean, one.expected_entropy, one.mutual_information)
                for one in self.posteriors.values()
            ]
            cells = "".join(f"<td>{m[row, col]:.2f}</td>" for each in values for m in each)
            truth = "infected" if self.truth[row, col] else "clean"
            rows.append(f"<tr><td>{number}</td><td>{truth}</td>{cells}</tr>")
        return (
            f"<table><tr><th></th><th></th>{heads}</tr>"
            f"<tr><th>pixel</th><th>truth</th>{kinds}</tr>{''.join(rows)}</table>"
            "p is the probability of infection; ambiguity and ignorance are nats."
        )


class Turns:
    """Answer one region at a time, and see the map, the next question and the curve move.

    Parameters
    ----------
    player : Player
        It asks; the reader answers.
    where : SliceId
        A slice whose prediction is shown.
    """

    def __init__(self, player: Player, where: SliceId) -> None:
        self.player, self.where = player, where
        self._shown: tuple[Answer, ...] | None = None
        self._asked()
        self.cell = InCell(player.session, after=self._asked)
        self._map, self._chart = widgets.Image(format="png"), widgets.Image(format="png")
        self.widget = widgets.VBox(
            [self.cell.widget, widgets.HBox([self._map, self._chart])],
        )
        self._draw()

    def _asked(self) -> None:
        """Learn the answers, and ask the next region if none is open."""
        asker, answers = self.player.asker, self.player.answers
        if answers == self._shown and self.player.session.state.pending:
            return
        asker.measure()
        if not self.player.session.state.pending:
            asker.ask()
        if self._shown is not None:
            self._draw()
        self._shown = answers

    def _draw(self) -> None:
        for widget, still in ((self._map, self.map()), (self._chart, self.chart())):
            widget.value, widget.width = still.png, still.width

    def map(self) -> Still:
        """Draw the slice with truth, prediction and uncertainty, as they are now."""
        dataset, live = self.player.session.dataset, self.player.live
        count = f"after {len(live.answers)} answers"
        plain = Panel(
            title=f"Predicted {count}", image=dataset.image(self.where),
            truth=dataset.mask(self.where), predicted=live.segment(self.where),
        )  # fmt: skip
        entropy = live.entropy(self.where) / np.log(2)
        unsure = replace(plain, title=f"Unsure {count}", predicted=None, heat=entropy)
        return picture([plain, unsure], heat=ENTROPY, side=176)

    def chart(self) -> Still:
        """Draw the curve so far."""
        line = self.player.line(f"you and the oracle, {len(self.player.answers)} answers")
        return chart([line], title="Every answer moves the curve", x=COST, y=DICE, size=(440, 250))


class Race(Hand):
    """Choose what is asked next, against players who choose by a heuristic.

    Each press is one answer of the oracle for everybody. The reader chooses from `SHOWN` slices,
    the others from all of the train part.

    Parameters
    ----------
    dataset : Dataset
    network : Network
    folder : Path
        Gets the sessions, each in a folder with the player's name; ``you`` is the reader's.
    rivals : sequence of str
        Heuristics.
    """

    def __init__(
        self,
        dataset: Dataset,
        network: Network,
        folder: Path,
        rivals: Sequence[str] = ("entropy", "random"),
    ) -> None:
        super().__init__()
        self.you = Player(dataset, network, QUICK.replace(heuristic="random"), folder / "you")
        self.rivals = {
            name: Player(dataset, network, QUICK.replace(heuristic=name), folder / name)
            for name in rivals
        }
        self._said_last = "Press a region: the oracle says whether it is infected, and where."
        self._chart = widgets.Image(format="png")
        self._below.children = [self._chart]
        self._draw()

    @property
    def slices(self) -> tuple[SliceId, ...]:
        """The slices to choose from: evenly spaced ones of the train part."""
        train = self.you.session.dataset.part("train")
        at = (np.arange(SHOWN) + 0.5) * len(train) / SHOWN
        return tuple(train[int(n)] for n in at)

    def _press(self, panel: int, down: float, right: float) -> None:
        """Ask the region there, and let the others ask theirs."""
        where, pool = self.slices[panel], self.you.asker.pool
        size = pool.dataset.size
        region = next(
            one for one in pool.regions(where)
            if one.contains(down * size - 0.5, right * size - 0.5)
        )  # fmt: skip
        if region.key in self.you.session.state.by_key:
            self._said_last = "That region has an answer. Press another."
            return
        answer = self.you.answer(region)
        for rival in self.rivals.values():
            rival.play()
        word = "infected" if answer.verdict is Verdict.INFECTED else "clean"
        self._said_last = f"That region is {word}."

    def play(self, answers: int) -> None:
        """Let the others go on to so many answers; the reader's choices stay as they are."""
        for rival in self.rivals.values():
            rival.play(answers - len(rival.answers))

    def still(self) -> Still:
        """Draw the slices with the answers so far, and what the reader's layer predicts."""
        dataset, said = self.you.session.dataset, self.you.answers
        panels = []
        for where in self.slices:
            here = [answer for answer in said if answer.region.where == where]
            clicks: list[Click] = [click for answer in here for click in answer.clicks]
            panels.append(
                Panel(
                    title=f"Slice {where.z} of {where.scan}", image=dataset.image(where),
                    predicted=self.you.live.segment(where) if said else None, clicks=clicks,
                    grid=self.you.asker.pool.regions(where), frames=[a.region for a in here],
                )
            )  # fmt: skip
        return picture(panels, columns=3)

    def chart(self) -> Still:
        """Draw all curves."""
        lines = [self.you.line(f"you, {len(self.you.answers)} answers", dotted=True)]
        lines += [rival.line(name) for name, rival in self.rivals.items()]
        return chart(lines, title="The race: who learns most for a second?", x=COST, y=DICE)

    def _said(self) -> str:
        return f"{self._said_last} {len(self.you.answers)} answers."

    def _draw(self) -> None:
        super()._draw()
        still = self.chart()
        self._chart.value, self._chart.width = still.png, still.width


def show(*parts: object) -> None:
    """Show several things under one cell."""
    display(*parts)


def page(html: str, height: int = 420) -> HTML:
    """Show a whole page inside the notebook; ``height`` is in screen pixels."""
    style = f"width: 100%; height: {height}px; border: 1px solid #c7ced8"
    return HTML(f'<div><iframe srcdoc="{escape(html)}" style="{style}"></iframe></div>')


# --- sentences in place of traces ---


def _explain(_shell: Any, _kind: type, error: BaseException, _trace: Any, **_: Any) -> list[str]:  # noqa: ANN401 - IPython's own
    """Show an error of a cell as a sentence."""
    sentence = str(error)
    if isinstance(error, NameError):
        sentence = (
            f"{error.name} is made by a cell above that has not run yet. Choose Run, Run All Above "
            "Selected Cell in the menu, then run this cell again."
        )
    look = "padding: 8px 12px; border-left: 4px solid #d97706"
    show(HTML(f"<div role='alert' style='{look}'>{escape(sentence)}</div>"))
    return []


if (_shell := get_ipython()) is not None:
    _shell.set_custom_exc((NameError, AlnbError), _explain)
