"""The page's widgets, built once, and its HTML; `Page.show` puts a `Screen` on them.

Everything that comes from data is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets as widgets

from alnb.arrays import Window
from alnb.forecast import Forecast
from alnb.ui.label.screen import Explanation, Reason, Screen, Tile
from alnb.ui.label.shortcuts import ACTIONS, GROUPS, key_of, shown
from alnb.ui.viewer.charts import AXES, Charts
from alnb.ui.viewer.drawing import OVERLAYS, uri
from alnb.ui.viewer.slice_view import SliceView

CSS = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
OPACITY = 0.4  # ours: CT still reads through the heat map
AXIS_WORDS = dict(zip(AXES, ("nominal s", "measured s", "regions"), strict=True))
TEACHING = "Teaching: the true mask is drawn in yellow, and every answer records that you saw it."
MARKS = {"infected": "●", "clean": "–", "skipped": "?", "open": ""}
SPOKEN = {"infected": "infected", "clean": "no infection", "skipped": "skipped", "open": "open"}
WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*(?=[ ,;]|$)")  # no name before a colon, and no path
NATS = ("entropy", "bald")
ROWS = 3  # of the explanation's table; further heuristics share one line
TOGGLES = {  # action show:NAME -> text, whether it is on at first, tooltip
    "entropy": ("entropy", True, "Where the network is uncertain"),
    "prediction": ("prediction", False, "Predicted infection"),
    "on_region": ("in the region too", False, "Draw the maps over the large picture, too"),
    "marks": ("clicks", True, "Your marks"),
    "answered": ("answered", True, "Regions with an answer"),
    "grid": ("grid", True, "The slice's regions"),
    "mask": ("teach: show mask", False, "The true mask; answers record it"),
}
LEVELS, WIDTHS = (-1000, 1000), (50, 3000)  # ours: what the sliders reach, in HU
WINDOWED = (
    "These slices were stored as grey values, already windowed. Values beyond that window are not "
    "in the file, so there is no window to choose."
)


def _head(screen: Screen) -> str:
    """Draw the line at the top, and the bar of the labelling cost under it."""
    saved = f" · {screen.saved}" if screen.saved else ""
    percent = 100 * screen.budget
    return (
        f"<div class='alnb-head'><span><h1>alnb</h1>{escape(screen.title)}</span>"
        f"<span class='cost'>{screen.cost}<span class='quiet'>{escape(saved)}</span></span>"
        f"<span class='quiet' title='{escape(screen.network_title)}'>"
        f"{escape(screen.network)}</span></div>"
        f"<div class='alnb-budget' role='meter' aria-label='labelling cost' aria-valuemin='0' "
        f"aria-valuemax='100' aria-valuenow='{percent:.0f}' "
        f"aria-valuetext='{escape(screen.budget_text)}' title='{escape(screen.budget_text)}'>"
        f"<div style='width:{percent:.2f}%'></div></div>"
    )


def message_html(sentence: str) -> str:
    """Draw a sentence for the person; nothing for an empty one."""
    return f"<div class='alnb-message' role='alert'>{capital(sentence)}</div>" if sentence else ""


def capital(sentence: str) -> str:
    """Escape a sentence and begin it with a capital, unless it begins with a name."""
    first = sentence[:1].upper() if WORD.match(sentence) else sentence[:1]
    return escape(first + sentence[1:])


def _small(html: str) -> str:
    return f"<div class='alnb-small'>{html}</div>" if html else ""


def _advice(found: Forecast | None) -> str:
    """Draw the forecast for one more minute: a short line, and all of it as a tooltip."""
    if found is None:
        return ""
    title, line = escape(found.sentence), capital(found.short)
    return f"<div class='alnb-advice' title='{title}' aria-label='{title}'>{line}</div>"


def _bar(screen: Screen) -> str:
    """Draw the progress of the training process; while it rests, the labelling cost."""
    if not screen.progress_text:
        return (
            "<div class='alnb-slot alnb-small'>Labelling cost:<br>"
            f"{escape(screen.budget_text)}</div>"
        )
    percent = round(100 * screen.progress)
    return (
        "<div class='alnb-slot'><div class='alnb-bar' role='progressbar' "
        f"aria-label='training' aria-valuenow='{percent}' aria-valuemin='0' aria-valuemax='100'>"
        f"<div style='width:{percent}%'></div></div>"
        f"{_small(f'{percent} % · {escape(screen.progress_text)}')}</div>"
    )


def _strip(screen: Screen, thumbnails: Mapping[str, bytes]) -> str:
    """Draw the strip: tiles to press, and an arrow where there are more."""

    def tile(one: Tile) -> str:
        name = escape(f"{one.region.where.scan}, slice {one.region.where.z}: {SPOKEN[one.mark]}")
        classes = f"{one.mark} current" if one.current else one.mark
        caption = f"<i>{MARKS[one.mark]}</i>" if MARKS[one.mark] else ""
        now = " aria-current='true'" if one.current else ""
        act = escape(f"open:{one.region.key}")
        return (
            f"<button type='button' class='{classes}' title='{name}' data-act='{act}'{now}>"
            f"<img alt='{name}' src='{uri(thumbnails[one.region.key])}'>{caption}</button>"
        )

    before = _arrow("strip:-1", f"{screen.earlier} before", "◀", screen.earlier)
    after = _arrow("strip:1", f"{screen.later} more", "▶", screen.later)
    tiles = "".join(map(tile, screen.tiles))
    return f"<div class='alnb-strip' role='group' aria-label='answers'>{before}{tiles}{after}</div>"


def _arrow(act: str, words: str, sign: str, count: int) -> str:
    if not count:
        return ""
    return (
        f"<button type='button' class='page' data-act='{act}' title='{words}'>"
        f"<b>{sign}</b><span>{words}</span></button>"
    )


def _explanation_card(found: Explanation | None) -> str:
    if found is None:
        return ""
    mean = "" if found.mean is None else f" Mean probability <b>{found.mean:.2f}</b>."
    rows = "".join(map(_reason, found.reasons[:ROWS]))
    others = "; ".join(f"{one.heuristic}: {_asks(one)}" for one in found.reasons[ROWS:])
    chance = f"{100 * found.chance:.2g} % by chance"
    random = f"<tr><th>random</th><td>–</td><td>–</td><td>{chance}</td></tr>"
    head = "<tr><td></td><td>score</td><td>rank</td><td>would ask it</td></tr>"
    table = f"<table>{head}{rows}{random}</table>" if rows else ""
    return (
        "<div class='alnb-why' role='region' aria-label='Why this region'><b>Why this region?</b> "
        f"{escape(found.sentence)}{mean}{table}{escape(others)}</div>"
    )


def _reason(one: Reason) -> str:
    unit = " nats" if one.heuristic in NATS else ""
    return (
        f"<tr><th>{escape(one.heuristic)}</th><td>{one.score:.3f}{unit}</td>"
        f"<td>{one.rank:,} of {one.of:,}</td><td>{_asks(one)}</td></tr>"
    )


def _asks(one: Reason) -> str:
    return f"✓ as number {one.place}" if one.place else "no"


def _help_panel() -> str:
    groups = "".join(map(_group, GROUPS))
    mouse = (
        "<section><h2>Mouse</h2><dl><dt>click</dt><dd>Mark infection; click a mark to remove it"
        "</dd><dt>Shift click</dt><dd>Mark background</dd><dt>wheel</dt><dd>On the large picture: "
        "zoom, as with two fingers; on the slice, or with Shift: neighbouring slices</dd>"
        "<dt>drag</dt><dd>Move the large picture, or draw an outline in sessions with outlines; on "
        "the slice: neighbouring slices</dd></dl></section>"
    )
    export = f"<button type='button' data-act='export'>Export [{key_of('export')}]</button> "
    close = f"<button type='button' data-act='help'>Close [{key_of('back')}]</button>"
    return (
        "<div class='alnb-help' role='dialog' aria-label='Keys'><header><b>Keys</b>"
        f"<span>{export}{close}</span></header><div>{groups}{mouse}</div></div>"
    )


def _group(name: str) -> str:
    rows = "".join(
        "<dt>" + " ".join(f"<kbd>{escape(shown(key))}</kbd>" for key in action.keys) + "</dt>"
        f"<dd>{escape(action.words)}</dd>"
        for action in ACTIONS
        if action.group == name and action.words
    )
    return f"<section><h2>{name}</h2><dl>{rows}</dl></section>"


def _button(text: str, width: str, act: str, tooltip: str, *classes: str) -> widgets.Button:
    """Make a button for an action; its class tells the page half of `Tap` which action."""
    key = key_of(act)
    made = widgets.Button(
        description=text, tooltip=f"{tooltip} [{key}]",
        layout=widgets.Layout(width=width, margin="0 6px 0 0"),
    )  # fmt: skip
    for name in (f"alnb-act-{act.replace(':', '-')}", f"alnb-key-{key.lower()}", *classes):
        made.add_class(name)
    return made


def _toggle(act: str, text: str, on: bool, tooltip: str) -> widgets.Checkbox:
    return widgets.Checkbox(
        value=on, description=text, tooltip=f"{tooltip} [{key_of(act)}]", indent=False,
        layout=widgets.Layout(width="auto", margin="0 12px 0 0"),
    )  # fmt: skip


def _slider(name: str, reach: tuple[int, int]) -> widgets.IntSlider:
    return widgets.IntSlider(
        min=reach[0], max=reach[1], step=10, description=name,
        layout=widgets.Layout(width="348px", height="22px", margin="0"),
        style={"description_width": "40px"},
    )  # fmt: skip


class LevelWidth(NamedTuple):
    """A window as radiologists name it, in HU: mid grey, and black to white (> 0)."""

    level: int
    width: int

    @classmethod
    def of(cls, window: Window) -> LevelWidth:
        """Name a window by level and width."""
        return cls(round((window.low + window.high) / 2), round(window.high - window.low))

    @property
    def window(self) -> Window:
        """The HU of black and of white."""
        return Window(self.level - self.width / 2, self.level + self.width / 2)

    @property
    def name(self) -> str:
        """The preset with these values; empty if none."""
        return next((name for name, preset in PRESETS.items() if preset == self), "")


PRESETS = {
    "lung": LevelWidth(-600, 1500),
    "mediastinum": LevelWidth(40, 400),
    "full": LevelWidth(0, 2048),  # ours: air to dense bone, −1024 to 1024
}


class WindowControls:
    """Choose a window of HU by presets and two sliders, or say why there is none to choose."""

    def __init__(self) -> None:
        self.chosen: LevelWidth | None = None  # None: as the network sees it
        self._handler: Callable[[], None] = lambda: None
        self._setting = False
        tooltips = {name: f"Level {at.level}, width {at.width} HU" for name, at in PRESETS.items()}
        self.presets: dict[str, widgets.Button] = {}
        for name, tooltip in (*tooltips.items(), ("network", "As the network sees it")):
            self.presets[name] = preset = _button(name, "auto", f"window:{name}", tooltip)
            preset.layout.flex, preset.layout.margin = "1 1 auto", "0 4px 0 0"
        self.level, self.width = _slider("level", LEVELS), _slider("width", WIDTHS)
        self._reason = widgets.HTML()
        for slider in (self.level, self.width):
            slider.observe(lambda _: self._slid(), names="value")
        row = widgets.HBox(list(self.presets.values()))
        self._controls = widgets.VBox([row, self.level, self.width])
        self.widget = widgets.Box([self._controls, self._reason])
        self.widget.add_class("alnb-window-controls")

    def on_change(self, handler: Callable[[], None]) -> None:
        """Call `handler` when another window is chosen."""
        self._handler = handler

    def choose(self, name: str) -> None:
        """Choose a preset, or "network"."""
        self.chosen = PRESETS.get(name)
        self._handler()

    def show(self, network: LevelWidth, *, hu: bool) -> None:
        """Bring the controls up to date; `network` is the window that the network sees through."""
        self._setting = True
        try:
            self.level.value, self.width.value = self.chosen or network
        finally:
            self._setting = False
        chosen = "network" if self.chosen is None else self.chosen.name
        for name, button in self.presets.items():
            _set(button, "button_style", "info" if name == chosen else "")
        self._controls.layout.display = None if hu else "none"
        _set(self._reason, "value", _small("" if hu else WINDOWED))

    def _slid(self) -> None:
        if not self._setting:
            self.chosen = LevelWidth(self.level.value, self.width.value)
            self._handler()


def columns(left: list[widgets.Widget], right: list[widgets.Widget]) -> widgets.Widget:
    """Put widgets in two columns; in a narrow window the right one goes below the left."""
    beside = widgets.Box(right)
    beside.add_class("alnb-right")
    body = widgets.Box([widgets.VBox(left), beside])
    body.add_class("alnb-body")
    return body


class Page:
    """All widgets of the label app, in their places; buttons are named as their actions.

    Parameters
    ----------
    view : SliceView
        The slice and the region.
    charts : Charts
        The learning curve.
    has_masks : bool
        Whether the dataset has masks to teach with.

    Attributes
    ----------
    widget : ipywidgets.Widget
        The page, 1248 pixels wide; in a narrower window the right column goes below the left.
    """

    def __init__(self, view: SliceView, charts: Charts, *, has_masks: bool = False) -> None:
        (
            self._head, self._message, self._question, self._strip, self._train_hint, self._bar,
            self._note, self._advice, self._explanation, self._teaching, self._help,
        ) = (widgets.HTML() for _ in range(11))  # fmt: skip
        for widget, name in ((self._teaching, "teaching"), (self._help, "help")):
            widget.add_class(f"alnb-{name}-box")  # else Lumino cuts off what is laid over others
        self._make_buttons()
        self.toggles = {name: _toggle(f"show:{name}", *look) for name, look in TOGGLES.items()}
        self.toggles["mask"].layout.display = None if has_masks else "none"
        self.opacity = widgets.FloatSlider(
            value=OPACITY, min=0.1, max=1, step=0.1, description="opacity", readout=False,
            tooltip=f"Opacity of maps, answered regions and grid [{key_of('opacity')}]",
            layout=widgets.Layout(width="180px", height="26px", margin="0 16px 0 0"),
            style={"description_width": "52px"},
        )  # fmt: skip
        self.axis = widgets.ToggleButtons(
            options=[(words, axis) for axis, words in AXIS_WORDS.items()], value=charts.axis,
            tooltips=[f"{words} [{key_of('axis')}]" for words in AXES.values()],
            style={"button_width": "112px"}, layout=widgets.Layout(margin="0 0 6px 8px"),
        )  # fmt: skip
        self.annotator = widgets.Text(
            placeholder="your name", tooltip="Your name: it is kept with every answer",
            continuous_update=False, layout=widgets.Layout(width="106px", margin="0"),
        )  # fmt: skip
        self.annotator.add_class("alnb-annotator")
        self.window_controls = WindowControls()
        self._tiles: tuple[Tile, ...] = ()
        self.widget = self._arranged(view, charts)

    def _make_buttons(self) -> None:
        self.clean = _button("No infection", "164px", "clean", "The region in the frame is clean")
        self.next = _button("Next", "78px", "next", "Keep the marks and go on", "alnb-main")
        self.skip = _button("Skip", "78px", "skip", "Leave this region without an answer")
        self.undo = _button("Undo", "78px", "undo", "Take back the last mark or answer")
        self.redo = _button("Redo", "78px", "redo", "Restore it")
        self.background = _button(
            "Mark background", "158px", "background", "What the next clicks mark", "alnb-quiet"
        )
        self.sweep = _button(
            "Sweep slice", "128px", "sweep", "Answer the whole slice at once", "alnb-quiet"
        )
        self.help = _button("?", "36px", "help", "All keys", "alnb-quiet")
        self.look_on = widgets.Button(
            description="View",
            tooltip="Follow the labelling in the other window; this one only reads it",
            layout=widgets.Layout(width="110px", display="none"),
        )
        self.look_on.add_class("alnb-look-on")
        self.train = _button("Train", "150px", "train", "Learn from the answers", "alnb-main")
        self.cancel = _button("Cancel", "90px", "cancel", "Stop training; the last network is kept")
        whenever = "Train automatically when all regions have an answer"
        self.auto = _toggle("auto", "automatic", False, whenever)

    def _arranged(self, view: SliceView, charts: Charts) -> widgets.Widget:
        row = widgets.Layout(align_items="center", overflow="hidden", flex_flow="row wrap")
        answers = [self.clean, self.next, self.skip, self.undo, self.redo]
        more = [self.background, self.sweep, self.look_on, self.help]
        buttons = widgets.HBox([*answers, *more], layout=row)
        pictures = widgets.Box([view.widget, self.window_controls.widget, self._teaching])
        pictures.add_class("alnb-pictures")
        under = widgets.VBox([self._strip, self._message])
        under.add_class("alnb-under")
        left = widgets.VBox([pictures, self._question, buttons, under])
        *layers, mask = self.toggles.values()
        maps = widgets.HBox(layers[:3], layout=row)
        rest = widgets.HBox([*layers[3:], self.annotator], layout=row)
        how = widgets.HBox([self.opacity, mask], layout=row)
        train = widgets.HBox([self.train, self.cancel, self.auto], layout=row)
        overlays = widgets.VBox([maps, rest, how])
        overlays.add_class("alnb-overlays")
        controls = widgets.VBox(
            [self._note, train, self._bar, self._train_hint, overlays, self._explanation]
        )
        style = widgets.HTML(f"<style>{CSS}</style>", layout=widgets.Layout(display="none"))
        body = columns([left], [widgets.VBox([charts.widget, self.axis, self._advice]), controls])
        whole = widgets.VBox([style, self._head, body, self._help])
        whole.add_class("alnb-app")
        return whole

    @property
    def overlays(self) -> frozenset[str]:
        """Names of the maps and masks that are switched on."""
        return frozenset(name for name in OVERLAYS if self.toggles[name].value)

    @property
    def hidden(self) -> frozenset[str]:
        """Names of the view's layers that are switched off."""
        layers = {"grid": "grid", "clicks": "marks", "answered": "answered"}
        return frozenset(name for name, act in layers.items() if not self.toggles[act].value)

    def on_overlays(self, handler: Callable[[], None]) -> None:
        """Call `handler` when a toggle or the opacity changes."""
        for widget in (*self.toggles.values(), self.opacity):
            widget.observe(lambda _: handler(), names="value")

    def toggle_help(self) -> None:
        """Show the keys, or hide them."""
        self._help.value = "" if self._help.value else _help_panel()

    @property
    def help_is_shown(self) -> bool:
        """Whether the keys are on the page."""
        return bool(self._help.value)

    def show(self, screen: Screen, message: str, thumbnails: Mapping[str, bytes]) -> None:
        """Show a screen.

        Parameters
        ----------
        screen : Screen
            What to show.
        message : str
            A sentence for the person; empty for none.
        thumbnails : mapping of str to bytes
            A PNG for the region of each tile, by its key.
        """
        taught = f"<div class='alnb-teaching' role='status'>{TEACHING}</div>"
        hints = [screen.train_hint] + ([screen.device] if screen.device else [])
        for widget, html in (
            (self._head, _head(screen)),
            (self._train_hint, _small("<br>".join(map(escape, hints)))),
            (self._bar, _bar(screen)),
            (self._explanation, _explanation_card(screen.explanation)),
            (self._note, _small(escape(screen.chart_note))),
            (self._advice, _advice(screen.advice)),
            (self._teaching, taught if self.toggles["mask"].value else ""),
        ):
            _set(widget, "value", html)
        if screen.tiles != self._tiles:
            self._tiles = screen.tiles
            self._strip.value = _strip(screen, thumbnails)
        # once another window writes the session, View follows that window, in place of Sweep
        self.look_on.layout.display = "none" if screen.owned else ""
        self.sweep.layout.display = "" if screen.owned else "none"
        self.show_marked(screen, message)

    def show_marked(self, screen: Screen, message: str) -> None:
        """Show the parts of a screen that a mark changes: question, buttons, message."""
        question = f"<div class='alnb-question' role='status'>{screen.question}</div>"
        _set(self._question, "value", question)
        self.say(message)
        for name in ("clean", "next", "skip", "undo", "redo", "sweep", "train", "cancel"):
            _set(getattr(self, name), "disabled", not getattr(screen, f"can_{name}"))
        _set(self.background, "disabled", not screen.can_mark)
        other = "infection" if screen.marking == "background" else "background"
        clean = "The rest is clean" if screen.sweeping else "No infection"
        _set(self.clean, "description", clean)
        _set(self.sweep, "description", "Leave sweep" if screen.sweeping else "Sweep slice")
        _set(self.background, "description", f"Mark {other}")

    def become(self, app: widgets.Widget) -> None:
        """Put another app in this one's place."""
        self.widget.remove_class("alnb-app")  # the app brings its own
        self.widget.children = [app]

    def say(self, message: str) -> None:
        """Show a sentence for the person; empty for none."""
        _set(self._message, "value", message_html(message))

    @staticmethod
    def failure(sentence: str) -> widgets.Widget:
        """Return a page that says why there is none."""
        style = f"<style>{CSS}</style>"
        return widgets.HTML(
            f"{style}<div class='alnb-failure' role='alert'><b>alnb can't open this.</b><br>"
            f"{capital(sentence)}</div>"
        )


def _set(widget: widgets.Widget, trait: str, value: Any) -> None:  # noqa: ANN401 - of the trait
    """Change a trait only where it differs, so that nothing is sent in vain."""
    if getattr(widget, trait) != value:
        setattr(widget, trait, value)
