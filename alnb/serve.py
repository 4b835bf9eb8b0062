"""Serve one notebook as a page on this machine, by Voila, closed to everything else.

The address answers only on 127.0.0.1 and asks for a token. Nothing but the page is served, and the
page may load nothing from elsewhere. `Server` holds a child process, ``python -m alnb.serve``,
which runs Voila. The child ends, with its kernels, when its standard input closes.

Settings reach the notebook's kernel as environment variables. Paths are absolute, since the kernel
runs in the notebook's folder:

==================  ===================================================
``ALNB_DATA``       the dataset's folder
``ALNB_SESSION``    the session's folder, of `ui.label_app`
``ALNB_SESSIONS``   where the address' ``session=NAME`` is looked for
``ALNB_START``      a folder whose start page is shown instead
``ALNB_SETTINGS``   of `Config`, as JSON, for a new session
``ALNB_ANNOTATOR``  who answers
``ALNB_RUNS``       folders of runs, of the explorer and the comparison
``ALNB_OUT``        where the comparison saves figure and data
==================  ===================================================
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from alnb.errors import AlnbError

HOST = "127.0.0.1"
DOOR_S = 60.0  # ours: how long a browser may take to start
TEMPLATES = Path(__file__).parent / "ui" / "template"
EXTENSIONS = [  # no other that is installed: jupyterlab-plotly would load 4.7 MB
    "@jupyter-widgets/jupyterlab-manager",
    "@voila-dashboards/widgets-manager8",
    "anywidget",
]
START_S = 60.0  # a cold disk and a busy machine start Voila within this
CULL_S = 300  # a kernel whose page closed without telling it ends after this; Voila's: never
CULL_EVERY_S = 30
STOP_S = 10.0
FILES = 4096  # ours: that may be open at once; macOS' shells allow 256
OUTPUT_S = 120  # ours: a busy machine may take this long to show a cell; Voila's: 4, then nothing
HEARTBEAT_S = 2  # ours: how soon a page learns that its kernel ended while it starts; Voila's: 10
LOGGING = {
    "formatters": {"console": {"class": "alnb.guard.TokenlessFormatter"}},
    "filters": {"ended": {"()": "alnb.guard.KernelEndedFilter"}},
    "handlers": {"console": {"filters": ["ended"]}},
    "loggers": {"tornado": {"handlers": ["console"]}, "asyncio": {"handlers": ["console"]}},
}
POLICY = (  # Voila writes scripts into the page, and anywidget loads its modules from blobs
    "default-src 'self'; script-src 'self' 'unsafe-inline' blob:; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
)


def app_notebook(name: str = "label") -> Path:
    """Find an app's notebook in a checkout or in the package; AlnbError if there is none."""
    package = Path(__file__).parent
    for folder in (package / "_apps", package.parent / "apps"):
        if (folder / f"{name}.ipynb").is_file():
            return folder / f"{name}.ipynb"
    raise AlnbError(f"the app {name!r} is not installed; reinstall alnb with pip install alnb.")


def voila_config(notebook: Path, port: int) -> dict[str, Any]:
    """Return Voila's settings: one notebook on a port of `HOST`, and nothing else."""
    headers = {
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",  # the address carries the token
        "X-Content-Type-Options": "nosniff",
    }
    return {
        "Voila": {
            "ip": HOST,
            "port": port,
            "port_retries": 0,
            "open_browser": False,
            "auto_token": True,  # taken from JUPYTER_TOKEN
            "notebook_path": str(notebook),
            "root_dir": str(notebook.parent),
            "config_file_paths": [],  # no configuration file on the machine loosens this
            "log_level": "ERROR",
            "logging_config": LOGGING,
            "identity_provider_class": "alnb.guard.Identity",
            "kernel_websocket_connection_class": "alnb.guard.Connection",
            "tornado_settings": {
                "headers": headers,
                "allow_remote_access": False,  # refuses a foreign Host, as in DNS rebinding
                # lets a closing page end its kernel (voila#1458); the token guards the rest
                "disable_check_xsrf": True,
                # the page pings the kernel itself; Jupyter counts in ms, Tornado in s, and closed
                # the connection every 30 s
                "ws_ping_interval": 0,
            },
        },
        "VoilaConfiguration": {
            "template": "alnb",
            "allow_template_override": "NO",
            "allow_theme_override": "NO",
            "file_allowlist": [r"(?!)"],  # matches nothing
            "strip_sources": True,
            "show_tracebacks": False,
            "extension_allowlist": EXTENSIONS,
            "http_keep_alive_timeout": HEARTBEAT_S,
        },
        "VoilaExecutor": {"iopub_timeout": OUTPUT_S},
        "IdentityProvider": {"cookie_options": {"samesite": "Strict"}},
        "MappingKernelManager": {
            "cull_idle_timeout": CULL_S,
            "cull_interval": CULL_EVERY_S,
            "cull_connected": False,
        },
        "KernelManager": {"autorestart": False},  # a restarted kernel would be empty
        "ConnectionFileMixin": {"transport": "ipc"},  # no open ports
    }


