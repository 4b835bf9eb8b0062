"""The page's widgets, built once; `show` puts a `Screen` on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import ipywidgets as widgets

from alnb.ui.label import page_html
from alnb.ui.label.screen import Screen, Tile
from alnb.ui.label.shortcuts import key_of
from alnb.ui.viewer.charts import AXES, Charts
from alnb.ui.viewer.slice_view import RegionView
from alnb.ui.viewer.window_controls import Looks

CSS = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
OPACITY = 0.4  # ours: CT still reads through the heat map
AXIS_WORDS = dict(zip(AXES, ("nominal s", "measured s", "regions"), strict=True))
TEACHING = "Teaching: the true mask is drawn in yellow, and answers are noted as given with it."


def button(text: str, width: str, act: str, tooltip: str, *classes: str) -> widgets.Button:
    """Make a button for an action; the page half of `Tap` says which screen it was meant for."""
    made = widgets.Button(
        description=text, tooltip=f"{tooltip} [{key_of(act)}]",
        layout=widgets.Layout(width=width, margin="0 6px 0 0"),
    )  # fmt: skip
    for name in (f"alnb-act-{act}", f"alnb-key-{key_of(act).lower()}", *classes):
        made.add_class(name)
    return made


def _toggle(text: str, on: bool, name: str, tooltip: str) -> widgets.Checkbox:
    key = key_of(f"show:{name}")
    return widgets.Checkbox(
        value=on, description=text, tooltip=f"{tooltip} [{key}]", indent=False,
        layout=widgets.Layout(width="auto", margin="0 12px 0 0"),
    )  # fmt: skip


def columns(left: list[widgets.Widget], right: list[widgets.Widget]) -> widgets.Widget:
    """Put widgets in two columns; in a narrow window the right one goes below the left."""
    beside = widgets.Box(right)
    beside.add_class("alnb-right")
    body = widgets.Box([widgets.VBox(left), beside])
    body.add_class("alnb-body")
    return body


class Page:
    """All widgets of the label app, in their places.

    Parameters
    ----------
    view : RegionView
        The slice and the region.
    charts : Charts
        The learning curve.
    has_masks : bool
        Whether there is a mask to teach with.

    Attributes
    ----------
    widget : ipywidgets.Widget
        The whole, 1248 pixels wide; in a narrower window the right column goes below the left.
    clean, next, skip, undo, redo, background, sweep, help, train, cancel : ipywidgets.Button
        As they are named on the page.
    auto : ipywidgets.Checkbox
        Whether trainings begin by themselves.
    entropy, prediction, marks, answered, grid, on_region, mask : ipywidgets.Checkbox
        What is laid over the pictures.
    annotator : ipywidgets.Text
        Who answers; changes when the field is left, or by Enter.
    looks : Looks
        The window.
    """

    def __init__(self, view: RegionView, charts: Charts, *, has_masks: bool = False) -> None:
        self._head = widgets.HTML()
        self._message = widgets.HTML()
        self._question = widgets.HTML()
        self._strip = widgets.HTML()
        self._train_hint = widgets.HTML()
        self._bar = widgets.HTML()
        self._note = widgets.HTML()
        self._advice = widgets.HTML()
        self._explanation = widgets.HTML()
        self._teaching = widgets.HTML()
        self._help = widgets.HTML()
        for widget, name in ((self._teaching, "teaching"), (self._help, "help")):
            widget.add_class(f"alnb-{name}-box")  # else Lumino cuts off what is laid over others
        self._make_buttons()
        self._make_overlays(has_masks)
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
        self.looks = Looks()
        self._tiles: tuple[Tile, ...] = ()
        self.widget = self._arranged(view, charts)

    def _make_buttons(self) -> None:
        self.clean = button("No infection", "164px", "clean", "The region in the frame is clean")
        self.next = button("Next", "78px", "next", "Keep the marks and go on", "alnb-main")
        self.skip = button("Skip", "78px", "skip", "Leave this region unanswered")
        self.undo = button("Undo", "78px", "undo", "Take the last mark or answer back")
        self.redo = button("Redo", "78px", "redo", "Give it again")
        self.background = button(
            "Mark background", "158px", "background", "What the next clicks mark", "alnb-quiet"
        )
        self.sweep = button(
            "Sweep slice", "128px", "sweep", "Answer the whole slice at once", "alnb-quiet"
        )
        self.help = button("?", "36px", "help", "All keys", "alnb-quiet")
        self.look_on = widgets.Button(
            description="Look on",
            tooltip="Follow the other window's labelling; it is read alone",
            layout=widgets.Layout(width="110px", display="none"),
        )
        self.look_on.add_class("alnb-look-on")
        self.train = button("Train", "150px", "train", "Learn from the answers", "alnb-main")
        self.cancel = button("Cancel", "90px", "cancel", "Stop training; the last network is kept")
        self.auto = widgets.Checkbox(
            value=False, description="automatic", indent=False,
            tooltip=f"Train by itself once all that was asked has an answer [{key_of('auto')}]",
            layout=widgets.Layout(width="auto"),
        )  # fmt: skip

    def _make_overlays(self, has_masks: bool) -> None:
        self.entropy = _toggle("entropy", True, "entropy", "Where the network is unsure")
        self.prediction = _toggle("prediction", False, "prediction", "What it takes for infection")
        self.marks = _toggle("clicks", True, "marks", "What was marked")
        self.answered = _toggle("answered", True, "answered", "Regions with an answer")
        self.grid = _toggle("grid", True, "grid", "The slice's regions")
        self.on_region = _toggle(
            "in the region too", False, "on_region", "Lay them over the large picture, too"
        )
        self.mask = _toggle("teach: show mask", False, "mask", "The true mask, and say so")
        self.mask.layout.display = None if has_masks else "none"
        self.opacity = widgets.FloatSlider(
            value=OPACITY, min=0.1, max=1, step=0.1, description="opacity", readout=False,
            tooltip=f"Of maps, answered regions and grid [{key_of('opacity')}]",
            layout=widgets.Layout(width="180px", height="26px", margin="0 16px 0 0"),
            style={"description_width": "52px"},
        )  # fmt: skip

    def _arranged(self, view: RegionView, charts: Charts) -> widgets.Widget:
        row = widgets.Layout(align_items="center", overflow="hidden", flex_flow="row wrap")
        answers = [self.clean, self.next, self.skip, self.undo, self.redo]
        more = [self.background, self.sweep, self.look_on, self.help]
        buttons = widgets.HBox([*answers, *more], layout=row)
        pictures = widgets.Box([view.widget, self.looks.widget, self._teaching])
        pictures.add_class("alnb-pictures")
        under = widgets.VBox([self._strip, self._message])
        under.add_class("alnb-under")
        left = widgets.VBox([pictures, self._question, buttons, under])
        maps = widgets.HBox([self.entropy, self.prediction, self.on_region], layout=row)
        rest = widgets.HBox([self.marks, self.answered, self.grid, self.annotator], layout=row)
        how = widgets.HBox([self.opacity, self.mask], layout=row)
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
        """Names of the overlays that are switched on, but for the grid."""
        chosen = {"entropy": self.entropy, "prediction": self.prediction, "mask": self.mask}
        return frozenset(name for name, toggle in chosen.items() if toggle.value)

    @property
    def hidden(self) -> frozenset[str]:
        """Names of `region_figure.LAYERS` that are switched off."""
        layers = {"grid": self.grid, "clicks": self.marks, "answered": self.answered}
        return frozenset(name for name, toggle in layers.items() if not toggle.value)

    def on_overlays(self, handler: Callable[[], None]) -> None:
        """Call `handler` when a toggle or the opacity changes."""
        for widget in (
            self.grid, self.entropy, self.prediction, self.marks, self.answered, self.on_region,
            self.mask, self.opacity,
        ):  # fmt: skip
            widget.observe(lambda _: handler(), names="value")

    def toggle_help(self, shown: bool | None = None) -> None:
        """Show or hide the keys; None turns them over."""
        shown = not self._help.value if shown is None else shown
        _set(self._help, page_html.help_panel() if shown else "")

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
        _set(self._head, page_html.head(screen))
        self.say(message)
        _set(self._question, page_html.question(screen))
        _set(self._train_hint, page_html.hint(screen))
        _set(self._bar, page_html.bar(screen))
        _set(self._explanation, page_html.explanation(screen.explanation))
        _set(self._note, page_html.note(screen.chart_note))
        _set(self._advice, page_html.advice(screen.advice))
        taught = f"<div class='alnb-teaching' role='status'>{TEACHING}</div>"
        _set(self._teaching, taught if self.mask.value else "")
        if screen.tiles != self._tiles:
            self._tiles = screen.tiles
            self._strip.value = page_html.strip(screen, thumbnails)
        self._show_buttons(screen)

    def _show_buttons(self, screen: Screen) -> None:
        for made, works in (
            (self.clean, screen.can_clean),
            (self.next, screen.can_next),
            (self.skip, screen.can_skip),
            (self.background, screen.can_mark),
            (self.undo, screen.can_undo),
            (self.redo, screen.can_redo),
            (self.sweep, screen.can_sweep),
            (self.train, screen.can_train),
            (self.cancel, screen.can_cancel),
        ):
            if made.disabled == works:
                made.disabled = not works
        marking = "infection" if screen.marking == "background" else "background"
        for made, words in (
            (self.clean, "The rest is clean" if screen.sweeping else "No infection"),
            (self.sweep, "Leave sweep" if screen.sweeping else "Sweep slice"),
            (self.background, f"Mark {marking}"),
        ):
            if made.description != words:
                made.description = words

    def offer_to_look_on(self, *, offered: bool) -> None:
        """Show the button that leaves labelling to another window, for a sweep, or hide it."""
        self.look_on.layout.display = "" if offered else "none"
        self.sweep.layout.display = "none" if offered else ""

    def become(self, app: widgets.Widget) -> None:
        """Put another app in this one's place."""
        self.widget.remove_class("alnb-app")  # the app brings its own
        self.widget.children = [app]

    def say(self, message: str) -> None:
        """Show a sentence for the person; an empty one for none."""
        _set(self._message, page_html.message(message))

    @staticmethod
    def failure(sentence: str) -> widgets.Widget:
        """Return a page that says why there is none."""
        style = f"<style>{CSS}</style>"
        return widgets.HTML(
            f"{style}<div class='alnb-failure' role='alert'><b>alnb can't open this.</b><br>"
            f"{page_html.capital(sentence)}</div>"
        )


def _set(widget: widgets.HTML, value: str) -> None:
    if widget.value != value:
        widget.value = value
