"""All that a person can do by a key, in one table: the app binds it, and the help shows it."""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = ("Answer", "Go back", "Look", "Overlays", "Session")


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do.

    Parameters
    ----------
    name : str
        Of the app's method; what follows a colon is handed to it.
    keys : tuple of str
        As `alnb.ui.viewer.input.Key` names them; the first is the one that buttons show.
    words : str
        What it does.
    group : str
        One of `GROUPS`.
    repeats : bool
        Whether it goes on while the key is held.
    """

    name: str
    keys: tuple[str, ...]
    words: str
    group: str
    repeats: bool = False


def _cursor(way: str) -> list[Action]:
    words = {"Up": "Move the cursor, to mark without a mouse; with Shift farther"}.get(way, "")
    key = f"Arrow{way}"
    return [
        Action(f"cursor:{way.lower()}", (key,), words, "Answer", repeats=True),
        Action(f"cursor:{way.lower()},far", (f"Shift+{key}",), "", "Answer", repeats=True),
    ]


ACTIONS: tuple[Action, ...] = (
    Action("clean", ("c",), "No infection; in a sweep: the rest is clean", "Answer"),
    Action("next", ("n", "Enter"), "Keep the marks and go on", "Answer"),
    Action("skip", ("s",), "Skip; a skipped region waits in the strip", "Answer"),
    Action("background", ("b",), "Clicks mark background, or infection again", "Answer"),
    Action("sweep", ("w",), "Answer the whole slice at once, or leave that", "Answer"),
    *(action for way in ("Up", "Down", "Left", "Right") for action in _cursor(way)),
    Action("mark", ("Space",), "Set or take back a mark at the cursor", "Answer"),
    Action("line", ("l",), "Begin an outline at the cursor, and close it", "Answer"),
    Action("undo", ("z", "Ctrl+z"), "Take the last mark or answer back", "Go back"),
    Action("redo", ("y", "Ctrl+y", "Ctrl+Shift+z"), "Give it again", "Go back"),
    Action("earlier", (",",), "Open the answer before this one, to correct it", "Go back"),
    Action("later", (".",), "Open the one after", "Go back"),
    Action("back", ("Escape",), "Back to the next region; close what is open", "Go back"),
    Action("window:lung", ("1",), "Window: lung, −600/1500", "Look"),
    Action("window:mediastinum", ("2",), "Window: mediastinum, 40/400", "Look"),
    Action("window:full", ("3",), "Window: full", "Look"),
    Action("window:network", ("4",), "Window: as the network sees it", "Look"),
    Action("slices:1", ("PageUp",), "Next slice of the scan", "Look", repeats=True),
    Action("slices:-1", ("PageDown",), "Previous slice", "Look", repeats=True),
    Action("home", ("Home",), "The slice that is asked about", "Look"),
    Action("zoom:in", ("+", "="), "Enlarge", "Look", repeats=True),
    Action("zoom:out", ("-",), "Show more", "Look", repeats=True),
    Action("zoom:off", ("0",), "The region as at first", "Look"),
    Action("show:entropy", ("e",), "Entropy", "Overlays"),
    Action("show:prediction", ("p",), "Prediction", "Overlays"),
    Action("show:marks", ("k",), "Clicks and outlines", "Overlays"),
    Action("show:answered", ("a",), "Answered regions", "Overlays"),
    Action("show:grid", ("g",), "Grid", "Overlays"),
    Action("show:on_region", ("r",), "Maps in the region, too", "Overlays"),
    Action("show:mask", ("m",), "The mask, where teaching is on", "Overlays"),
    Action("opacity", ("o",), "More opaque, then faint again", "Overlays"),
    Action("train", ("t",), "Train", "Session"),
    Action("auto", ("u",), "Train by itself after each batch, or on Train alone", "Session"),
    Action("cancel", ("q",), "Stop training", "Session"),
    Action("axis", ("x",), "Chart against nominal s, measured s, regions", "Session"),
    Action("export", ("f",), "Export: clicks, curve, network and masks as files", "Session"),
    Action("help", ("?",), "Show these keys", "Session"),
)

BY_KEY = {key: action for action in ACTIONS for key in action.keys}
REPEATING = tuple(key for key, action in BY_KEY.items() if action.repeats)
SHOWN = {"Space": "Space", "ArrowUp": "arrows", "Escape": "Esc", "PageUp": "Page up",
         "PageDown": "Page down"}  # fmt: skip # keys that are called otherwise on paper


def shown(key: str) -> str:
    """Name a key as it stands on a keyboard."""
    return SHOWN.get(key, key[:-1] + key[-1].upper() if "+" in key[:-1] else _plain(key))


def _plain(key: str) -> str:
    return key.upper() if len(key) == 1 else key


def key_of(name: str) -> str:
    """Name the first key of an action, as it stands on a keyboard."""
    return next(shown(action.keys[0]) for action in ACTIONS if action.name == name)
