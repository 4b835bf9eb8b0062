"""Stories of a person on the label app, whose training process is a fake."""

import asyncio

import pytest
from app_person import CONFIG, Clock, Person
from fakes import FakeWorker

import alnb.ui.label.app as app_module
from alnb.session import Session
from alnb.ui.label.app import LabelApp


@pytest.fixture(autouse=True)
def log_folder(tmp_path, monkeypatch):
    """The folder of the log of a page that has no session."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "alnb" / "log"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "session"


@pytest.fixture
def using(squares, folder, monkeypatch):
    """Run a story of a person on the app, on a session in `folder`."""
    monkeypatch.setattr(app_module, "WATCH_S", 0.02)

    def run(story, dataset=squares, config=CONFIG, worker=FakeWorker):
        async def whole():
            session = Session.open(folder, dataset, config, take_over=True)
            clock = Clock()
            app = LabelApp(session, "me", clock, worker)
            app.start()
            app.view.tap._receive(app.view.tap, {"kind": "drawn", "box": app.view.tap.target}, [])
            person = Person(app, clock)
            await person.settle()
            try:
                return await story(person)
            finally:
                await asyncio.sleep(0)  # what was begun last has started, and can be cancelled
                for task in app._tasks:
                    task.cancel()

        return asyncio.run(whole())

    return run
