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

from alnb.annotation import LONGEST_NAME, Answer, Outline, name_of
from alnb.dataset import SliceId
from alnb.errors import AlnbError, log_to, sentence_of
from alnb.pool import Pool, start_picks
from alnb.regions import Region
from alnb.session import Session
from alnb.ui.label.commands import Commands
from alnb.ui.label.draft import Draft, restore_draft
from alnb.ui.label.editor import TAKEN_OVER, Aside, Done, Editor, last_annotator
from alnb.ui.label.exporting import earlier_export, exported
from alnb.ui.label.looking import Viewing
from alnb.ui.label.page import Page
from alnb.ui.label.screen import Explanation, Mode, Screen, focus, marked, present, score_of
from alnb.ui.label.shortcuts import BY_KEY, REPEATING
from alnb.ui.label.training_client import TrainingClient, nearby
from alnb.ui.label.watched import WatchedSlice
from alnb.ui.parts import Message, failure_page
from alnb.ui.viewer.charts import Charts
from alnb.ui.viewer.drawing import thumbnail_png
from alnb.ui.viewer.input import Act, Event, Key
from alnb.ui.viewer.slice_view import SliceView
from alnb.worker import Maps, TrainingCancelled, Worker

UNDRAWN_S = 180.0  # ours: a page that is not drawn by then waits for itself
WATCH_S = 2.0  # how often to check whether another window has taken the session over
MEASURE_S = 0.3  # ours: after an answer, so that the next region is on screen first
LOOK_S = 0.05  # ours: between slices, each of which takes some 10 ms
OUTLINE_S = 0.005  # ours: after a mark, so that it is sent first
MEANT_S = 0.4  # an answer given sooner after a region appears was meant for the one before it
EXPORTING = "Exporting: clicks, curve and network, then the masks of every slice…"
MEANT = {"clean", "next", "right", "skip", "mark", "line"}  # actions on the region on screen


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
        self.message: str = ""
        annotator = name_of(annotator) or last_annotator(session.state).strip()[:LONGEST_NAME]
        self.editor = Editor(session, self.pool, annotator, clock)
        self._clock = clock
        self._shown_at = 0.0
        self._shown: Region | None = None
        self._away = False  # whether a neighbour of the asked slice is on screen
        self._rest = ""
        self._left: tuple[tuple[Answer, ...], bool] = ((), True)
        self._maps: Mapping[SliceId, Maps] = {}
        self._thumbnails: dict[str, bytes] = {}
        self._charted: tuple[object, ...] = ()
        self._drawn: tuple[object, ...] = ()  # the key of `_shown_screen`
        self._shown_screen: Screen
        self._tasks: set[asyncio.Task[None]] = set()
        self._exporting, self._export_said = False, ""
        self._tried: tuple[object, tuple[Outline, ...]] = (None, ())
        self._watching: asyncio.TimerHandle | None = None
        self._following, self._followed = False, session.state.given
        size = (self.dataset.size, self.dataset.size)
        self.view = SliceView(size, tuple(BY_KEY), REPEATING)
        self.view.tap.drawing = session.state.config.labels == "full"
        self.charts = Charts(score_of(self.dataset))
        self.training = TrainingClient(
            session, self.pool, worker, self._on_training, self.charts.show_losses, clock
        )
        self.watched = WatchedSlice(self.dataset, self.training.test_slices, self._watch_slice)
        self.page = Page(
            self.view, self.charts, self.watched, self.dataset.window,
            has_masks=self.dataset.has_masks,
        )  # fmt: skip
        self.page.annotator.value = self.editor.annotator
        self.viewing = Viewing(self.pool, self.view, self.page)
        self.commands = Commands(
            self.editor, self.viewing, self.training, self._screen, self._train, self._export
        )
        self._seen = asyncio.Event()
        self.view.tap.on_drawn(self.view.tap.target, self._seen.set)
        self._connect()

    @property
    def draft(self) -> Draft:
        """The region on screen and its marks."""
        return self.editor.draft

    # --- life ---

    def start(self) -> None:
        """Ask the first regions, show them, and start the training process."""
        if self.training.asker is not None:
            self.training.follow()
        elif self.session.state.cycle < 0:
            self.session.ask(start_picks(self.pool))
        train = self.dataset.part("train")
        if self.dataset.has_masks and not any(self.dataset.infected_px(w) for w in train):
            self.message = Message(
                f"The masks of {self.dataset.name} show no infection in its train part; the test "
                "scores will say little.",
                "warning",
            )
        self.editor.draft = restore_draft(self.editor.path, self.session.state)
        self.draw()
        self.training.watched = self.watched.where
        self._show_watched()
        with contextlib.suppress(RuntimeError):  # no loop: a test, or plain Python
            asyncio.get_running_loop()
            self._spawn(self._warm_up())
            self._spawn(self._watch())
            self._spawn(self._earlier_export())

    async def _warm_up(self) -> None:
        """Start the process once the page is drawn: where many open at once, all are seen first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UNDRAWN_S):
                await self._seen.wait()
        await self.training.warm_up()
        self._spawn(self._look_ahead())
        await self.training.publish_rest()

    async def _look_ahead(self) -> None:
        """Look for the lungs in all slices, one after the other, while the person looks at one."""
        for where in self.pool.slices:
            self.pool.look(where)
            await asyncio.sleep(LOOK_S)

    async def _watch(self) -> None:
        """Watch the process; stop it soon after another window has taken the session over."""
        while self.session.journal.owned:
            await asyncio.sleep(WATCH_S)
            self.training.tick()
            if self.editor.unkept:
                self.editor.keep()
                self.draw()
        await self.training.worker.stop()

    def _spawn(self, story: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the kernel's loop; the page shows its errors."""

        async def shown() -> None:
            try:
                await story
            except TrainingCancelled:
                self.message = "Training cancelled; the network is as it was before."
            except Exception as error:
                self.message = _message_of(error)
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
            self.message = _message_of(error)
        self.draw()

    # --- what the person does ---

    def _connect(self) -> None:
        page = self.page
        self.view.on_event(self._on_event)
        for name in ("clean", "next", "right", "skip", "undo", "redo", "background", "sweep",
                     "help", "settings", "export", "train", "cancel"):  # fmt: skip
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
        with self._guarded():
            self.editor.annotator = name_of(self.page.annotator.value)

    def _look_on(self) -> None:
        """Follow the window that took the session over, in this page's place; only read."""
        from alnb.ui.explore.explorer import look_at

        with self._guarded():
            try:
                shown = look_at(self.session.journal.path.parent, self.dataset.folder)
            except AlnbError as error:  # this page goes on showing TAKEN_OVER, and no message
                shown = failure_page(str(error))
            self.page.become(shown)

    def _on_overlays(self) -> None:
        """Draw the pictures with the chosen overlays and window, and the chosen chart."""
        with self._guarded():
            self.commands.stale = True
        self._watch_soon()

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
        self.message = self._export_said = EXPORTING
        if not self._exporting:
            self._exporting = True
            self._spawn(self._exported())

    async def _exported(self) -> None:
        try:
            folder = self.session.journal.path.parent
            trained = self.session.state.fit is not None
            self.message = await exported(
                folder, self.dataset.folder, self._say_aside, trained=trained
            )
        finally:
            self._exporting = False

    async def _earlier_export(self) -> None:
        """Say what became of an export that a page began before it was reloaded."""
        said = await earlier_export(self.session.journal.path.parent, self._say_aside)
        if said is not None and self.message in ("", self._export_said):
            self.message = said

    def _say_aside(self, words: str) -> None:
        """Say how far an export is, unless something else is said."""
        if self.message in ("", self._export_said):
            self.message = self._export_said = words
            self.draw()

    def _train(self) -> None:
        self.training.begin()
        self._spawn(self._cycle())

    async def _cycle(self) -> None:
        try:
            await self.training.cycle()
        except Exception:
            self._spawn(self.training.publish_rest())
            raise
        self._spawn(self.training.publish_rest())

    # --- the page ---

    def _on_training(self) -> None:
        changed = self.training.maps is not self._maps
        self.commands.stale |= changed
        self.draw()
        if changed:
            self._watch_soon()

    def draw(self) -> None:
        """Bring the page up to date with the state."""
        try:
            self._follow()
            if note := self.session.journal.take_note():
                self.message = Message(note, "warning")
            self._draw_pictures()
            self._draw_screen() if self._screen_key() != self._drawn else self._draw_marked()
        except Exception as error:
            self.message = _message_of(error)
            self.page.say(self.message)

    def _follow(self) -> None:
        """Let the live layer learn the answers; the curve follows when the page is drawn."""
        state = self.session.state
        if self.training.asker is None or self._following or state.given == self._followed:
            return
        self._following = True  # what follows draws, too
        try:
            self.training.follow()
        finally:
            self._following = False
        self._followed = state.given
        with contextlib.suppress(RuntimeError):  # no loop: a test, or plain Python
            asyncio.get_running_loop()
            self._spawn(self._measure())

    async def _measure(self) -> None:
        await asyncio.sleep(MEASURE_S)
        await self.training.measure()

    # --- the test slice that is watched ---

    def _watch_slice(self) -> None:
        """Show another test slice; in cycles the network predicts it first."""
        self._show_watched()
        if self.watched.where is not None:
            with contextlib.suppress(RuntimeError):  # no loop: a test, or plain Python
                asyncio.get_running_loop()
                self._spawn(self.training.look_at(self.watched.where))

    def _watch_soon(self) -> None:
        """Draw it once what the person waits for is on screen."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no loop: a test, or plain Python
            return
        if self._watching is not None:
            self._watching.cancel()
        self._watching = loop.call_later(MEASURE_S, self._show_watched)

    def _show_watched(self) -> None:
        where, training = self.watched.where, self.training
        if where is None:
            return
        fit = self.session.state.fit
        self.viewing.know(fit, training.maps)
        maps = self.viewing.overlays(where)
        if not self.page.toggles["entropy"].value:
            maps.pop("entropy", None)
        self.watched.show(maps, training.network)

    def _draw_pictures(self) -> None:
        drawing = self.draft.region if self.editor.pen else None
        region = drawing or focus(self.session.state, self.draft)
        if region != self.draft.region:
            self.editor.draft = Draft(region)
        another = region != self._shown
        if self._away and not self.viewing.offset:
            self._shown_at = self._clock()  # of the slice that is asked about, after a neighbour
        self._away = bool(self.viewing.offset)
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
        if another:
            self._shown, self._shown_at = region, self._clock()
            self.editor.shown()
        if region is not None:
            self._draw_marks()

    def _draw_marks(self) -> None:
        draft = self.draft
        self.view.mark(
            () if self.viewing.offset else draft.clicks,
            outlines=(*draft.outlines, self.editor.pen),
            cursor=self.editor.cursor,
            picked=self.editor.picked(),
            predicted=self._predicted(),
            said=self._disputed(),
        )

    def _disputed(self) -> tuple[Answer, ...]:
        """List everyone's answers on the region on screen, if somebody must decide."""
        region, disputed = self.draft.region, self.session.state.disputed
        hidden = region is None or self.draft.sweep or self.viewing.offset
        return () if hidden or region is None else disputed.get(region.key, ())

    def _predicted(self) -> tuple[Outline, ...]:
        """Outline what the live layer predicts with these marks; nothing before there are some.

        A guess that is seen first biases the person, who may ask for it. The outline follows the
        mark, which does not wait for it.
        """
        draft = self.draft
        shown = self._revealed or (self.page.toggles["outline"].value and draft.infected)
        if not shown or draft.sweep or self.viewing.offset:
            self._tried = (None, ())
        elif self._tried[0] != (draft, self.training.maps):
            try:
                asyncio.get_running_loop().call_later(OUTLINE_S, self._try_out, draft)
            except RuntimeError:  # no loop: a test, or plain Python
                self._try_out(draft)
        return self._tried[1]

    @property
    def _revealed(self) -> bool:
        """Whether the person asked for the outline in the region on screen."""
        return self.draft.region is not None and self.commands.revealed == self.draft.region

    def _try_out(self, draft: Draft) -> None:
        """Find the outline of a draft, and draw it if the draft is still on screen."""
        known = draft, self.training.maps
        if draft != self.draft or draft.region is None or self._tried[0] == known:
            return
        try:
            infection = self.training.try_out(draft.region, draft.clicks, draft.outlines)
            outlines = () if infection is None else nearby(draft.region, infection)
            self._tried = (known, outlines)
            self._draw_marks()
            if self._drawn:
                self._draw_marked()  # the question names the outline
        except Exception as error:
            self.page.say(_message_of(error))

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
            guessing=self.training.guessing,
            revealed=self._revealed and bool(self._tried[1]),
            drawing=bool(editor.pen),
            owned=self.session.journal.owned,
            left=self._has_left(),
            ahead=self.training.ahead,
            saved_at=editor.saved_at,
            fresh=not any(event.kind == "answered" for event in self.session.journal.events),
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
        return self.training.explain(region, mean)

    def _has_left(self) -> bool:
        """Tell whether the pool holds an open region; searched when none of the cycle is open."""
        state = self.session.state
        if state.pending:
            return True
        if state.answers != self._left[0]:
            self._left = state.answers, self.pool.left(state)
        return self._left[1]

    def _draw_marked(self) -> None:
        """Bring the question and the buttons up to date: nothing else follows from a mark."""
        if self.draft.region is not None:
            state, mode = self.session.state, self._mode()
            self._shown_screen = marked(self._shown_screen, state, self.draft, mode)
        self.page.show_marked(self._shown_screen, self._said(self._shown_screen))

    def _said(self, screen: Screen) -> str:
        """Choose what is said above the question."""
        if not screen.owned:
            return Message(TAKEN_OVER, "warning")
        return self.message or Message(self.editor.unkept, "warning")

    def _draw_screen(self) -> None:
        self._drawn, self._shown_screen = self._screen_key(), self._screen()
        screen = self._shown_screen
        for tile in screen.tiles:
            if tile.region.key not in self._thumbnails:
                image = self.dataset.image(tile.region.where)
                self._thumbnails[tile.region.key] = thumbnail_png(image, tile.region.window)
        self.page.show(screen, self._said(screen), self._thumbnails)
        self.charts.axis = self.page.axis.value
        charted = screen.rows, screen.samples, screen.chart_hint, self.charts.axis
        if charted != self._charted:
            self._charted = charted
            self.charts.show(screen.rows, screen.chart_hint, screen.samples)


def _message_of(error: Exception) -> Message:
    """Say what an error means; an `Aside` is none."""
    if isinstance(error, Aside):
        return Message(str(error), "success" if isinstance(error, Done) else "note")
    return Message(sentence_of(error), "error")
