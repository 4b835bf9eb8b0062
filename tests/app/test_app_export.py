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
