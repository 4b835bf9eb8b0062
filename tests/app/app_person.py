"""A person who uses the label app without a browser."""

import asyncio

from alnb.config import Config
from alnb.journal import Journal

CONFIG = Config(regions_per_slice=16, start_regions=6, regions_per_cycle=2)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Person:
    """Presses on the page as a person does: a second passes before each press."""

    def __init__(self, app, clock):
        self.app = app
        self.page = app.page
        self.worker = app.training.worker
        self._clock = clock

    @property
    def state(self):
        return self.app.session.state

    @property
    def clicks(self):
        return self.app.draft.clicks

    @property
    def marks(self):
        """Where the page shows a mark, as (row, col)."""
        trace = next(t for t in self.app.view.figure.data if t.name == "clicks infected")
        return [tuple(place) for place in zip(trace.y, trace.x, strict=True)]

    def push(self, *buttons, after_s=1.0):
        for button in buttons:
            self._clock.now += after_s
            if not button.disabled:
                button.click()

    def press(self, down=1.0, right=1.0, panel="x2y2", after_s=1.0, shift=False):
        """Press so many pixels below and right of the region's first pixel, a second later."""
        self._clock.now += after_s
        region = self.app.draft.region
        place = {"x": region.col + right, "y": region.row + down, "panel": panel, "shift": shift}
        tap = self.app.view.tap
        tap._receive(tap, {"kind": "click", "id": 1, "screen": self.app.view.screen, **place}, [])

    def at(self, row, col, **how):
        """Press a position of the slice."""
        region = self.app.draft.region
        self.press(row - region.row, col - region.col, **how)

    def noted(self, name):
        """Return what a note of the figure says; empty if it is hidden."""
        view = self.app.view
        note = view.figure.layout.annotations[view._notes.index(name)]
        return note.text.replace("<br>", " ") if note.visible else ""

    def act(self, name):
        self._send(kind="act", name=name)

    def key(self, *names, after_s=1.0, screen=None):
        for name in names:
            self._clock.now += after_s
            self._send(kind="key", key=name, **({} if screen is None else {"screen": screen}))

    def wheel(self, turn, panel="x2y2"):
        region = self.app.draft.region
        self._send(kind="wheel", x=region.col + 1, y=region.row + 1, turn=turn, panel=panel)

    def drag_window(self, right, down, hold=1):
        """Drag with the right button, so many screen pixels from where it was pressed."""
        self._send(kind="window", dx=right, dy=down, hold=hold)

    def draw(self, points):
        self._clock.now += 1.0
        self._send(kind="stroke", points=[[col, row] for row, col in points])

    def _send(self, **message):
        tap = self.app.view.tap
        tap._receive(tap, {"id": 1, "screen": self.app.view.screen, **message}, [])

    def reads_why(self, text):
        return text in self.page._explanation.value

    def reads(self, text):
        html = (self.page._head, self.page._message, self.page._question, self.page._bar)
        return any(text in widget.value for widget in html)

    async def settle(self):
        """Let the training process do all it was told."""
        for _ in range(30):
            await asyncio.sleep(0)

    async def until(self, condition):
        """Wait until something holds, for ten seconds at most."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)

    async def train(self):
        self.push(self.page.train)
        await self.settle()


def widgets_in(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from widgets_in(child)


def journal_of(folder, kind="answered"):
    events = Journal(folder / "journal.jsonl").events
    return [event.data for event in events if event.kind == kind]
