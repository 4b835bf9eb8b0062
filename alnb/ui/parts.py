"""What all pages are made of: messages, boxes, words for answers, and the style sheet.

Everything that comes from data is escaped.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets

CSS = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
MARKS = {"infected": "●", "clean": "–", "skipped": "?", "open": ""}
SPOKEN = {"infected": "infected", "clean": "no infection", "skipped": "skipped", "open": "open"}
WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*(?=[ ,;]|$)")  # no name before a colon, and no path
SIGNS = {  # kind of a message -> its sign, which needs no colour, and its name
    "success": ("✓", "Done"),
    "note": ("i", "Note"),
    "warning": ("!", "Warning"),
    "error": ("✕", "Error"),
}


class Message(str):
    """A sentence for the person, and of what kind it is: one of `SIGNS`."""

    kind: str

    def __new__(cls, sentence: str, kind: str = "note") -> Message:  # noqa: D102
        made = super().__new__(cls, sentence)
        made.kind = kind
        return made


def message_html(sentence: str) -> str:
    """Draw a sentence for the person, as its kind is; nothing for an empty one."""
    if not sentence:
        return ""
    kind = sentence.kind if isinstance(sentence, Message) else "note"
    role = "alert" if kind in ("warning", "error") else "status"
    sign, name = SIGNS[kind]
    return (
        f"<div class='alnb-message alnb-{kind}' role='{role}'>"
        f"<b class='alnb-sign' role='img' aria-label='{name}' title='{name}'>{sign}</b>"
        f"<span>{capital(sentence)}</span></div>"
    )


def capital(sentence: str) -> str:
    """Escape a sentence and begin it with a capital, unless it begins with a name."""
    first = sentence[:1].upper() if WORD.match(sentence) else sentence[:1]
    return escape(first + sentence[1:])


def small(html: str) -> str:
    """Draw a line in small letters; nothing for an empty one."""
    return f"<div class='alnb-small'>{html}</div>" if html else ""


def box(children: list[widgets.Widget], *classes: str) -> widgets.Box:
    """Put widgets in a box that only the style sheet lays out."""
    box = widgets.Box(children)
    for name in classes:
        box.add_class(name)
    return box


def room(*children: widgets.Widget) -> widgets.Box:
    """Give a figure all the room that a column leaves; what lies over it comes after it."""
    return box(list(children), "alnb-room")


def whole_window(
    head: list[widgets.Widget], left: list[widgets.Widget], *right: list[widgets.Widget]
) -> widgets.Box:
    """Lay a page out by its window: a head, and below it two columns, each with one `room`.

    In a narrow window the right column goes below the left one, its parts beside each other.

    Parameters
    ----------
    head, left : list of ipywidgets.Widget
        From left to right, and from top to bottom.
    *right : list of ipywidgets.Widget
        The right column's parts.
    """
    beside = box([box(part, "alnb-part") for part in right], "alnb-right")
    return box([box(head, "alnb-top"), box(left, "alnb-left"), beside], "alnb-page")


def set_trait(widget: widgets.Widget, trait: str, value: Any) -> None:  # noqa: ANN401 - of the trait
    """Change a trait only where it differs, so that nothing is sent in vain.

    Parameters
    ----------
    widget : ipywidgets.Widget
        Or its layout.
    trait : str
    value
    """
    if getattr(widget, trait) != value:
        setattr(widget, trait, value)


def failure_page(sentence: str) -> widgets.Widget:
    """Return a page that says why there is none."""
    style = f"<style>{CSS}</style>"
    return widgets.HTML(
        f"{style}<div class='alnb-failure' role='alert'><b>alnb can't open this.</b><br>"
        f"{capital(sentence)}</div>"
    )
