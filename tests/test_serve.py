import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from alnb.errors import AlnbError
from alnb.serve import FILES, HOST, TEMPLATES, app_notebook, free_port, serve, voila_config

SHARED = Path(__file__).parents[1] / "apps" / "voila.json"
ENV = {"PYTHONPATH": str(Path(__file__).parents[1])}  # where alnb is not installed


@pytest.fixture
def notebook(tmp_path):
    path = tmp_path / "page.ipynb"
    cell = {"cell_type": "code", "source": "# a secret", "id": "one", "metadata": {}, "outputs": [],
            "execution_count": None}  # fmt: skip
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook))
    (tmp_path / "secret.png").write_bytes(b"\x89PNG")
    return path


def status(address, **headers):
    """Return the final HTTP status and address."""
    try:
        request = urllib.request.Request(address, headers=headers)  # noqa: S310 - our own http
        with urllib.request.urlopen(request) as reply:  # noqa: S310
            return reply.status, reply.url
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.url


def test_a_browser_is_led_in_once_and_its_command_line_holds_no_token(notebook, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    with serve(notebook, token="secret-token", env=ENV):  # noqa: S106
        (address,) = opened
        code, inside = status(address)
        assert code == 200
        assert "secret-token" in inside
        assert "secret-token" not in address
        with pytest.raises(OSError):
            urllib.request.urlopen(address, timeout=5)  # noqa: S310


def test_a_port_in_use_is_said_with_what_to_do():
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AlnbError, match=f"port {port} is in use. Name another with --port"):
            free_port(port)


def test_a_port_that_cannot_be_is_said():
    with pytest.raises(AlnbError, match="port 99999 can't be used"):
        free_port(99999)


def test_a_port_is_chosen_where_none_is_named():
    assert 0 < free_port() < 65536


def test_a_missing_notebook_is_named(tmp_path):
    with pytest.raises(AlnbError, match="there is no notebook"):
        serve(tmp_path / "absent.ipynb", open_browser=False)


def test_the_label_app_is_found():
    assert app_notebook().name == "label.ipynb"


def test_an_unknown_app_is_named():
    with pytest.raises(AlnbError, match="'other'"):
        app_notebook("other")


def test_the_settings_listen_on_loopback_and_open_no_kernel_port(notebook):
    config = voila_config(notebook, 1234)

    assert config["Voila"]["ip"] == "127.0.0.1"
    assert config["ConnectionFileMixin"]["transport"] == "ipc"


def test_the_page_needs_its_token_and_nothing_else_is_served(notebook):
    token = "t0"  # noqa: S105 - of a server that lives for this test
    with serve(notebook, open_browser=False, token=token, env=ENV) as server:
        home = f"http://{HOST}:{server.port}"

        assert server.address == f"{home}/?token=t0"
        assert "/login" in status(f"{home}/")[1]
        assert "/login" in status(f"{home}/?token=wrong")[1]
        for file in ("secret.png", "page.ipynb"):
            assert status(f"{home}/voila/files/{file}?token=t0")[0] == 403
        assert status(server.address, Host="elsewhere.example")[0] == 403

    with pytest.raises(ConnectionRefusedError), socket.create_connection((HOST, server.port)):
        pass


def test_the_page_may_load_nothing_from_elsewhere_and_tells_nobody_its_token(notebook):
    with (
        serve(notebook, open_browser=False, env=ENV) as server,
        urllib.request.urlopen(server.address) as reply,  # noqa: S310 - our own http
    ):
        headers, page = reply.headers, reply.read().decode()

    rules = dict(
        rule.strip().split(" ", 1) for rule in headers["Content-Security-Policy"].split(";")
    )
    assert rules["default-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["object-src"] == "'none'"
    assert not any("http" in rule or "*" in rule for rule in rules.values())
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "a secret" not in page  # the cell's source


def test_a_kernel_without_a_page_is_ended_after_a_while(notebook, monkeypatch):
    monkeypatch.setattr("alnb.serve.CULL_S", 1)
    monkeypatch.setattr("alnb.serve.CULL_EVERY_S", 1)
    with serve(notebook, open_browser=False, env=ENV) as server:
        assert status(server.address)[0] == 200  # and nobody connects to its kernel

        assert wait_until(lambda: kernels(server.pid))
        assert wait_until(lambda: not kernels(server.pid))


def test_a_server_of_ones_own_has_the_same_settings(notebook):
    ours = voila_config(notebook, 1234)
    for name in ("port", "port_retries", "notebook_path", "root_dir", "config_file_paths"):
        del ours["Voila"][name]  # of this machine, or of a server that nobody sees
    del ours["Voila"]["log_level"]
    ours["Voila"]["tornado_settings"]["local_hostnames"] = ["localhost"]  # to add one's own to

    assert json.loads(SHARED.read_text()) == ours


def test_a_server_of_ones_own_is_as_closed(notebook):
    config = json.loads(SHARED.read_text())
    config["Voila"]["tornado_settings"]["local_hostnames"].append("label.example")
    (notebook.parent / "voila.json").write_text(json.dumps(config))
    port = free_port()
    command = [sys.executable, "-m", "alnb.guard", notebook.name, f"--port={port}"]
    env = {**os.environ, **ENV, "JUPYTER_TOKEN": "t0", "JUPYTER_PATH": str(TEMPLATES)}
    home = f"http://{HOST}:{port}"
    with subprocess.Popen(command, cwd=notebook.parent, env=env) as process:
        try:
            assert wait_until(lambda: listens(port))
            assert "/login" in status(f"{home}/")[1]
            assert status(f"{home}/?token=t0")[0] == 200
            assert status(f"{home}/?token=t0", Host="label.example")[0] == 200
            assert status(f"{home}/?token=t0", Host="elsewhere.example")[0] == 403
            assert status(f"{home}/voila/files/secret.png?token=t0")[0] == 403
            assert status(f"{home}/voila/templates/?token=t0")[0] == 404
            assert status(f"{home}/login", Origin="http://elsewhere.example")[0] == 403
        finally:
            process.terminate()


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection((HOST, port)):
        return True
    return False


def kernels(pid):
    """Processes of kernels that a process has started and that have not ended."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for child in found if b"ipykernel" in Path(f"/proc/{child}/cmdline").read_bytes()]


def wait_until(true, within_s=120):
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


def test_a_server_may_open_more_files_than_a_shell_allows(notebook):
    if sys.platform != "linux":
        pytest.skip("reads the limit of another process")
    shell = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, shell[1]))
    try:
        with serve(notebook, open_browser=False, env=ENV) as server:
            assert resource.prlimit(server.pid, resource.RLIMIT_NOFILE)[0] >= min(FILES, shell[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, shell)


def test_a_server_that_fails_says_so(notebook, monkeypatch):
    monkeypatch.setattr("alnb.serve.voila_config", lambda *_: {"Voila": {"port": "none"}})

    with pytest.raises(AlnbError, match="the server ended at once"):
        serve(notebook, open_browser=False, env=ENV)
