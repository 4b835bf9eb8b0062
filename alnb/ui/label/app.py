"""The label app: puts a `Screen` on the page and turns what the person does into commands.

Widgets hold no truth: every press becomes a command of `Session`, and the page then shows the new
state. Training runs in another process; a task on the kernel's loop waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import numpy as np

from alnb.annotation import Answer
from alnb.dataset import SliceId
from alnb.errors import AlnbError, log_to, sentence_of
from alnb.pool import Pool, start_picks
from alnb.regions import Region
from alnb.session import Session
from alnb.ui.label.commands import Commands
from alnb.ui.label.draft import Draft, restore_draft
from alnb.ui.label.editor import TAKEN_OVER, Editor, last_annotator
from alnb.ui.label.looking import Viewing
from alnb.ui.label.page import Page
from alnb.ui.label.screen import Explanation, Mode, Screen, focus, marked, present, score_of
from alnb.ui.label.shortcuts import BY_KEY, REPEATING
from alnb.ui.label.training_client import TrainingClient, exported
from alnb.ui.viewer.charts import Charts
from alnb.ui.viewer.drawing import thumbnail_png
from alnb.ui.viewer.input import Act, Event, Key
from alnb.ui.viewer.slice_view import SliceView
from alnb.worker import Maps, TrainingCancelled, Worker

WATCH_S = 2.0  # how often to check whether another window has taken the session over
MEANT_S = 0.4  # an answer given sooner after a region appears was meant for the one before it
LOOKED_AT = 16  # slices searched at once for an open region: most often the first have one
EXPORTING = "Exporting: clicks, curve and network, then the masks of every slice…"
MEANT = {"clean", "next", "skip", "mark", "line"}  # actions on the region on screen


class LabelApp:
    """The app on one session; `page.widget` is what to show.

    Parameters
    ----------
    session : Session
        Open for writing.
    annotator : str
        Written into every answer; empty for the person who answered last.
    clock : callable
        Seconds, only ever rising; times the answers.
    worker : callable
        Makes the `Worker`, from the same arguments.
    """

    def __init__(
        self,
        session: Session,
        annotator: str = "",
        clock: Callable[[], float] = time.monotonic,
        worker: Callable[..., Worker] = Worker,
    ) -> None:
        log_to(session.journal.path.parent)
        self.session = session
        self.dataset = session.dataset
        self.pool = Pool(session.dataset, session.state.config)
        self.message = ""
        annotator = annotator or last_annotator(session.state)
        self.editor = Editor(session, self.pool, annotator.strip(), clock)
        self._clock = clock
        self._shown_at = 0.0
        self._shown: Region | None = None
        self._rest = ""
        self._left: tuple[tuple[Answer, ...], bool] = ((), True)
        self._maps: Mapping[SliceId, Maps] = {}
        self._thumbnails: dict[str, bytes] = {}
        self._charted: tuple[object, ...] = ()
        self._drawn: tuple[object, ...] = ()  # the key of `_shown_screen`
        self._shown_screen: Screen
        self._tasks: set[asyncio.Task[None]] = set()
        self._exporting = False
        size = (self.dataset.size, self.dataset.size)
        self.view = SliceView(size, tuple(BY_KEY), REPEATING)
        self.view.tap.drawing = session.state.config.labels == "full"
        self.charts = Charts(score_of(self.dataset))
        self.training = TrainingClient(
            session, self.pool, worker, self._on_training, self.charts.show_losses, clock
        )
        self.page = Page(self.view, self.charts, has_masks=self.dataset.has_masks)
        self.page.annotator.value = self.editor.annotator
        self.viewing = Viewing(self.pool, self.view, self.page)
        self.commands = Commands(
            self.editor, self.viewing, self.training, self._screen, self._train, self._export
        )
        self._connect()

    @property
    def draft(self) -> Draft:
        """The region on screen and its marks."""
        return self.editor.draft

    # --- life ---

    def start(self) -> None:
        """Ask the first regions, show them, and start the training process."""
        if self.session.state.cycle < 0:
            self.session.ask(start_picks(self.pool))
        train = self.dataset.part("train")
        if self.dataset.has_masks and not any(self.dataset.infected_px(w) for w in train):
            self.message = (
                f"The masks of {self.dataset.name} show no infection in its train part; the test "
                "scores will say little."
            )
        self.editor.draft = restore_draft(self.editor.path, self.session.state)
        self.draw()
        with contextlib.suppress(RuntimeError):  # no loop: a test, or plain Python
            asyncio.get_running_loop()
            self._spawn(self.training.warm_up())
            self._spawn(self._watch())

    async def _watch(self) -> None:
        """Watch the process; stop it soon after another window has taken the session over."""
        while self.session.journal.owned:
            await asyncio.sleep(WATCH_S)
            self.training.tick()
        await self.training.worker.stop()

    def _spawn(self, story: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the kernel's loop; the page shows its errors."""

        async def shown() -> None:
            try:
                await story
            except TrainingCancelled:
                self.message = "Training cancelled; the last network is kept."
            except Exception as error:
                self.message = sentence_of(error)
            self.draw()

        task = asyncio.get_running_loop().create_task(shown())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Note that the person acts; show errors on the page, since Voila shows them nowhere."""
        try:
            self.message = ""
            self.editor.touch()
            yield
        except Exception as error:
            self.message = sentence_of(error)
        self.draw()

    # --- what the person does ---

    def _connect(self) -> None:
        page = self.page
        self.view.on_event(self._on_event)
        for name in ("clean", "next", "skip", "undo", "redo", "background", "sweep", "help",
                     "train", "cancel"):  # fmt: skip
            getattr(page, name).on_click(functools.partial(self._on_button, name))
        for name, preset in page.window_controls.presets.items():
            preset.on_click(functools.partial(self._on_button, f"window:{name}"))
        page.window_controls.on_change(self._on_overlays)
        page.on_overlays(self._on_overlays)
        page.auto.observe(lambda _: self._on_auto(), names="value")
        page.axis.observe(lambda _: self._on_overlays(), names="value")
        page.look_on.on_click(lambda _: self._look_on())
        page.annotator.observe(lambda _: self._on_annotator(), names="value")

    def _on_button(self, name: str, _button: object) -> None:
        self.act(name)

    def _on_annotator(self) -> None:
        """Write the new name into later answers; earlier ones keep theirs."""
        self.editor.annotator = self.page.annotator.value.strip()

    def _look_on(self) -> None:
        """Follow the window that took the session over, in this page's place; only read."""
        from alnb.ui.explore.explorer import look_at

        with self._guarded():
            try:
                shown = look_at(self.session.journal.path.parent, self.dataset.folder)
            except AlnbError as error:  # this page goes on showing TAKEN_OVER, and no message
                shown = Page.failure(str(error))
            self.page.become(shown)

    def _on_overlays(self) -> None:
        """Draw the pictures with the chosen overlays and window, and the chosen chart."""
        with self._guarded():
            self.commands.stale = True

    def _on_auto(self) -> None:
        with self._guarded():
            self.commands.train_automatically()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Key | Act):
            named = BY_KEY[event.name].name if isinstance(event, Key) else event.name
            if named not in MEANT or event.screen == self.view.screen:  # else an earlier region
                self.act(named)
            return
        with self._guarded():
            self.commands.hand(event)

    def act(self, name: str) -> None:
        """Do the action of a button, a key or a tile of the strip.

        An action on a region less than `MEANT_S` after it appeared was meant for the one before.
        """
        if name not in MEANT or self._clock() - self._shown_at >= MEANT_S:
            with self._guarded():
                self.commands.do(name)

    def _export(self) -> None:
        """Write the session's files beside it; a second press meanwhile does nothing more."""
        self.message = EXPORTING
        if not self._exporting:
            self._exporting = True
            self._spawn(self._exported())

    async def _exported(self) -> None:
        try:
            folder = self.session.journal.path.parent
            self.message = await exported(folder, self.dataset.folder)
        finally:
            self._exporting = False

    def _train(self) -> None:
        self.training.begin()
        self._spawn(self.training.cycle())

    # --- the page ---

    def _on_training(self) -> None:
        self.commands.stale |= self.training.maps is not self._maps
        self.draw()

    def draw(self) -> None:
        """Bring the page up to date with the state."""
        try:
            self._draw_pictures()
            self._draw_screen() if self._screen_key() != self._drawn else self._draw_marked()
        except Exception as error:
            self.message = sentence_of(error)
            self.page.say(self.message)

    def _draw_pictures(self) -> None:
        drawing = self.draft.region if self.editor.pen else None
        region = drawing or focus(self.session.state, self.draft)
        if region != self.draft.region:
            self.editor.draft = Draft(region)
        another = region != self._shown
        seen = self.editor.taught and not another  # a mask that is hidden again was still seen
        self.editor.taught = seen or self.page.toggles["mask"].value
        if another:
            self.viewing.home()
        rest = self._screen().rest if region is None else ""
        if self.commands.stale or another or rest != self._rest:
            self.commands.stale, self._rest, self._maps = False, rest, self.training.maps
            if region is None:
                self.view.clear(rest)
            else:
                self.viewing.draw(self.draft, self.session.state, self.training.maps)
        if region is not None:
            self._draw_marks()
        if another:
            self._shown, self._shown_at = region, self._clock()
            self.editor.shown()

    def _draw_marks(self) -> None:
        draft = self.draft
        self.view.mark(
            () if self.viewing.offset else draft.clicks,
            outlines=(*draft.outlines, self.editor.pen),
            cursor=self.editor.cursor,
            picked=self.editor.picked(),
        )

    def _screen_key(self) -> tuple[object, ...]:
        """Name all that the screen follows from except the marks in the region."""
        journal, training, page = self.session.journal, self.training, self.page
        return (
            journal.count, journal.owned, training.activity, training.maps, self.draft.region,
            self.draft.sweep, self.commands.strip_from, page.toggles["mask"].value,
            page.axis.value,
        )  # fmt: skip

    def _mode(self) -> Mode:
        editor = self.editor
        return Mode(
            marking=editor.marking,
            strip_from=self.commands.strip_from,
            can_sweep=editor.can_sweep,
            can_redo=editor.can_redo,
            drawing=bool(editor.pen),
            owned=self.session.journal.owned,
            left=self._has_left(),
            saved_at=editor.saved_at,
        )

    def _screen(self) -> Screen:
        return present(
            self.session.state, self.draft, self.training.activity, self.dataset, self._mode(),
            self._explanation(),
        )  # fmt: skip

    def _explanation(self) -> Explanation | None:
        region = self.draft.region
        if region is None or self.draft.sweep:
            return None
        maps = self.training.maps.get(region.where)
        mean = None if maps is None else float(region.pixels(maps.mean).mean())
        return self.training.explainer().explain(region, mean)

    def _has_left(self) -> bool:
        """Tell whether the pool holds an open region; searched when none of the cycle is open."""
        state = self.session.state
        if state.pending:
            return True
        if state.answers != self._left[0]:
            scores = self.pool.open(np.zeros(self.pool.shape), state)
            found = self.pool.picks(scores, LOOKED_AT, one_a_slice=True)
            self._left = state.answers, bool(found)
        return self._left[1]

    def _draw_marked(self) -> None:
        """Bring the question and the buttons up to date: nothing else follows from a mark."""
        if self.draft.region is not None:
            state, mode = self.session.state, self._mode()
            self._shown_screen = marked(self._shown_screen, state, self.draft, mode)
        message = self.message if self._shown_screen.owned else TAKEN_OVER
        self.page.show_marked(self._shown_screen, message)

    def _draw_screen(self) -> None:
        self._drawn, self._shown_screen = self._screen_key(), self._screen()
        screen = self._shown_screen
        for tile in screen.tiles:
            if tile.region.key not in self._thumbnails:
                image = self.dataset.image(tile.region.where)
                self._thumbnails[tile.region.key] = thumbnail_png(image, tile.region.window)
        message = self.message if screen.owned else TAKEN_OVER
        self.page.show(screen, message, self._thumbnails)
        self.charts.axis = self.page.axis.value
        charted = screen.rows, screen.chart_hint, self.charts.axis
        if charted != self._charted:
            self._charted = charted
            self.charts.show(screen.rows, screen.chart_hint)
