"""Buttons and checkboxes for the actions of the label app; their tooltips name the keys."""

from __future__ import annotations

import ipywidgets as widgets

from alnb.ui.label.shortcuts import key_of


def button(text: str, width: str, act: str, tooltip: str, *classes: str) -> widgets.Button:
    """Make a button for an action.

    Parameters
    ----------
    text, width, tooltip : str
        As ipywidgets takes them; the tooltip gets the key.
    act : str
        The action. A class names it for the page half of `Tap`.
    *classes : str
        Further CSS classes.
    """
    key = key_of(act)
    made = widgets.Button(
        description=text, tooltip=f"{tooltip} [{key}]",
        layout=widgets.Layout(width=width, margin="0 6px 0 0"),
    )  # fmt: skip
    for name in (f"alnb-act-{act.replace(':', '-')}", f"alnb-key-{key.lower()}", *classes):
        made.add_class(name)
    return made


def toggle(act: str, text: str, on: bool, tooltip: str) -> widgets.Checkbox:
    """Make a checkbox for an action.

    Parameters
    ----------
    act, text, tooltip : str
        As for `button`.
    on : bool
        Whether it is checked at first.
    """
    return widgets.Checkbox(
        value=on, description=text, tooltip=f"{tooltip} [{key_of(act)}]", indent=False,
        layout=widgets.Layout(width="auto", margin="0 16px 0 0"),
    )  # fmt: skip
