"""The maps of a frozen trunk, computed once a dataset and memory-mapped.

    NAME/s8.npy, s16.npy, s32.npy   (N, 2, h, w, C) float16: a slice, then its mirror image
    NAME/done.npy                   (N,) uint8: 1 where the maps of a slice are there

N counts the dataset's slices, in its order. NAME hashes all that the maps follow from. The files
are sparse: made at full length, filled slice by slice, each slice marked once its maps are on
disk. They may be deleted at any time; since float16 is what is used, whether just computed or
read back, that changes no figure. Two processes that fill the same files write the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alnb.dataset import Dataset, SliceId
from alnb.errors import TrainerError
from alnb.training.fcn8 import FCN8, Features

FORMAT = 1
STRIDES = ("s8", "s16", "s32")
DONE = "done"
HIGHEST = float(np.finfo(np.float16).max)  # what lies above is stored as this

Shape = tuple[int, ...]


class FeatureStore:
    """The trunk's maps of a dataset's slices and of their mirror images.

    Parameters
    ----------
    dataset : Dataset
    network : FCN8
        In eval mode; whose trunk it is. Others with an equal trunk may use the store.
    folders : sequence of Path
        Where it may lie: it is looked for in each, and made in the first that can be written.
    """

    def __init__(self, dataset: Dataset, network: FCN8, folders: Sequence[Path]) -> None:
        self.dataset = dataset
        self.identity = identity(dataset, network)
        self._folders = tuple(folders)
        self._row = {where: n for n, where in enumerate(dataset.slices)}
        self._files = self._find()

    @property
    def name(self) -> str:
        """Of the folder that holds the files."""
        return f"trunk-{self.identity}"

    def missing(self, slices: Sequence[SliceId]) -> list[SliceId]:
        """List the slices whose maps are not there yet."""
        if self._files is None:
            return list(slices)
        done = self._files.done
        return [where for where in slices if not done[self._row[where]]]

    def add(self, network: FCN8, where: SliceId) -> None:
        """Run the trunk on a slice and on its mirror image, and keep the maps.

        Raises
        ------
        TrainerError
            If they can't be written anywhere.
        """
        maps = self._compute(network, where)
        try:
            if self._files is None:
                self._files = self._make([one.shape for one in maps])
            self._files.write(self._row[where], maps)
        except OSError as error:
            places = " or ".join(str(folder) for folder in self._folders)
            raise TrainerError(
                f"the features of slice {where} could not be written to {places} ({error}). "
                "Free some space there, or train with freeze=stem, which keeps none."
            ) from error

    def maps(
        self, network: FCN8, which: Sequence[tuple[SliceId, bool]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read maps, after computing those that are missing.

        Parameters
        ----------
        network : FCN8
            With the store's trunk; on its device the maps are wanted.
        which : sequence of (slice, whether its mirror image)

        Returns
        -------
        three (B, C, h, w) float32 tensors
            At strides 8, 16 and 32, channels last.
        """
        for where in self.missing([where for where, _ in which]):
            self.add(network, where)
        files = cast("_Files", self._files)  # there is at least one slice in it
        rows = [(self._row[where], int(mirrored)) for where, mirrored in which]
        s8, s16, s32 = (
            torch.from_numpy(np.stack([stored[row] for row in rows]))
            .to(network.mean.device)
            .float()
            .permute(0, 3, 1, 2)
            for stored in files.maps
        )
        return s8, s16, s32

    def kept(self, where: SliceId) -> Kept:
        """Return a slice as the network sees it."""
        return Kept(self, ((where, False),))

    @torch.inference_mode()
    def _compute(self, network: FCN8, where: SliceId) -> list[NDArray[np.float16]]:
        """Run the trunk; always on two images, so that the rest of a batch can't change a bit.

        Returns
        -------
        three (2, h, w, C) float16 arrays
        """
        grey = torch.from_numpy(np.array(self.dataset.image(where)))
        x = network.normalise(torch.stack([grey, grey.flip(-1)]).to(network.mean.device))
        maps = network.trunk.rest(network.trunk.stem(x))
        return [
            one.permute(0, 2, 3, 1).clamp(-HIGHEST, HIGHEST).half().contiguous().cpu().numpy()
            for one in maps
        ]

    def _find(self) -> _Files | None:
        found = (_Files.open(folder / self.name, len(self._row)) for folder in self._folders)
        return next((files for files in found if files is not None), None)

    def _make(self, shapes: Sequence[Shape]) -> _Files:
        """Make empty files in the first folder that can be written.

        Raises
        ------
        OSError
            If there is none.
        """
        failure = OSError("no folder was given")
        for path in (folder / self.name for folder in self._folders for _ in range(2)):
            try:
                _create(path, len(self._row), shapes)
            except OSError as error:
                failure = error
            files = _Files.open(path, len(self._row))  # ours, or those another process just made
            if files is not None:
                return files
            shutil.rmtree(path, ignore_errors=True)  # broken ones; the second time makes others
        raise failure


