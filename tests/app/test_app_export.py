"""The label app: what it writes for other tools."""

import asyncio
import os
import time

import pytest
from app_person import CONFIG

from alnb.session import Session
from alnb.ui.label import exporting


def test_a_session_is_exported_from_the_page(using, squares, folder):
    async def story(person):
        person.push(person.page.clean)
        person.key("f")
        person.key("f")
        assert person.reads("Exporting: clicks, curve and network")
        end = time.monotonic() + 60
        while person.reads("Exporting") and time.monotonic() < end:
            await asyncio.sleep(0.05)

        assert person.reads(f"files are in {folder / 'export'}")
        assert person.reads("Masks and network come once it was trained.")
        assert "clean" in (folder / "export" / "answers.csv").read_text()
        assert (folder / "export" / "journal.jsonl").is_file()

    using(story)


def test_an_export_that_fails_is_said(using, folder):
    async def story(person):
        (folder / "export").write_text("in the way")
        person.key("f")
        end = time.monotonic() + 60
        while person.reads("Exporting") and time.monotonic() < end:
            await asyncio.sleep(0.05)

        assert person.reads("but not all:")

    using(story)


def test_an_export_says_how_far_it_is(using, folder, monkeypatch):
    told, gate = [], asyncio.Event()

    async def slow(*_words, on_progress):
        told.append(on_progress)
        await gate.wait()
        return ["Written: one", "Written: two"]

    monkeypatch.setattr("alnb.ui.label.exporting.run_command", slow)

    async def story(person):
        person.key("f")
        await asyncio.sleep(0.05)
        for done in (12, 13):
            told[0]({"note": f"masks {done} of 200"})
            assert person.reads(f"Exporting: masks {done} of 200…")
        gate.set()
        await asyncio.sleep(0.05)
        assert person.reads(f"2 files are in {folder / 'export'}")

    using(story)


@pytest.mark.parametrize("ends_well", [True, False])
def test_what_became_of_the_export_of_an_earlier_page_is_said(
    using, squares, folder, monkeypatch, ends_well
):
    Session.open(folder, squares, CONFIG).close()
    monkeypatch.setattr(exporting, "LOOK_S", 0.01)
    stage = folder / "export" / f".{os.getppid()}-staged"  # as a process that lives fills it
    stage.mkdir(parents=True)

    async def story(person):
        await asyncio.sleep(0.05)
        assert person.reads("The export that was begun before goes on…")
        if ends_well:
            (folder / "export" / "answers.csv").write_text("")
            stage.rmdir()
        else:
            monkeypatch.setattr(exporting, "another_lives", lambda _pid: False)
        await asyncio.sleep(0.05)
        words = f"is in {folder / 'export'}" if ends_well else "was cut off. Press Export (F)"
        assert person.reads(f"The export that was begun before {words}")
        assert not stage.exists()

    using(story)