class Server:
    """A notebook that is being served on a port of `HOST`; a context manager that ends it."""

    def __init__(self, process: subprocess.Popen[str], port: int, token: str) -> None:
        self._process = process
        self.port = port
        self.address = f"http://{HOST}:{port}/?token={token}"  # what to open

    @property
    def pid(self) -> int:
        """The serving process."""
        return self._process.pid

    def wait(self) -> int:
        """Serve until Ctrl-C or the process ends; return its exit status, 0 after Ctrl-C."""
        try:
            return self._process.wait()
        except KeyboardInterrupt:
            self.close()
            return 0

    def close(self) -> None:
        """End the server and its kernels; they get `STOP_S` seconds to do so themselves."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(
    notebook: Path,
    *,
    port: int | None = None,
    token: str | None = None,
    open_browser: bool = True,
    env: Mapping[str, str] | None = None,
) -> Server:
    """Serve a notebook, and return once its page can be opened.

    Parameters
    ----------
    notebook : Path
        The only thing that is served.
    port : int, optional
        None takes a free one.
    token : str, optional
        What the address must carry; None makes a random one.
    open_browser : bool
        Whether to open the page in the person's browser.
    env : mapping of str to str, optional
        Added to the kernels' environment; see the module's table.

    Returns
    -------
    Server
        Close it, or leave its ``with`` block.

    Raises
    ------
    AlnbError
        If there is no such notebook, the port is in use, or Voila does not start.
    """
    notebook = notebook.resolve()
    if not notebook.is_file():
        raise AlnbError(f"there is no notebook {notebook}; check its path.")
    port = free_port(port)
    token = token or secrets.token_urlsafe(24)
    server = Server(_start(notebook, port, token, env or {}), port, token)
    try:
        _wait_for(server)
    except BaseException:
        server.close()
        raise
    if open_browser:
        webbrowser.open(_door(server.address))
    return server


def _door(address: str) -> str:
    """Return an address that redirects to another, only once and for `DOOR_S` at most.

    A browser gets its address on its command line, where every user of the machine can read it.
    This address is useless once opened, and the token is on no command line.
    """
    path = f"/{secrets.token_urlsafe(24)}"
    unused = threading.Lock()

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != path or not unused.acquire(blocking=False):
                self.send_error(404)
                return
            self.send_response(302)
            self.send_header("Location", address)
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            threading.Thread(target=doors.shutdown, daemon=True).start()

        def log_message(self, *_: object) -> None:
            """Say nothing on the terminal."""

    doors = ThreadingHTTPServer((HOST, 0), Door)
    in_time = threading.Timer(DOOR_S, doors.shutdown)
    in_time.daemon = True

    def stand() -> None:
        in_time.start()
        doors.serve_forever(poll_interval=0.1)
        in_time.cancel()
        doors.server_close()

    threading.Thread(target=stand, daemon=True).start()
    return f"http://{HOST}:{doors.server_port}{path}"


def free_port(port: int | None = None) -> int:
    """Return `port`, or any free one for None; AlnbError if it is in use or can't be used."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port or 0))
        except (OSError, OverflowError) as error:
            in_use = getattr(error, "errno", None) == errno.EADDRINUSE
            reason = "is in use" if in_use else f"can't be used ({error})"
            raise AlnbError(
                f"port {port} {reason}. Name another with --port, or leave it out."
            ) from error
        return int(probe.getsockname()[1])


def _start(notebook: Path, port: int, token: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
    paths = [str(TEMPLATES), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    process = subprocess.Popen(
        [sys.executable, "-m", "alnb.serve"],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches only the parent, which ends it in order
        env={
            **os.environ,
            **env,
            "JUPYTER_TOKEN": token,  # not on the command line, where every user could read it
            "JUPYTER_PATH": os.pathsep.join(paths),
            "JUPYTER_PREFER_ENV_PATH": "1",  # this Python's kernel, not the user's
        },
    )
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(voila_config(notebook, port)) + "\n")
            process.stdin.flush()
    return process


def _wait_for(server: Server) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if server._process.poll() is not None:
            raise AlnbError(
                f"the server ended at once, with status {server._process.returncode}; "
                "what it printed above says why."
            )
        with contextlib.suppress(OSError), socket.create_connection((HOST, server.port), 1):
            return
        time.sleep(0.05)
    raise AlnbError(f"the server did not answer within {START_S:.0f} s; try again.")


def _allow_files() -> None:
    """Let this process and its kernels open more files than shells allow: a page needs some 30."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def main() -> None:
    """Run Voila with the settings on the first line of standard input, until that closes."""
    settings = json.loads(sys.stdin.readline())
    _allow_files()
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type] # as in alnb.ui
    from traitlets.config import Config

    from alnb.guard import Guarded

    def end_with_parent() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)  # Voila ends its kernels on this

    threading.Thread(target=end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until Voila has set its own
    app = Guarded(config=Config(settings))
    app.initialize([])
    app.start()


if __name__ == "__main__":
    main()
