"""A real server, and what must not be got from it."""

import logging

import pytest
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from alnb.guard import PARTS, KernelEndedFilter, TokenlessFormatter
from tests.attack.served import (
    FOREIGN,
    FRAMES,
    LEFT,
    PATHS,
    TOKEN,
    foreign,
    frames,
    handshakes,
    reloads,
    requests,
    target,
    wait_until,
)

SEED = 7  # `python -m tests.attack --served 10000` takes a fresh one


@pytest.fixture(scope="module")
def served():
    with target() as served:
        yield served


def failed(outcomes):
    return [outcome for outcome in outcomes if not outcome.held]


def test_no_request_ends_in_an_error_of_the_server(served):
    assert failed(requests(served, SEED, 3 * len(PATHS))) == []
    for path in ("/logout", "/voila/templates/", "/voila/templates/alnb/static/%00"):
        assert served.ask("GET", path, token=True)[0] in (302, 403, 404)


def test_a_page_of_another_site_starts_no_kernel_with_the_persons_cookie(served):
    assert failed(foreign(served, SEED, len(FOREIGN))) == []


def test_the_cookie_goes_to_no_other_site_and_a_logout_forgets_it(served):
    _, headers, _ = served.ask("GET", "/login", token=True)
    assert {"SameSite=Strict", "HttpOnly"} <= set(headers["Set-Cookie"].split("; "))

    status, headers, _ = served.ask("GET", "/logout", {"Cookie": served.cookie})
    assert (status, headers["Location"]) == (302, "/login")
    assert headers["Set-Cookie"].startswith(served.cookie.split("=")[0] + '="";')


def test_a_link_with_the_token_and_a_page_of_ones_own_are_let_in(served):
    link = {"Sec-Fetch-Site": "cross-site"}
    assert served.ask("GET", "/login", link, token=True)[0] == 302  # to the page
    own = {"Cookie": served.cookie, "Sec-Fetch-Site": "same-origin", "Origin": "null"}
    assert served.ask("POST", f"/voila/api/shutdown/{'0' * 8}", own)[0] == 404  # no such kernel


def test_a_message_that_cannot_be_ends_no_more_than_its_connection(served):
    assert PARTS * 8 < 10 * 2**20
    assert failed(frames(served, SEED, FRAMES)) == []


def test_pages_that_are_left_at_once_leave_no_kernel(served):
    assert failed(reloads(served, SEED, LEFT, within_s=120)) == []  # 5 on an idle machine


def test_a_page_that_is_left_while_it_connects_leaves_no_trace_in_the_log(capfd):
    with target() as served:  # one whose log is ours
        assert failed(handshakes(served, SEED, LEFT)) == []
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (WebSocketClosedError(), False), (StreamClosedError(), False),
        (RuntimeError("Kernel died before replying"), False), (RuntimeError("other"), True),
        (AttributeError("no", name="other", obj=None), True), (OSError("no space"), True),
    ],
)  # fmt: skip
def test_the_log_keeps_the_traces_of_faults_and_not_of_pages_that_were_left(error, kept):
    record = logging.LogRecord("asyncio", 40, "", 1, "never retrieved", (), (None, error, None))

    assert KernelEndedFilter().filter(record) is kept


def test_a_kernel_that_ends_is_said_on_its_page_and_the_log_has_no_token(capfd):
    with target("import os; os._exit(1)") as served:
        _, _, page = served.ask("GET", "/", token=True)
        served.ask("GET", "/%ff", token=True)
        served.ask("GET", "/voila/templates/none", token=True)
        assert wait_until(lambda: not served.kernels(), 120)
    log = capfd.readouterr().err

    assert b"This page could not start" in page
    assert "A page's kernel ended" in log
    assert "400" in log or "Invalid unicode" in log
    assert TOKEN not in log


def test_a_token_is_cut_out_of_whatever_is_logged():
    words = "uri='/x?a=1&token=secret&b=2' %s"
    entry = logging.LogRecord("a", logging.ERROR, "", 0, words, ("token=other",), None)
    said = TokenlessFormatter().format(entry)

    assert "uri='/x?a=1&token=[secret]&b=2' token=[secret]" in said
