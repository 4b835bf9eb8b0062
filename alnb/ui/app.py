"""The label app: puts a `Screen` on the page and turns what the person does into commands.

Widgets hold no truth: every press becomes a command of `Session`, and the page is drawn anew
from the state. Training runs in another process; one task on the kernel's loop waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np

from alnb.acquisition import needs_network
from alnb.annotation import Answer, Click, Verdict
from alnb.config import Config
from alnb.cost import cost_of
from alnb.cycle import Pool, next_picks, previous_weights, start_picks
from alnb.dataset import Dataset, SliceId, embedded
from alnb.errors import AlnbError, SessionError
from alnb.regions import Region
from alnb.session import Session, default_folder
from alnb.ui.charts import Charts
from alnb.ui.page import Page
from alnb.ui.pictures import thumbnail_png
from alnb.ui.present import Activity, Draft, Screen, focus, present
from alnb.ui.region_view import RegionView
from alnb.ui.tap import Key, Press
from alnb.worker import Maps, Progress, TrainingCancelled, Worker

MARK_PX = 8.0  # on the screen: a press this near to a mark takes it back
CHART_S = 0.5  # how often the loss is drawn: a figure redrawn is a page held up
WATCH_S = 2.0  # how often to look whether another window has taken the session over
MEANT_S = 0.25  # a button pressed sooner after a region appears was meant for the one before it
LOOKED_AT = 16  # slices at once, to see whether a region is left: most often the first have one
LOG = "app.log"
EMBEDDED = Config(start_in_lungs=0.75)  # ours: 2 % of the phantom is infected, all of it in lungs
OUTSIDE = "That is outside the frame: the question is about the region inside it."
SMALL = "Click in the large picture: there the place can be hit exactly."
TAKEN_OVER = (
    "This session was opened in another window, which now writes it. Everything answered here is "
    "saved. Go on there, or reload this page to take it back."
)


def label_app(
    data: Path | str | None = None,
    session: Path | str | None = None,
    annotator: str = "",
    **settings: Any,  # noqa: ANN401 - of any field
) -> widgets.Widget:
    """Show the label app.

    Parameters
    ----------
    data : path, optional
        A dataset's folder; None takes ``ALNB_DATA``, or the embedded phantom.
    session : path, optional
        The session's folder; None takes ``ALNB_SESSION``, or one of the dataset's own in the
        user's data folder. Where there is a session it goes on where it was.
    annotator : str
        Written into every answer.
    **settings
        Of `Config`, for a new session; none takes ``ALNB_SETTINGS``, as JSON, or the defaults.

    Returns
    -------
    ipywidgets.Widget
        The app; or a sentence that says why it can't start.
    """
    try:
        data = data or os.environ.get("ALNB_DATA")
        dataset = Dataset.open(Path(data)) if data else embedded()
        folder = Path(session or os.environ.get("ALNB_SESSION") or default_folder(dataset))
        settings = settings or json.loads(os.environ.get("ALNB_SETTINGS") or "{}")
        app = LabelApp(_open(folder, dataset, Config() if data else EMBEDDED, settings), annotator)
        app.start()
    except AlnbError as error:
        return Page.failure(str(error))
    except OSError as error:
        place = error.filename or "a file"
        return Page.failure(
            f"{place} can't be used: {error.strerror}. Mend its permissions, make room, or choose "
            "another folder with --session."
        )
    except Exception as error:  # else the page would stay empty
        traceback.print_exc()
        return Page.failure(
            f"Something went wrong in alnb ({type(error).__name__}: {error}). Every answer is "
            "saved. Please tell whoever keeps alnb."
        )
    return app.page.widget


def _open(folder: Path, dataset: Dataset, config: Config, settings: dict[str, Any]) -> Session:
    """Open a session, or start one; what was asked for must hold for one that goes on, too."""
    begun = (folder / "journal.jsonl").exists()
    fresh = config.replace(**settings)
    session = Session.open(folder, dataset, None if begun else fresh, take_over=True)
    try:
        session.require(session.state.config.replace(**settings))
    except AlnbError:
        session.close()
        raise
    return session


def guarded(
    method: Callable[..., None],
) -> Callable[..., None]:
    """Show what goes wrong in a handler on the page, since Voila shows it nowhere."""

    @functools.wraps(method)
    def wrapped(self: LabelApp, *args: Any) -> None:  # noqa: ANN401 - any handler
        try:
            self.message = ""
            method(self, *args)
        except Exception as error:
            self.report(error)
        self.draw()

    return wrapped


class LabelApp:
    """The app on one session; `page.widget` is what to show.

    Parameters
    ----------
    session : Session
        Open for writing.
    annotator : str
        Written into every answer.
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
        self.session = session
        self.dataset = session.dataset
        self.annotator = annotator
        self.pool = Pool(session.dataset, session.state.config)
        self.message = ""
        self.draft = Draft()
        self.activity = Activity()
        self.maps: dict[SliceId, Maps] = {}
        self._clock = clock
        self._shown_at = 0.0
        self._shown: Region | None = None
        self._rest = ""
        self._left: tuple[tuple[Answer, ...], bool] = ((), True)
        self._stale_pictures = True
        self._thumbnails: dict[str, bytes] = {}
        self._saved_at = ""
        self._losses: list[float] = []
        self._charted: tuple[tuple[Mapping[str, Any], ...], str] = ((), "")
        self._charted_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self.worker = worker(self.dataset, session.state.config, session.cache, self._on_progress)
        size = (self.dataset.size, self.dataset.size)
        self.view = RegionView(size)
        self.charts = Charts(self._screen().score, width=368)
        self.page = Page(self.view, self.charts)
        self._connect()

    # --- life ---

    def start(self) -> None:
        """Ask the first regions, show them, and warm the training process up."""
        if self.session.state.cycle < 0:
            self.session.ask(start_picks(self.pool))
        self._note_data()
        self._restore_draft()
        self.draw()
        with contextlib.suppress(RuntimeError):  # no loop: a test, or plain Python
            asyncio.get_running_loop()
            self._spawn(self._work(self._warm_up()))
            self._spawn(self._watch())

    def _note_data(self) -> None:
        train = self.dataset.part("train")
        if self.dataset.has_masks and not any(self.dataset.infected_px(w) for w in train):
            self.message = (
                f"The masks of {self.dataset.name} show no infection in its train part; the test "
                "scores will say little."
            )

    async def _warm_up(self) -> None:
        self._set_activity(Activity("warm"))
        await self.worker.start()
        fit = self.session.state.fit
        if fit is not None and self.session.state.pending:
            await self._predict(fit.weights)

    async def _watch(self) -> None:
        """Stop and say so soon after another window has taken the session over."""
        while self.session.journal.owned:
            await asyncio.sleep(WATCH_S)
        await self.worker.stop()

    async def _work(self, story: Coroutine[Any, Any, None]) -> None:
        """Use the training process, and show that it rests when the story ends."""
        try:
            await story
        finally:
            self._set_activity(Activity())

    def _spawn(self, story: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine on the kernel's loop; what goes wrong in it is shown."""

        async def shown() -> None:
            try:
                await story
            except TrainingCancelled:
                self.message = "Training cancelled; the last network is kept."
            except Exception as error:
                self.report(error)
            self.draw()

        task = asyncio.get_running_loop().create_task(shown())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def report(self, error: Exception) -> None:
        """Show an error in a sentence; an unexpected one's trace goes to the session's folder."""
        if isinstance(error, AlnbError):
            self.message = str(error)
            return
        with (
            contextlib.suppress(OSError),
            (self.session.journal.path.with_name(LOG)).open("a") as log,
        ):
            log.write(time.strftime("%Y-%m-%d %H:%M:%S\n"))
            traceback.print_exception(error, file=log)
        self.message = (
            f"Something went wrong in alnb ({type(error).__name__}: {error}). Every answer is "
            f"saved. {LOG} in the session's folder says more; reload the page to go on."
        )

    # --- what the person does ---

    def _connect(self) -> None:
        page = self.page
        self.view.on_event(self._on_event)
        page.clean.on_click(self._meant(self.answer_clean))
        page.next.on_click(self._meant(self.answer_infected))
        page.skip.on_click(self._meant(self.skip))
        page.undo.on_click(self._meant(self.undo))
        page.train.on_click(lambda _: self.train())
        page.cancel.on_click(lambda _: self.cancel())
        page.on_overlays(self._on_overlays)

    def _meant(self, handler: Callable[[], None]) -> Callable[[object], None]:
        """Leave out the second press of a double one: it would judge a region nobody has seen."""

        def wrapped(_button: object) -> None:
            if self._clock() - self._shown_at >= MEANT_S:
                handler()

        return wrapped

    @guarded
    def _on_overlays(self) -> None:
        """Draw the pictures anew with the overlays that are switched on."""
        self._stale_pictures = True

    @guarded
    def _on_event(self, event: Press | Key) -> None:
        if isinstance(event, Press):
            self.press(event.row, event.col, elsewhere=event.elsewhere)

    def press(self, row: float, col: float, *, elsewhere: bool = False) -> None:
        """Set a click at a position of the slice, or take back the one that is there.

        A press `elsewhere`, on the small picture, is told where to go.
        """
        region = self.draft.region
        if region is None:
            return
        click = Click(round(row, 2), round(col, 2))
        inside = region.contains(click.row, click.col)
        if elsewhere or not inside:
            self.message = SMALL if inside else OUTSIDE
            return
        self._check_owned()
        self.draft = self.draft.toggled(click, MARK_PX / self.view.scale)
        self._keep_draft()

    def _check_owned(self) -> None:
        if not self.session.journal.owned:
            raise SessionError(TAKEN_OVER)

    @guarded
    def answer_clean(self) -> None:
        """Answer that the region is clean."""
        self._submit(Verdict.CLEAN)

    @guarded
    def answer_infected(self) -> None:
        """Answer with the clicks set."""
        self._submit(Verdict.INFECTED)

    @guarded
    def skip(self) -> None:
        """Leave the region unanswered; it is not asked again."""
        self._submit(Verdict.SKIPPED)

    def _submit(self, verdict: Verdict) -> None:
        if self.draft.region is None:
            return
        seconds = max(0.0, self._clock() - self._shown_at)
        self.session.submit(self.draft.answer(verdict, seconds, self.annotator))
        self._saved_at = time.strftime("%H:%M:%S")
        self.draft = Draft()
        self._keep_draft()

    @guarded
    def undo(self) -> None:
        """Take the last click back, or the last answer where nothing was clicked."""
        self._check_owned()
        if self.draft.clicks:
            self.draft = Draft(self.draft.region, self.draft.clicks[:-1])
        else:
            for answer in self.session.undo():
                self.draft = Draft(answer.region, answer.clicks)
                self._saved_at = time.strftime("%H:%M:%S")
        self._keep_draft()

    # --- training ---

    @guarded
    def train(self) -> None:
        """Train on the answers so far, then ask the next regions; labelling goes on."""
        if not self.activity.running:
            self._losses = []
            self._set_activity(Activity("start"))
            self._spawn(self._work(self._cycle()))

    @guarded
    def cancel(self) -> None:
        """Stop what the training process does; the last network is kept."""
        self.worker.cancel()

    async def _cycle(self) -> None:
        state = self.session.state
        fit = await self.worker.fit(state.answers, previous_weights(state))
        scored = any(r.cycle == state.cycle and r.fit == fit for r in state.reports)
        if not scored and not (state.trained and state.fit == fit):
            self.session.trained(fit, state.answers, cost_of(state.given, state.config))
        begin = time.perf_counter()
        scores = await self.worker.evaluate("test", fit.weights)
        wanted = needs_network(state.config.heuristic)
        table = await self.worker.score(self.pool.slices, fit.weights) if wanted else {}
        if not scored:
            self.session.scored(scores, time.perf_counter() - begin)
        self.session.ask(next_picks(self.pool, self.session.state, table))
        self.maps = {}
        self.draw()
        await self._predict(fit.weights)

    async def _predict(self, weights: str) -> None:
        slices = tuple(dict.fromkeys(region.where for region in self.session.state.pending))
        self.maps = await self.worker.predict(slices, weights)
        self._stale_pictures = True

    def _on_progress(self, progress: Progress) -> None:
        if progress.loss is not None:
            self._losses.append(progress.loss)
            if progress.done == progress.total or self._clock() - self._charted_at > CHART_S:
                self._charted_at = self._clock()
                self.charts.show_losses(self._losses)
        if self.activity.cycling:
            self._set_activity(Activity(progress.stage, progress.done, progress.total))

    def _set_activity(self, activity: Activity) -> None:
        known = {"backbone": self.worker.backbone, "device": self.worker.device}
        self.activity = Activity(activity.stage, activity.done, activity.total, **known)
        self._draw_screen()

    # --- the page ---

    def draw(self) -> None:
        """Bring the page up to date with the state."""
        try:
            self._draw_pictures()
            self._draw_screen()
        except Exception as error:
            self.report(error)
            self.page.say(self.message)

    def _draw_pictures(self) -> None:
        region = focus(self.session.state, self.draft)
        if region != self.draft.region:
            self.draft = Draft(region)
        screen = self._screen()
        if self._stale_pictures or region != self._shown or screen.rest != self._rest:
            self._stale_pictures, self._rest = False, screen.rest
            self._draw_region(region)
        else:
            self.view.mark(self.draft.clicks)
        if region != self._shown:
            self._shown, self._shown_at = region, self._clock()
        if (screen.rows, screen.chart_hint) != self._charted:
            self._charted = screen.rows, screen.chart_hint
            self.charts.show(*self._charted)

    def _draw_region(self, region: Region | None) -> None:
        if region is None:
            self.view.clear(self._rest)
            return
        where = region.where
        self.view.set_overlays(
            self.page.overlays, self.page.opacity.value, in_region=self.page.on_region.value
        )
        self.view.show(
            self.dataset.image(where),
            region,
            clicks=self.draft.clicks,
            overlays=self._overlays(where),
            regions=self._borders(where) if self.page.grid.value else (),
        )

    def _borders(self, where: SliceId) -> tuple[Region, ...]:
        return self.pool.borders(where, self.session.state)

    def _overlays(self, where: SliceId) -> dict[str, Any]:
        maps, fit = self.maps.get(where), self.session.state.fit
        if maps is None or fit is None:
            return {}
        return {"entropy": maps.entropy, "prediction": maps.mean >= fit.threshold}

    def _screen(self) -> Screen:
        return present(
            self.session.state,
            self.draft,
            self.activity,
            self.dataset,
            saved_at=self._saved_at,
            owned=self.session.journal.owned,
            left=self._has_left(),
        )

    def _has_left(self) -> bool:
        """Tell whether the pool holds a region to ask; looked up where none of a cycle is open."""
        state = self.session.state
        if state.pending:
            return True
        if state.answers != self._left[0]:
            scores = self.pool.open(np.zeros(self.pool.shape), state)
            found = self.pool.picks(scores, LOOKED_AT, one_a_slice=True)
            self._left = state.answers, bool(found)
        return self._left[1]

    def _draw_screen(self) -> None:
        screen = self._screen()
        for tile in screen.tiles:
            if tile.region.key not in self._thumbnails:
                image = self.dataset.image(tile.region.where)
                self._thumbnails[tile.region.key] = thumbnail_png(image, tile.region.window)
        message = self.message if self.session.journal.owned else TAKEN_OVER
        self.page.show(screen, message, self._thumbnails)

    # --- clicks that are no answer yet ---

    @property
    def _draft_path(self) -> Path:
        return self.session.journal.path.with_name("draft.json")

    def _keep_draft(self) -> None:
        """Keep the clicks of the region on screen, so that a reload does not lose them."""
        region, clicks = self.draft.region, self.draft.clicks
        if region is None or not clicks:
            self._draft_path.unlink(missing_ok=True)
            return
        kept = {"region": region.key, "clicks": [[c.row, c.col, c.label] for c in clicks]}
        self._draft_path.write_text(json.dumps(kept))

    def _restore_draft(self) -> None:
        """Set the clicks again that a page had when it went; a broken file is no draft."""
        state = self.session.state
        open_ = state.ever_asked - {answer.region.key for answer in state.given}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            kept = json.loads(self._draft_path.read_text())
            region = Region.parse(kept["region"])
            clicks = tuple(Click(*click) for click in kept["clicks"])
            if region.key in open_ and all(region.contains(c.row, c.col) for c in clicks):
                self.draft = Draft(region, clicks)