@dataclass(frozen=True, slots=True)
class Kept:
    """A batch of slices, as a network with a frozen trunk sees them: by their maps in a store.

    Parameters
    ----------
    store : FeatureStore
    which : tuple of (slice, whether its mirror image)
    """

    store: FeatureStore
    which: tuple[tuple[SliceId, bool], ...]

    def features(self, network: FCN8) -> Features:
        """Run the network from the trunk's maps to the first dropout."""
        size = (self.store.dataset.size, self.store.dataset.size)
        return network.features_of_maps(self.store.maps(network, self.which), size)


Seen = Tensor | Kept  # what a network sees: uint8 grey levels, or a trunk's maps


def mirrored(seen: Seen) -> Seen:
    """Mirror left to right."""
    if isinstance(seen, Tensor):
        return seen.flip(-1)
    return Kept(seen.store, tuple((where, not already) for where, already in seen.which))


def stacked(slices: Sequence[Seen]) -> Seen:
    """Make a batch of slices that are all grey levels, (H, W), or all kept."""
    first = slices[0]
    if isinstance(first, Tensor):
        return torch.stack([cast("Tensor", one) for one in slices])  # (B, H, W)
    return Kept(first.store, tuple(one for seen in slices for one in cast("Kept", seen).which))


def features_of(network: FCN8, seen: Seen) -> Features:
    """Run everything before the first dropout on a batch, on the network's device."""
    if isinstance(seen, Tensor):
        return network.features(network.normalise(seen.to(network.mean.device)))
    return seen.features(network)


def identity(dataset: Dataset, network: FCN8) -> str:
    """Hash all that the maps follow from."""
    what = [FORMAT, dataset.fingerprint, network.backbone.name, network.published,
            network.mean.device.type]  # fmt: skip
    digest = hashlib.sha256(json.dumps(what).encode())
    for name, value in network.trunk.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


class _Files:
    """The four files of a store, read through memory maps and written through handles.

    A full disk is then an error where writing through a map would end the process; and files
    that somebody deletes meanwhile live on until they are closed.
    """

    def __init__(self, handles: Sequence[IO[bytes]]) -> None:
        *self.maps, self.done = (_mapped(handle) for handle in handles)
        self._handles = dict(zip((*STRIDES, DONE), handles, strict=True))

    @classmethod
    def open(cls, folder: Path, slices: int) -> _Files | None:
        """Open the files; None if they are missing, broken, or to be filled but read-only."""
        opened = contextlib.ExitStack()
        try:
            files = cls([opened.enter_context(_open(folder, name)) for name in (*STRIDES, DONE)])
        except (OSError, ValueError):
            opened.close()
            return None
        weakref.finalize(files, opened.close)
        fits = all(len(array) == slices for array in (*files.maps, files.done))
        writable = all(handle.writable() for handle in files._handles.values())
        return files if fits and (writable or files.done.all()) else None

    def write(self, row: int, maps: Sequence[NDArray[Any]]) -> None:
        """Write a slice's maps, wait until they are on disk, then mark it.

        Raises
        ------
        OSError
            If the disk is full.
        """
        for name, array, values in zip(STRIDES, self.maps, maps, strict=True):
            self._put(name, array, row, values.tobytes())
        self._put(DONE, self.done, row, b"\x01")

    def _put(self, name: str, array: np.memmap[Any, Any], row: int, values: bytes) -> None:
        handle = self._handles[name]
        handle.seek(array.offset + row * len(values))
        handle.write(values)
        handle.flush()
        os.fsync(handle.fileno())


def _open(folder: Path, name: str) -> IO[bytes]:
    path = folder / f"{name}.npy"
    try:
        return path.open("r+b")
    except OSError:  # read-only
        return path.open("rb")


def _mapped(handle: IO[bytes]) -> np.memmap[Any, Any]:
    """Map an .npy file; a memory map of an open file, where np.load wants a name."""
    np.lib.format.read_magic(handle)
    shape, _, dtype = np.lib.format.read_array_header_1_0(handle)
    return np.memmap(handle, dtype, "r", handle.tell(), shape)


def _create(folder: Path, slices: int, shapes: Sequence[Shape]) -> None:
    """Make files full of zeros that take no room, under a temporary name, then rename.

    Raises
    ------
    OSError
        If that can't be written, or there are files already.
    """
    temporary = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
    temporary.mkdir(parents=True)
    try:
        for name, shape in zip(STRIDES, shapes, strict=True):
            _zeros(temporary / f"{name}.npy", (slices, *shape), np.float16)
        _zeros(temporary / f"{DONE}.npy", (slices,), np.uint8)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _zeros(path: Path, shape: Shape, dtype: type[np.generic]) -> None:
    np.lib.format.open_memmap(path, "w+", dtype, shape)
