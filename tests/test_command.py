import asyncio
import os
import sys
import time

import pytest

from alnb.ui import command
from alnb.ui.command import CommandError, run_command

CODE = "import sys, time, json; "


@pytest.fixture
def instead(monkeypatch):
    """Let a script run in the command's place."""

    def put(script):
        spawn = asyncio.create_subprocess_exec

        async def other(_python, _m, _alnb, *_words, **options):
            return await spawn(sys.executable, "-c", CODE + script, **options)

        monkeypatch.setattr(asyncio, "create_subprocess_exec", other)

    return put


def test_a_command_gives_its_lines_and_its_progress(instead):
    told = []
    instead("print('one'); print(json.dumps({'ALNB_PROGRESS': {'note': '1 of 2'}})); print('two')")
    lines = asyncio.run(run_command("import", on_progress=told.append))

    assert lines == ["one", "two"]
    assert told == [{"note": "1 of 2"}]


@pytest.mark.parametrize("line", ['{"ALNB_PROGRESS": [', '{"ALNB_PROGRESS": 1}', "{}"])
def test_a_line_that_looks_like_progress_is_a_line(instead, line):
    instead(f"print({line!r})")

    assert asyncio.run(run_command("import")) == [line]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("sys.exit('alnb: no such folder. Check it.')", "^no such folder. Check it.$"),
        ("1 / 0", r"^something went wrong in alnb import \(ZeroDivisionError: division by zero\)"),
        ("sys.exit(3)", r"something went wrong in alnb import \(status 3\)"),
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9, perhaps for lack of memory"),
    ],
)
def test_a_command_that_fails_is_a_sentence(instead, caplog, script, said):
    instead(script)

    with pytest.raises(CommandError, match=said):
        asyncio.run(run_command("import"))
    assert ("Traceback" in caplog.text) == ("1 / 0" in script)  # the log has it, not the page


def test_a_command_that_is_cancelled_ends(instead, monkeypatch):
    monkeypatch.setattr(command, "END_S", 0.5)
    ignore = "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    say = "print(json.dumps({'ALNB_PROGRESS': {'pid': os.getpid()}}), flush=True); "
    instead(ignore + say + "time.sleep(60)")

    async def story():
        begun = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(
            run_command("import", on_progress=lambda told: begun.set_result(told["pid"]))
        )
        pid = await asyncio.wait_for(begun, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pid

    began = time.monotonic()
    pid = asyncio.run(story())
    assert time.monotonic() - began < 20
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
