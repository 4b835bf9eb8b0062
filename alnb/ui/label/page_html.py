"""The page's words as HTML; all that comes from data is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from alnb.forecast import Advice
from alnb.ui.label.explanation import Explanation, Reason
from alnb.ui.label.screen import Screen, Tile
from alnb.ui.label.shortcuts import ACTIONS, GROUPS, key_of, shown
from alnb.ui.viewer.drawing import uri

MARKS = {"infected": "●", "clean": "–", "skipped": "?", "open": ""}
SPOKEN = {"infected": "infected", "clean": "no infection", "skipped": "skipped", "open": "open"}
WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*(?=[ ,;]|$)")  # no name before a colon, and no path
NATS = ("entropy", "bald")
ROWS = 3  # of the card; heuristics beyond these are told in a line


def head(screen: Screen) -> str:
    """Draw the line at the top, and under it how far the cost is."""
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


def message(sentence: str) -> str:
    """Draw a sentence for the person; nothing for an empty one."""
    return f"<div class='alnb-message' role='alert'>{capital(sentence)}</div>" if sentence else ""


def capital(sentence: str) -> str:
    """Begin with a capital where that spoils no name."""
    first = sentence[:1].upper() if WORD.match(sentence) else sentence[:1]
    return escape(first + sentence[1:])


def note(sentence: str) -> str:
    """Draw a remark; nothing for an empty one."""
    return f"<div class='alnb-small'>{escape(sentence)}</div>" if sentence else ""


def advice(found: Advice | None) -> str:
    """Draw what another minute is expected to bring: a line, and all of it to point at."""
    if found is None:
        return ""
    title, line = escape(found.sentence), capital(found.short)
    return f"<div class='alnb-advice' title='{title}' aria-label='{title}'>{line}</div>"


def question(screen: Screen) -> str:
    """Draw the line that says what to do."""
    return f"<div class='alnb-question' role='status'>{screen.question}</div>"


def hint(screen: Screen) -> str:
    """Draw what a training would do, and on what."""
    device = f"<br>{escape(screen.device)}" if screen.device else ""
    return f"<div class='alnb-small'>{escape(screen.train_hint)}{device}</div>"


def bar(screen: Screen) -> str:
    """Draw how far the training process is; while it rests, how far the cost is."""
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
        f"<div class='alnb-small'>{percent} % · {escape(screen.progress_text)}</div></div>"
    )


def strip(screen: Screen, thumbnails: Mapping[str, bytes]) -> str:
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


def explanation(found: Explanation | None) -> str:
    """Draw the card that says why a region is asked about."""
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


def help_panel() -> str:
    """Draw all keys."""
    groups = "".join(map(_group, GROUPS))
    mouse = (
        "<section><h2>Mouse</h2><dl><dt>click</dt><dd>Mark infection; a mark again takes it "
        "back</dd><dt>Shift click</dt><dd>Mark background</dd><dt>wheel</dt><dd>On the large "
        "picture: zoom, as with two fingers; on the slice, or with Shift: the slices beside it"
        "</dd><dt>drag</dt><dd>Move the large picture, or draw where regions are outlined; on the "
        "slice: the slices beside it</dd></dl></section>"
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
