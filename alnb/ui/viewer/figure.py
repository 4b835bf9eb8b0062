"""A Plotly figure that no message to it is lost on; its half on the page is ``figure.js``."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import plotly.graph_objects as go
import traitlets
from ipywidgets import widget_serialization
from plotly.basedatatypes import Undefined
from plotly.basewidget import BaseFigureWidget


class Script(anywidget.AnyWidget):
    """Plotly's script for a page, which takes 5 MB; it is never shown itself."""

    _esm = "export default {}"

    code = traitlets.Bytes().tag(sync=True)


@cache
def plotly_script() -> Script:
    """Return the script that all figures of a kernel share."""
    return Script(code=str(BaseFigureWidget._esm).encode())


class LiveFigure(go.FigureWidget):  # type: ignore[misc]
    """A FigureWidget without a mode bar that may be updated before its page has drawn it.

    A page asks for a widget's state after the notebook has run; Plotly itself would answer with the
    figure as it was constructed. From then until the page has loaded Plotly's script, nothing there
    hears an update: `catch_up` sends those again.
    """

    _esm = Path(__file__).with_name("figure.js")

    script = traitlets.Instance(Script).tag(sync=True, **widget_serialization)

    @traitlets.default("script")
    def _find_script(self) -> Script:
        return plotly_script()

    def __init__(self, data: Any, layout: Any) -> None:  # noqa: ANN401 - plotly's own types
        super().__init__(data=data, layout=layout)
        self._config = {"displayModeBar": False, "doubleClick": False, "showTips": False}
        self._unheard: tuple[dict[int, dict[str, Any]], dict[str, Any]] | None = ({}, {})
        self.observe(self._record, ["_py2js_restyle", "_py2js_relayout", "_py2js_update"])

    def catch_up(self) -> None:
        """Send again what was sent since a page asked for the state; call it once it has drawn."""
        (styles, layout), self._unheard = self._unheard or ({}, {}), None
        for trace, style in styles.items():
            self._send_restyle_msg({name: [value] for name, value in style.items()}, trace)
        if layout:
            self._send_relayout_msg(layout)

    def _record(self, change: dict[str, Any]) -> None:
        sent = change["new"]
        if self._unheard is None or not sent:
            return
        styles, layout = self._unheard
        style = sent.get("restyle_data") or sent.get("style_data") or {}
        traces = sent.get("restyle_traces") or sent.get("style_traces") or ()
        for name, values in style.items():
            for trace, value in zip(traces, values, strict=True):
                if value is not Undefined:
                    styles.setdefault(trace, {})[name] = value
        layout |= sent.get("relayout_data") or sent.get("layout_data") or {}

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:  # noqa: ANN401
        """Return the state that a page gets, brought up to date first.

        A message about single traits takes them as they are. If it updated them, what the
        constructor sets last would seem sent already, and a notebook would draw an empty figure.
        """
        if key is None and getattr(self, "_layout_obj", None) is not None:
            # written past the trait: setting it would send the whole figure again
            self._trait_values["_widget_data"] = deepcopy(self._data)
            self._trait_values["_widget_layout"] = deepcopy(self._layout_obj._props)
            self._unheard = ({}, {})
        state: dict[str, Any] = super().get_state(key=key, drop_defaults=drop_defaults)
        return state
