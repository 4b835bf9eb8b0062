"""A FigureWidget whose late viewers see it as it is, not as it was built."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import plotly.graph_objects as go


class LiveFigure(go.FigureWidget):  # type: ignore[misc]
    """A FigureWidget that may be updated before its page has drawn it, with no mode bar.

    A page asks for a widget's state after the notebook has run. Plotly would answer with the
    figure as it was constructed, and every update since then would be lost.
    """

    def __init__(self, data: Any, layout: Any) -> None:  # noqa: ANN401 - plotly's own types
        super().__init__(data=data, layout=layout)
        self._config = {"displayModeBar": False, "doubleClick": False, "showTips": False}

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:  # noqa: ANN401
        """Return the state that a page is given, brought up to date first.

        A message about single traits takes them as they are: else those that the constructor
        sets at last would look sent already, and a notebook would draw an empty figure.
        """
        if key is None and getattr(self, "_layout_obj", None) is not None:
            # set past the trait, since setting it would send the whole figure again
            self._trait_values["_widget_data"] = deepcopy(self._data)
            self._trait_values["_widget_layout"] = deepcopy(self._layout_obj._props)
        state: dict[str, Any] = super().get_state(key=key, drop_defaults=drop_defaults)
        return state
