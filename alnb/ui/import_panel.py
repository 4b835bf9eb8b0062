"""The start page's part that imports scans: a folder or an upload, its progress, and cancel."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from alnb.errors import DataError, path_sentence, sentence_of
from alnb.ui.importing import (
    UPLOAD_BYTES,
    Incoming,
    Plan,
    Workplace,
    check_links,
    clear_left,
    completions,
    confined,
    import_scans,
    options_of,
    plan_of,
    unpack_all,
)
from alnb.ui.parts import Message, message_html
from alnb.ui.upload import Upload

TICK_S = 1.0  # ours: how often the seconds on the page move on
UPLOADS = (
    f"NIfTI, PNG or JPEG, or a zip of DICOM; up to {UPLOAD_BYTES // 2**30} GB. Call a mask like "
    "its scan: ct1.nii.gz, ct1_mask.nii.gz."
)
MEANS = (
    "What an import can't decide by itself, it asks for in a sentence. Answer with the option that "
    "it names, for example <code>--infected 1,2</code>."
)


class ImportPanel:
    """Import a folder below `root`, or files that are uploaded; `widget` is what to show.

    Parameters
    ----------
    root : Path
        The only folder whose scans may be read.
    field : mapping
        Layout and style of the fields.
    imported : callable
        Called with the dataset's folder, and what came of the import in a line.
    """

    def __init__(
        self, root: Path, field: dict[str, Any], imported: Callable[[Path, str], None]
    ) -> None:
        self._root, self._imported = root, imported
        self.work = Workplace()
        self._uploaded = False
        self._task: asyncio.Task[None] | None = None
        with suppress(OSError):
            clear_left()
        self.path = widgets.Combobox(
            description="folder of scans", placeholder=f"in {root}", **field
        )
        self.masks = widgets.Combobox(
            description="folder of masks", placeholder="if they are not beside the scans", **field
        )
        self.upload = Upload("Upload files…", UPLOADS, self._offered, self._taken, self._failed)
        self.name = widgets.Text(description="call it", placeholder="scans", **field)
        self.options = widgets.Text(description="options", placeholder="none", **field)
        self.start = _button("Import", "Make a dataset of these scans")
        self.cancel = _button("Cancel", "Stop; nothing of it is kept")
        self._found, self._status = widgets.HTML(), widgets.HTML()
        asked = widgets.HTML(f"<div class='alnb-small'>{MEANS}</div>")
        self.more = Fold("More", [asked, self.options])
        hint = widgets.HTML(f"<div class='alnb-small'>{UPLOADS}</div>")
        self._sending = widgets.HBox([self.upload, hint])
        self._sending.add_class("alnb-sending")
        self.widget = widgets.VBox([
            self.path, self.masks, self._sending, self._found, self.name,
            self.more.widget, widgets.HBox([self.start, self.cancel]), self._status,
        ])  # fmt: skip
        self.widget.add_class("alnb-import")
        for choice in (self.path, self.masks):
            choice.observe(self._on_typed, "value")
        self.start.on_click(lambda _: self._guarded(self._begin))
        self.cancel.on_click(lambda _: self._stop())
        self._run_shown(False)
        self._show_found()

    # --- what is chosen ---

    def _on_typed(self, change: dict[str, Any]) -> None:
        change["owner"].options = completions(self._root, change["new"])
        if change["owner"] is self.path and change["new"]:
            self._uploaded = False  # the folder is meant
        self._show_found()

    def _plan(self) -> Plan:
        """Find out how to import what is chosen; a `DataError` says what is missing."""
        if not (self._uploaded or self.path.value.strip()):
            raise DataError("name a folder of scans, or upload files.")
        folder = self.work.uploaded if self._uploaded else confined(self._root, self.path.value)
        masks = confined(self._root, self.masks.value) if self.masks.value.strip() else None
        return plan_of(folder, masks)

    def _show_found(self) -> None:
        """Say what is chosen, as far as it can be imported."""
        said = ""
        with suppress(DataError):
            said = f"Found: {self._plan().words}"
        self._found.value = f"<div class='alnb-small' role='status'>{escape(said)}</div>"

    # --- an upload ---

    def _offered(self, files: Sequence[tuple[str, int]]) -> Incoming:
        self._uploaded = False
        incoming = Incoming(self.work.uploaded, files)
        self.path.value = ""
        self._run_shown(True)
        self._say_progress("Uploading", 0, incoming.total)
        return incoming

    def _taken(self, incoming: Incoming) -> None:
        megabytes = f"{incoming.done / 2**20:.1f} of {incoming.total / 2**20:.1f} MB"
        self._say_progress(f"Uploading: {megabytes}", incoming.done, incoming.total)
        if incoming.complete:
            self._spawn(self._unpacked())

    def _failed(self, error: Exception) -> None:
        said = _in_words(error)
        self._run_shown(False)
        self.more.opened = self.more.opened or "--" in said  # where one answers it
        self._say(Message(said, "error"))

    async def _unpacked(self) -> None:
        """Unpack what arrived, and say what it is."""
        self._say_progress("Unpacking", 0, 0)
        stop = threading.Event()
        thread = asyncio.ensure_future(asyncio.to_thread(unpack_all, self.work.uploaded, stop))
        try:
            await asyncio.shield(thread)
        except asyncio.CancelledError:
            stop.set()
            with suppress(DataError):
                await thread  # else it would write on into a folder that is deleted
            raise
        self._uploaded = True
        self._show_found()
        self._status.value = (
            "<div class='alnb-small' role='status'>The files are here. Press <b>Import</b>; they "
            "are deleted once they are imported, or when this page is closed.</div>"
        )

    # --- the import ---

    def _begin(self) -> None:
        options = options_of(self.options.value)
        self._spawn(self._import(options))

    async def _import(self, options: list[str]) -> None:
        self._say_progress("Importing", 0, 0)
        plan = self._plan()
        if not self._uploaded:
            for folder in filter(None, (plan.images, plan.masks)):
                await asyncio.to_thread(check_links, folder, self._root)
        name = self.name.value.strip() or ("scans" if self._uploaded else plan.images.name)
        begun, done = time.monotonic(), 0

        def say() -> None:
            scans = f"{done} of {plan.count} scans" if plan.count else f"{done} scans"
            took = f"{time.monotonic() - begun:.0f} s"
            self._say_progress(f"Importing: {scans}, {took}", done, plan.count or 0)

        def on_progress(told: dict[str, Any]) -> None:
            nonlocal done
            done = int(told.get("completed") or done)
            say()

        async def tick() -> None:
            while True:
                say()
                await asyncio.sleep(TICK_S)

        ticking = asyncio.ensure_future(tick())
        try:
            folder, said = await import_scans(plan, name, options, self.work, on_progress)
        finally:
            ticking.cancel()
        self.work.remove()
        self._uploaded = False
        self._status.value = ""
        self._imported(folder, said)

    def _stop(self) -> None:
        """Cancel an upload or an import; nothing of it is kept."""
        self.upload.stop()
        if self._task is not None and not self._task.done():
            self._task.cancel()
            return
        self._cancelled()

    def _cancelled(self) -> None:
        self.work.remove()
        self._uploaded = False
        self._run_shown(False)
        self._show_found()
        self._say("Cancelled; nothing was kept.")

    def _spawn(self, story: Coroutine[Any, Any, None]) -> None:
        """Run a story on the kernel's loop; show what goes wrong, and that it has ended."""

        async def shown() -> None:
            self._run_shown(True)
            try:
                await story
            except asyncio.CancelledError:
                self._cancelled()
            except Exception as error:
                self._failed(error)
            else:
                self._run_shown(False)

        try:
            self._task = asyncio.get_running_loop().create_task(shown())
        except RuntimeError:  # plain Python
            asyncio.run(shown())

    def _guarded(self, handler: Callable[[], None]) -> None:
        try:
            handler()
        except Exception as error:
            self._failed(error)

    # --- what is shown ---

    def _run_shown(self, runs: bool) -> None:
        self.start.disabled = self.upload.locked = runs
        self.cancel.disabled = not runs
        self.cancel.layout.display = "" if runs else "none"

    def _say(self, sentence: str) -> None:
        self._status.value = message_html(sentence)

    def _say_progress(self, words: str, done: int, total: int) -> None:
        percent = round(100 * done / total) if total else 0
        bar = (
            "<div class='alnb-bar' role='progressbar' aria-label='import' aria-valuemin='0' "
            f"aria-valuemax='100' aria-valuenow='{percent}'><div style='width:{percent}%'></div>"
            "</div>"
        )
        self._status.value = f"{bar if total else ''}<div class='alnb-small'>{escape(words)}…</div>"


class Fold:
    """A button that shows widgets, and hides them again; `widget` is what to show."""

    def __init__(self, words: str, inner: list[widgets.Widget]) -> None:
        self._words, self._inner = words, widgets.VBox(inner)
        self.button = _button(words, f"{words}, or less")
        self.button.add_class("alnb-quiet")
        self.button.on_click(self._press)
        self.widget = widgets.VBox([self.button, self._inner])
        self.opened = False

    def _press(self, _button: object) -> None:
        self.opened = not self.opened

    @property
    def opened(self) -> bool:
        """Whether they are shown."""
        return bool(self._inner.layout.display != "none")

    @opened.setter
    def opened(self, opened: bool) -> None:
        self._inner.layout.display = "" if opened else "none"
        self.button.description = f"{self._words} {'▾' if opened else '▸'}"


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError):
        return path_sentence(error, "a file of this import")
    return sentence_of(error)


def _button(words: str, tip: str) -> widgets.Button:
    layout = {"width": "148px", "margin": "4px 8px 4px 0"}
    return widgets.Button(description=words, tooltip=tip, layout=layout)
