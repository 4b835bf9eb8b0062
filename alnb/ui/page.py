"""The page's widgets, built once; `show` puts a `Screen` on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

import ipywidgets as widgets

from alnb.ui.charts import Charts
from alnb.ui.pictures import uri
from alnb.ui.present import Screen, Tile
from alnb.ui.region_view import RegionView

CSS = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
OPACITY = 0.4  # ours: CT still reads through the heat map
MARKS = {"infected": "●", "clean": "–", "skipped": "?", "open": ""}
WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*(?=[ ,;]|$)")  # no name before a colon, and no path
SPOKEN = {"infected": "infected", "clean": "no infection", "skipped": "skipped", "open": "open"}


def _button(text: str, width: str, tooltip: str, *classes: str) -> widgets.Button:
    button = widgets.Button(
        description=text, tooltip=tooltip, layout=widgets.Layout(width=width, margin="0 8px 0 0")
    )
    for name in classes:
        button.add_class(name)
    return button


def _toggle(text: str, on: bool, tooltip: str) -> widgets.Checkbox:
    return widgets.Checkbox(
        value=on, description=text, tooltip=tooltip, indent=False,
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

    Attributes
    ----------
    widget : ipywidgets.Widget
        The whole, 1248 pixels wide; in a narrower window the right column goes below the left.
    clean, next, skip, undo, train, cancel : ipywidgets.Button
        As they are named on the page.
    """

    def __init__(self, view: RegionView, charts: Charts) -> None:
        self._head = widgets.HTML()
        self._message = widgets.HTML()
        self._question = widgets.HTML()
        self._strip = widgets.HTML()
        self._train_hint = widgets.HTML()
        self._bar = widgets.HTML()
        self._note = widgets.HTML()
        self.clean = _button("No infection", "140px", "The region in the frame is clean")
        self.next = _button("Next", "110px", "Keep the clicks and go on", "alnb-main")
        self.skip = _button("Skip", "90px", "Leave this region unanswered")
        self.undo = _button("Undo", "90px", "Take the last click or answer back")
        self.train = _button("Train", "150px", "Learn from the answers so far", "alnb-main")
        self.cancel = _button("Cancel", "90px", "Stop training; the last network is kept")
        self.grid = _toggle("grid", True, "The slice's regions")
        self.entropy = _toggle("entropy", True, "Where the network is unsure")
        self.prediction = _toggle("prediction", False, "What the network takes for infection")
        self.on_region = _toggle("in the region too", False, "Lay them over the large picture, too")
        self.opacity = widgets.FloatSlider(
            value=OPACITY, min=0.1, max=1, step=0.1, description="opacity", readout=False,
            layout=widgets.Layout(width="190px"), style={"description_width": "52px"},
        )  # fmt: skip
        self._tiles: tuple[Tile, ...] = ()
        self.widget = self._arranged(view, charts)

    def _arranged(self, view: RegionView, charts: Charts) -> widgets.Widget:
        row = widgets.Layout(align_items="center", overflow="hidden")
        buttons = widgets.HBox([self.clean, self.next, self.skip, self.undo], layout=row)
        left = widgets.VBox([view.widget, self._question, buttons, self._strip])
        toggles = widgets.HBox([self.grid, self.entropy, self.prediction], layout=row)
        how = widgets.HBox([self.opacity, self.on_region], layout=row)
        train = widgets.HBox([self.train, self.cancel], layout=row)
        controls = widgets.VBox([self._note, train, self._bar, self._train_hint, toggles, how])
        style = widgets.HTML(f"<style>{CSS}</style>", layout=widgets.Layout(display="none"))
        body = columns([left], [charts.widget, controls])
        whole = widgets.VBox([style, self._head, self._message, body])
        whole.add_class("alnb-app")
        return whole

    @property
    def overlays(self) -> frozenset[str]:
        """Names of the overlays that are switched on, but for the grid."""
        chosen = {"entropy": self.entropy.value, "prediction": self.prediction.value}
        return frozenset(name for name, on in chosen.items() if on)

    def on_overlays(self, handler: Callable[[], None]) -> None:
        """Call `handler` when a toggle or the opacity changes."""
        for widget in (
            self.grid, self.entropy, self.prediction, self.on_region, self.opacity
        ):  # fmt: skip
            widget.observe(lambda _: handler(), names="value")

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
        _set(self._head, _head(screen))
        self.say(message)
        _set(self._question, f"<div class='alnb-question' role='status'>{screen.question}</div>")
        _set(self._train_hint, _hint(screen))
        _set(self._bar, _bar(screen))
        note = f"<div class='alnb-small'>{escape(screen.chart_note)}</div>"
        _set(self._note, note if screen.chart_note else "")
        if screen.tiles != self._tiles:
            self._tiles = screen.tiles
            self._strip.value = _strip(screen, thumbnails)
        for button, works in (
            (self.clean, screen.can_clean),
            (self.next, screen.can_next),
            (self.skip, screen.can_skip),
            (self.undo, screen.can_undo),
            (self.train, screen.can_train),
            (self.cancel, screen.can_cancel),
        ):
            if button.disabled == works:
                button.disabled = not works

    def say(self, message: str) -> None:
        """Show a sentence for the person; an empty one for none."""
        _set(self._message, _message(message))

    @staticmethod
    def failure(sentence: str) -> widgets.Widget:
        """Return a page that says why there is none."""
        style = f"<style>{CSS}</style>"
        return widgets.HTML(
            f"{style}<div class='alnb-failure' role='alert'><b>alnb can't open this.</b><br>"
            f"{_capital(sentence)}</div>"
        )


