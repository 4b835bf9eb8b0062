"""One table of everything a person can do with a key: the app binds it, the help shows it."""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = ("Answer", "Go back", "View", "Overlays", "Session")


@dataclass(frozen=True, slots=True)
class Action:
    """What some keys do."""

    name: str  # of a method of `Commands`; what follows a colon is its argument
    keys: tuple[str, ...]  # as `viewer.input.Key` names them; buttons show the first
    words: str  # for the help; empty if another action's words say it
    group: str  # one of `GROUPS`
    repeats: bool = False  # while the key is held


def _cursor(way: str) -> list[Action]:
    words = {"Up": "Move the cursor; farther with Shift"}.get(way, "")
    key = f"Arrow{way}"
    return [
        Action(f"cursor:{way.lower()}", (key,), words, "Answer", repeats=True),
        Action(f"cursor:{way.lower()},far", (f"Shift+{key}",), "", "Answer", repeats=True),
    ]


def _beside(way: str) -> list[Action]:
    words = {"Up": "Choose the region beside, as a click on the slice"}
    return [Action(f"choose:{way.lower()}", (f"Ctrl+Arrow{way}",), words.get(way, ""), "Go back")]


ACTIONS: tuple[Action, ...] = (
    Action("clean", ("c",), "No infection; in a sweep: the rest is clean", "Answer"),
    Action("next", ("n", "Enter"), "Keep the marks and go on", "Answer"),
    Action("right", ("r",), "The network's outline is right; at first, show it", "Answer"),
    Action("skip", ("s",), "Skip; a skipped region waits in the strip", "Answer"),
    Action("background", ("b",), "Clicks mark background, or infection again", "Answer"),
    Action("sweep", ("w",), "Answer the whole slice at once, or leave the sweep", "Answer"),
    *(action for way in ("Up", "Down", "Left", "Right") for action in _cursor(way)),
    Action("mark", ("Space",), "Set or remove a mark at the cursor", "Answer"),
    Action("line", ("l",), "Begin an outline at the cursor, and close it", "Answer"),
    Action("undo", ("z", "Ctrl+z"), "Take back the last mark or answer", "Go back"),
    Action("redo", ("y", "Ctrl+y", "Ctrl+Shift+z"), "Restore it", "Go back"),
    Action("earlier", (",",), "Open the answer before this one, to correct it", "Go back"),
    Action("later", (".",), "Open the answer after this one", "Go back"),
    *(action for way in ("Up", "Down", "Left", "Right") for action in _beside(way)),
    Action(
        "back", ("Escape",), "Back to the next region; close what lies over the page", "Go back"
    ),
    Action("window:lung", ("1",), "Window: lung, −600/1500", "View"),
    Action("window:mediastinum", ("2",), "Window: mediastinum, 40/400", "View"),
    Action("window:full", ("3",), "Window: full range", "View"),
    Action("window:network", ("4",), "Window: as the network sees it", "View"),
    Action("slices:1", ("PageUp",), "Next slice of the scan", "View", repeats=True),
    Action("slices:-1", ("PageDown",), "Previous slice", "View", repeats=True),
    Action("home", ("Home",), "Back to the slice that is asked about", "View"),
    Action("zoom:in", ("+", "="), "Zoom in", "View", repeats=True),
    Action("zoom:out", ("-",), "Zoom out", "View", repeats=True),
    Action("zoom:off", ("0",), "Zoom back to the whole region", "View"),
    Action("show:pixels", ("i",), "The slice's pixels as squares, or smooth", "View"),
    Action("settings", ("v",), "Settings: overlays, window, your name", "View"),
    Action("show:entropy", ("e",), "Uncertainty (entropy)", "Overlays"),
    Action("show:prediction", ("p",), "Prediction", "Overlays"),
    Action("show:outline", ("o",), "The outline that follows a mark", "Overlays"),
    Action("show:marks", ("k",), "Clicks and outlines", "Overlays"),
    Action("show:answered", ("a",), "Answered regions", "Overlays"),
    Action("show:grid", ("g",), "Grid", "Overlays"),
    Action("show:on_region", ("5",), "Maps on the large picture, too", "Overlays"),
    Action("show:mask", ("m",), "The mask, where teaching is on", "Overlays"),
    Action("opacity", ("d",), "Overlays more opaque, then faint again", "Overlays"),
    Action("watch", ("h",), "The test slice over the chart; J: another", "Overlays"),
    Action("watch:next", ("j",), "", "Overlays"),
    Action("train", ("t",), "Train", "Session"),
    Action("auto", ("u",), "Train automatically after each batch, or only on Train", "Session"),
    Action("cancel", ("q",), "Stop training", "Session"),
    Action("axis", ("x",), "Chart against nominal s, measured s or regions", "Session"),
    Action("export", ("f",), "Export: clicks, curve, network and masks as files", "Session"),
    Action("help", ("?",), "Show these keys", "Session"),
)

BY_KEY = {key: action for action in ACTIONS for key in action.keys}
REPEATING = tuple(key for key, action in BY_KEY.items() if action.repeats)
SHOWN = {
    "ArrowUp": "arrows", "Ctrl+ArrowUp": "Ctrl+arrows",
    "Escape": "Esc", "PageUp": "Page up", "PageDown": "Page down",
}  # fmt: skip


def shown(key: str) -> str:
    """Name a key as a keyboard does."""
    if key in SHOWN:
        return SHOWN[key]
    return key[:-1] + key[-1].upper() if len(key) == 1 or "+" in key[:-1] else key


def key_of(name: str) -> str:
    """Name the first key of an action as a keyboard does."""
    return next(shown(action.keys[0]) for action in ACTIONS if action.name == name)
