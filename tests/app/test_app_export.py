"""The label app: what it writes for other tools."""

import asyncio
import time


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

    monkeypatch.setattr("alnb.ui.label.training_client.run_command", slow)

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