def _set(widget: widgets.HTML, value: str) -> None:
    if widget.value != value:
        widget.value = value


def _head(screen: Screen) -> str:
    saved = f" · {screen.saved}" if screen.saved else ""
    return (
        f"<div class='alnb-head'><span><h1>alnb</h1>{escape(screen.title)}</span>"
        f"<span class='cost'>{screen.cost}<span class='quiet'>{escape(saved)}</span></span>"
        f"<span class='quiet' title='{escape(screen.network_title)}'>"
        f"{escape(screen.network)}</span></div>"
    )


def _message(message: str) -> str:
    return f"<div class='alnb-message' role='alert'>{_capital(message)}</div>" if message else ""


def _capital(sentence: str) -> str:
    """Begin with a capital where that spoils no name."""
    first = sentence[:1].upper() if WORD.match(sentence) else sentence[:1]
    return escape(first + sentence[1:])


def _hint(screen: Screen) -> str:
    device = f"<br>{escape(screen.device)}" if screen.device else ""
    return f"<div class='alnb-small'>{escape(screen.train_hint)}{device}</div>"


def _bar(screen: Screen) -> str:
    percent = round(100 * screen.progress)
    shown = "visible" if screen.progress_text else "hidden"
    return (
        f"<div style='visibility:{shown}'><div class='alnb-bar' role='progressbar' "
        f"aria-valuenow='{percent}' aria-valuemin='0' aria-valuemax='100'>"
        f"<div style='width:{percent}%'></div></div>"
        f"<div class='alnb-small'>{percent} % · {escape(screen.progress_text)}</div></div>"
    )


def _strip(screen: Screen, thumbnails: Mapping[str, bytes]) -> str:
    def tile(one: Tile) -> str:
        name = escape(f"{one.region.where.scan}, slice {one.region.where.z}: {SPOKEN[one.mark]}")
        classes = f"{one.mark} current" if one.current else one.mark
        caption = f"<figcaption>{MARKS[one.mark]}</figcaption>" if MARKS[one.mark] else ""
        source = uri(thumbnails[one.region.key])
        return (
            f"<figure class='{classes}' title='{name}'><img alt='{name}' src='{source}'>"
            f"{caption}</figure>"
        )

    before = f"<span>{screen.earlier} before</span>" if screen.earlier else ""
    after = f"<span>{screen.later} more</span>" if screen.later else ""
    return f"<div class='alnb-strip'>{before}{''.join(map(tile, screen.tiles))}{after}</div>"
