"""The page's widgets, built once, and its HTML; `Page.show` puts a `Screen` on them.

Everything that comes from data is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape

import ipywidgets as widgets

from alnb.arrays import Window
from alnb.forecast import Forecast
from alnb.ui.label.buttons import button, toggle
from alnb.ui.label.screen import Explanation, Reason, Screen, Tile
from alnb.ui.label.shortcuts import ACTIONS, GROUPS, key_of, shown
from alnb.ui.label.watched import WatchedSlice
from alnb.ui.label.window import LevelWidth, WindowControls
from alnb.ui.parts import (
    CSS,
    MARKS,
    SPOKEN,
    box,
    message_html,
    room,
    set_trait,
    small,
    whole_window,
)
from alnb.ui.viewer.charts import AXES, Charts
from alnb.ui.viewer.drawing import OVERLAYS, uri
from alnb.ui.viewer.slice_view import SliceView

OPACITY = 0.4  # ours: CT still reads through the heat map
AXIS_WORDS = dict(zip(AXES, ("nominal s", "measured s", "regions"), strict=True))
TEACHING = "Teaching: the true mask is drawn in yellow, and every answer records that you saw it."
TAGS = re.compile(r"<[^>]*>")
TERMS = {  # heuristic -> plain words, and the field's
    "entropy": ("uncertainty", "Entropy of the chance of infection, in nats"),
    "bald": ("disagreement", "BALD: mutual information of answer and network, in nats"),
    "margin": ("a close call", "1 less the margin between infected and not infected"),
    "least_confidence": ("doubt", "1 less the chance of the likelier answer"),
}
MEAN = "Infected: the mean probability of infection over the region's pixels."
FOLD = "<details class='alnb-fold'><summary>Why this region?</summary></details>"
TOGGLES = {  # action show:NAME -> text, whether it is on at first, tooltip
    "entropy": ("uncertainty", True, "Where the network is uncertain: entropy, in nats"),
    "prediction": ("prediction", False, "Predicted infection"),
    "outline": ("outline after a mark", True, "What is predicted with your marks"),
    "on_region": ("in the region too", False, "Draw the maps over the large picture, too"),
    "marks": ("marks", True, "Your clicks and outlines"),
    "answered": ("answered", True, "Regions with an answer"),
    "grid": ("grid", True, "The slice's regions"),
    "pixels": ("pixels", False, "The slice's pixels as squares, not smooth"),
    "mask": ("teach: show mask", False, "The true mask; answers record it"),
}


def _head(screen: Screen, start: str = "") -> str:
    """Draw the line at the top, and the bar of the labelling cost under it.

    `start` is the address of the start page, if a page has one.

    What is too long for it is cut, and whole in its tooltip, so that the pictures stay in place.
    """
    saved = f" · {screen.saved}" if screen.saved else ""
    percent = 100 * screen.budget
    cost = TAGS.sub("", screen.cost) + escape(saved)
    link = f"<a href='{escape(start)}' title='To the start page; all is saved'>‹ alnb</a>"
    name = link if start else "alnb"
    return (
        f"<div class='alnb-head'><span class='title' title='{escape(screen.title)}'><h1>{name}</h1>"
        f"{escape(screen.title)}</span><span class='cost' title='{cost}'>{screen.cost}"
        f"<span class='quiet'>{escape(saved)}</span></span>"
        f"<span class='quiet network' title='{escape(screen.network_title)}'>"
        f"{escape(screen.network)}</span></div>"
        f"<div class='alnb-budget' role='meter' aria-label='labelling cost' aria-valuemin='0' "
        f"aria-valuemax='100' aria-valuenow='{percent:.0f}' "
        f"aria-valuetext='{escape(screen.budget_text)}' title='{escape(screen.budget_text)}'>"
        f"<div style='width:{percent:.2f}%'></div></div>"
    )


def _advice(found: Forecast | None) -> str:
    """Draw the forecast for one more minute: a short line, and all of it as a tooltip."""
    if found is None:
        return ""
    title, line = escape(found.sentence), escape(found.plain)
    return f"<div class='alnb-advice' title='{title}' aria-label='{title}'>{line}</div>"


def _bar(screen: Screen) -> str:
    """Draw the progress of the training process; while it rests, the labelling cost."""
    if not screen.progress_text:
        return (
            "<div class='alnb-slot alnb-small'>Labelling cost:<br>"
            f"{escape(screen.budget_text)}</div>"
        )
    percent, text = round(100 * screen.progress), escape(screen.progress_text)
    known, inner = f"aria-valuenow='{percent}'", f"<div style='width:{percent}%'></div>"
    if percent == 0:  # nobody knows yet how far it is
        known, inner = "", "<div class='alnb-unknown'></div>"
    return (
        "<div class='alnb-slot'><div class='alnb-bar' role='progressbar' aria-label='training' "
        f"{known} aria-valuemin='0' aria-valuemax='100'>{inner}</div>"
        f"{small(f'{percent} % · {text}' if percent else text)}</div>"
    )


def _strip(screen: Screen, thumbnails: Mapping[str, bytes]) -> str:
    """Draw the strip: tiles to press, and an arrow where there are more."""

    def tile(one: Tile) -> str:
        name = escape(f"{one.where}: {SPOKEN[one.mark]}")
        classes = f"{one.mark} current" if one.current else one.mark
        caption = f"<i>{MARKS[one.mark]}</i>" if MARKS[one.mark] else ""
        now = " aria-current='true'" if one.current else ""
        act = escape(f"open:{one.region.key}")
        return (
            f"<button type='button' class='{classes}' title='{name}' data-act='{act}'{now}>"
            f"<img alt='{name}' src='{uri(thumbnails[one.region.key])}'>{caption}</button>"
        )

    before = _arrow("strip:-1", "before", "◀", screen.earlier)
    after = _arrow("strip:1", "more", "▶", screen.later)
    tiles = "".join(map(tile, screen.tiles))
    pages = f"<span class='pages'>{before}{after}</span>"  # where they move no tile
    return f"<div class='alnb-strip' role='group' aria-label='answers'>{tiles}{pages}</div>"


def _arrow(act: str, where: str, sign: str, count: int) -> str:
    if not count:
        return "<span class='page'></span>"
    words = f"{count} {where}"
    return (
        f"<button type='button' class='page' data-act='{act}' title='{words}' "
        f"aria-label='{words}'><b>{sign}</b>{count}</button>"
    )


def _explanation_card(found: Explanation | None) -> str:
    """Say in one sentence why a region is asked about, and with which numbers, once unfolded."""
    if found is None:
        return ""
    mean = "" if found.mean is None else f"Mean probability {found.mean:.2f}."
    rows = "".join(map(_reason, found.reasons))
    random = (
        "<tr><th>random</th><td>–</td><td>–</td><td title='How likely it would ask this region'>"
        f"{100 * found.chance:.2g} %</td></tr>"
    )
    if not found.reasons:
        numbers = mean
    else:
        of = f"rank of {found.reasons[0].of:,}"
        head = f"<tr><td></td><td>score</td><td>{of}</td><td>asks it</td></tr>"
        numbers = f"{escape(found.sentence)} {mean}<table>{head}{rows}{random}</table>"
    tip = f"{found.plain} {found.sentence} {MEAN if mean else ''}".strip()
    return (
        f"<div class='alnb-because' title='{escape(tip)}'>{escape(found.plain)}</div>"
        f"<div class='alnb-numbers'>{numbers}</div>"
    )


def _reason(one: Reason) -> str:
    words, tip = TERMS.get(one.heuristic, (one.heuristic, "A heuristic of a package"))
    asks = "✓" if one.place else "no"
    term = f" <i>{one.heuristic.replace('_', ' ')}</i>" if one.heuristic in TERMS else ""
    return (
        f"<tr><th title='{escape(tip)}'>{escape(words)}{term}</th><td>{one.score:.3f}</td>"
        f"<td>{one.rank:,}</td><td>{asks}</td></tr>"
    )


def _help_panel() -> str:
    groups = "".join(map(_group, GROUPS))
    mouse = (
        "<section><h2>Mouse</h2><dl><dt>pointer</dt><dd>In a corner: its value, and the voxel of "
        "the file, i, j, k from 0</dd><dt>click</dt><dd>Mark infection; click a mark to remove it"
        "</dd><dt>Shift click</dt><dd>Mark background</dd><dt>wheel</dt><dd>On the large picture: "
        "zoom, as with two fingers; on the slice, or with Shift: neighbouring slices; in a "
        "notebook once the picture was pressed</dd>"
        "<dt>right drag</dt><dd>Sideways: width of the window; up and down: its level. Of grey "
        "slices contrast and brightness</dd>"
        "<dt>drag</dt><dd>Move the large picture, or draw an outline in sessions with outlines; on "
        "the slice: neighbouring slices</dd></dl></section>"
    )
    close = f"<button type='button' data-act='help'>Close [{key_of('back')}]</button>"
    return (
        "<div class='alnb-help' role='dialog' aria-label='Keys'><header><b>Keys</b>"
        f"{close}</header><div>{groups}{mouse}</div></div>"
    )


def _group(name: str) -> str:
    rows = "".join(
        "<dt>" + " ".join(f"<kbd>{escape(shown(key))}</kbd>" for key in action.keys[:2]) + "</dt>"
        f"<dd>{escape(action.words)}</dd>"
        for action in ACTIONS
        if action.group == name and action.words
    )
    return f"<section><h2>{name}</h2><dl>{rows}</dl></section>"


class Page:
    """All widgets of the label app, in their places; buttons are named as their actions.

    Parameters
    ----------
    view : SliceView
        The slice and the region.
    charts : Charts
        The learning curve.
    watched : WatchedSlice
        Beside the curve, or over it.
    window : Window
        Shows HU as the network sees them.
    has_masks : bool
        Whether the dataset has masks to teach with.

    Attributes
    ----------
    widget : ipywidgets.Widget
        The page, as large as its window.
    """

    def __init__(
        self,
        view: SliceView,
        charts: Charts,
        watched: WatchedSlice,
        window: Window,
        *,
        has_masks: bool = False,
    ) -> None:
        (
            self._head, self._message, self._question, self._strip, self._train_hint, self._bar,
            self._note, self._advice, self._explanation, self._teaching, self._help, self._hint,
        ) = (widgets.HTML() for _ in range(12))  # fmt: skip
        for widget, name in ((self._teaching, "teaching"), (self._help, "help")):
            widget.add_class(f"alnb-{name}-box")  # else Lumino cuts off what is laid over others
        self.watched = watched
        for widget, name in (
            (self._train_hint, "lines-2"), (self._bar, "lines-bar"), (self._note, "lines-note"),
            (self._advice, "lines-1"), (self._question, "asked"),
        ):  # fmt: skip
            widget.add_class(f"alnb-{name}")  # a fixed place, so that nothing moves
        self._make_buttons()
        self.toggles = {name: toggle(f"show:{name}", *look) for name, look in TOGGLES.items()}
        self.toggles["mask"].layout.display = None if has_masks else "none"
        self.opacity = widgets.FloatSlider(
            value=OPACITY, min=0.1, max=1, step=0.1, description="opacity", readout=False,
            tooltip=f"Opacity of maps, answered regions and grid [{key_of('opacity')}]",
            layout=widgets.Layout(width="100%", height="26px", margin="0"),
            style={"description_width": "56px"},
        )  # fmt: skip
        self.axis = widgets.ToggleButtons(
            options=[(words, axis) for axis, words in AXIS_WORDS.items()], value=charts.axis,
            tooltips=[f"{words} [{key_of('axis')}]" for words in AXES.values()],
            style={"button_width": "auto"}, layout=widgets.Layout(width="100%", margin="0"),
        )  # fmt: skip
        self.annotator = widgets.Text(
            placeholder="your name", tooltip="Your name: it is kept with every answer",
            continuous_update=False, layout=widgets.Layout(width="100%", margin="0"),
        )  # fmt: skip
        self.annotator.add_class("alnb-annotator")
        self.window_controls = WindowControls(LevelWidth.of(window))
        self._tiles: tuple[Tile, ...] = ()
        self._start = ""
        self.widget = self._arranged(view, charts)

    def _make_buttons(self) -> None:
        self.clean = button("No infection", "160px", "clean", "The region in the frame is clean")
        self.next = button("Next", "72px", "next", "Keep the marks and go on", "alnb-main")
        self.right = button(
            "Right", "80px", "right", "The network's outline is right; at first, show it"
        )
        self.skip = button("Skip", "70px", "skip", "Leave this region without an answer")
        self.undo = button("Undo", "76px", "undo", "Take back the last mark or answer")
        self.redo = button("Redo", "76px", "redo", "Restore it")
        self.background = button(
            "Mark background", "152px", "background", "What the next clicks mark", "alnb-quiet"
        )
        self.sweep = button(
            "Sweep slice", "120px", "sweep", "Answer the whole slice at once", "alnb-quiet"
        )
        self.settings = button(
            "Settings", "84px", "settings", "Overlays, window, your name", "alnb-quiet"
        )
        self.export = button(
            "Export", "72px", "export", "Clicks, curve, network and masks as files", "alnb-quiet"
        )
        self.help = button("?", "36px", "help", "All keys", "alnb-quiet")
        self.look_on = widgets.Button(
            description="View",
            tooltip="Follow the labelling in the other window; this one only reads it",
            layout=widgets.Layout(width="110px", display="none"),
        )
        self.look_on.add_class("alnb-look-on")
        self.train = button("Train", "128px", "train", "Learn from the answers", "alnb-main")
        self.cancel = button("Cancel", "88px", "cancel", "Stop; the network stays as it was")
        whenever = "Train automatically when all regions have an answer"
        self.auto = toggle("auto", "automatic", False, whenever)

    def _arranged(self, view: SliceView, charts: Charts) -> widgets.Widget:
        answers = [self.clean, self.next, self.right, self.skip, self.undo, self.redo]
        more = [self.background, self.sweep, self.look_on]
        buttons = box([*answers, *more], "alnb-row")
        self._said = box([self._teaching, self._message, self._hint], "alnb-said")
        self._place_said(view)
        view.tap.on_room(view.tap.target, lambda *_: self._place_said(view))
        view.tap.on_room("alnb-charts", charts.resize)
        view.tap.on_drawn("alnb-charts", charts.figure.catch_up)
        left = [room(view.widget, self._said), self._question, buttons, self._strip]
        train = box([self.train, self.cancel, self.auto], "alnb-row")
        why = box([widgets.HTML(FOLD), self._explanation], "alnb-why")
        self._settings = self._settings_panel()
        whole = widgets.VBox([
            widgets.HTML(f"<style>{CSS}</style>", layout=widgets.Layout(display="none")),
            whole_window(
                [self._head, self.export, self.settings, self.help],
                left,
                [room(charts.widget, self.watched.widget), self.axis, self._advice],
                [self._note, train, self._bar, self._train_hint, why],
                [self._settings],
            ),
            self._help,
        ])  # fmt: skip
        whole.add_class("alnb-app")
        return whole

    def _place_said(self, view: SliceView) -> None:
        """Put what the page says in the room under the slice, where it covers nothing."""
        left, top, width, height = (f"{side}px" for side in view.spare)
        place = self._said.layout
        place.left, place.top, place.width, place.max_height = left, top, width, height

    def _settings_panel(self) -> widgets.Widget:
        """Hold what one sets once: overlays, window, name; it lies over the chart."""

        def titled(title: str, *children: widgets.Widget) -> list[widgets.Widget]:
            return [widgets.HTML(f"<h2>{title}</h2>"), *children]

        toggles = box(list(self.toggles.values()), "alnb-row")
        panel = box([
            *titled("Overlays", toggles, self.opacity),
            self.window_controls.title,
            self.window_controls.widget,
            *titled("Your name", self.annotator),
        ], "alnb-settings")  # fmt: skip
        panel.layout.display = "none"
        return panel

    def lead_back(self, start: str) -> None:
        """Have the page's name lead to the start page, at this address."""
        self._start = start

    def toggle_settings(self) -> None:
        """Show the settings, or fold them away."""
        self._settings.layout.display = "none" if self.settings_are_shown else None

    @property
    def settings_are_shown(self) -> bool:
        """Whether the settings are on the page."""
        return bool(self._settings.layout.display != "none")

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
        hint = f"<span title='{escape(screen.device)}'>{escape(screen.train_hint)}</span>"
        for widget, html in (
            (self._head, _head(screen, self._start)),
            (self._train_hint, small(hint)),
            (self._bar, _bar(screen)),
            (self._explanation, _explanation_card(screen.explanation)),
            (self._note, small(escape(screen.chart_note))),
            (self._advice, _advice(screen.advice)),
            (self._hint, f"<div class='alnb-hint'>{screen.hint}</div>" if screen.hint else ""),
            (self._teaching, taught if self.toggles["mask"].value else ""),
        ):
            set_trait(widget, "value", html)
        if screen.tiles != self._tiles:
            self._tiles = screen.tiles
            self._strip.value = _strip(screen, thumbnails)
        # once another window writes the session, View follows that window, in place of Sweep
        self.look_on.layout.display = "none" if screen.owned else ""
        self.sweep.layout.display = "" if screen.owned else "none"
        self.show_marked(screen, message)

    def show_marked(self, screen: Screen, message: str) -> None:
        """Show the parts of a screen that a mark changes: question, buttons, message."""
        whole = TAGS.sub("", screen.question)  # where it is cut
        question = (
            f"<div class='alnb-question' role='status' title='{whole}'>{screen.question}</div>"
        )
        set_trait(self._question, "value", question)
        self.say(message)
        for name in ("clean", "next", "right", "skip", "undo", "redo", "sweep", "train", "cancel"):
            set_trait(getattr(self, name), "disabled", not getattr(screen, f"can_{name}"))
        set_trait(self.background, "disabled", not screen.can_mark)
        other = "infection" if screen.marking == "background" else "background"
        clean = "The rest is clean" if screen.sweeping else "No infection"
        set_trait(self.clean, "description", clean)
        set_trait(self.sweep, "description", "Leave sweep" if screen.sweeping else "Sweep slice")
        set_trait(self.background, "description", f"Mark {other}")

    def become(self, app: widgets.Widget) -> None:
        """Put another app in this one's place."""
        self.widget.remove_class("alnb-app")  # the app brings its own
        self.widget.children = [app]

    def say(self, message: str) -> None:
        """Show a sentence for the person; empty for none."""
        set_trait(self._message, "value", message_html(message))
