"""Import scans from the start page: which folders may be read, what arrives, and the command.

A folder is read only below the root that the page was started in. What a browser sends, and what a
zip holds, lies in a working folder among the user's datasets. The dataset is built there, too, and
moved to its place when it is complete. The working folder goes with its page.
"""

from __future__ import annotations

import atexit
import errno
import itertools
import os
import re
import secrets
import shlex
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Event
from typing import Any, BinaryIO

from alnb.dataset.files import is_called_mask
from alnb.dataset.split import KINDS
from alnb.errors import DataError, path_error, quoted, saying
from alnb.journal import another_lives
from alnb.sessions import datasets_folder
from alnb.ui.command import CommandError, run_command
from alnb.volumes import NIFTI, PICTURES

UPLOAD_BYTES = 2 * 2**30  # ours: several chest CTs as zips of DICOM; a larger one lies in a folder
UPLOAD_FILES = 500  # ours: pictures and their masks; more fit into a zip
UNPACKED_BYTES = 8 * 2**30  # ours: DICOM in a zip is at most a few times smaller
UNPACKED_FILES = 20_000  # ours: ten chest CTs of thin slices, twice
SPARE_BYTES = 2**28  # ours: of the disk, for the sessions that are open
COMPLETIONS = 50  # ours: more is no list that one reads
UPLOADED = (*NIFTI, ".img", *PICTURES, ".zip")
WORK = ".import-"  # a working folder's name begins so, and goes on with its page's process
PATH_CHARS = 4096  # Linux' limit
COPY = 2**20  # bytes at once
BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip

PUBLISHED = {  # import -> names of which one lies in its folder
    "covid19b": ("COVID-19-CT-Seg_20cases",),
    "medseg": ("rp_im", "train_im.nii.gz"),
    "covid19a": ("OpenSourceDCMs",),
    "semiseg": ("TrainingSet", "Imgs"),
}
VALUED = {
    "--infected", "--infected-above", "--unit", "--offset", "--affine", "--flip", "--skip",
    "--window", "--size", "--seed", "--acquisition", "--split",
}  # fmt: skip
FLAGS = {"--pseudo-masks", "--synthetic", "--allow-shared-scans"}


# --- folders that may be read ---


def confined(root: Path, text: str) -> Path:
    """Find what a person named below the root, with links followed.

    Raises
    ------
    DataError
        If it lies elsewhere, or can't be a path.
    """
    try:
        found = (root / text.strip()[:PATH_CHARS]).resolve()
        inside = found.is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links, or a null
        raise DataError(f"{text[:200]!r} can't be a folder's path. Correct it.") from error
    if not inside:
        raise DataError(
            f"{text.strip()[:200]} is not in {root}, and this page reads only folders in it. Start "
            "alnb label in a folder above your scans, or upload them."
        )
    return found


def completions(root: Path, text: str) -> list[str]:
    """List the folders that a path may become, as the person writes it; each ends with a slash."""
    begun, _, last = text.rpartition("/")
    begun = f"{begun}/" if "/" in text else ""
    try:
        inner = [one.name for one in os.scandir(confined(root, begun or ".")) if one.is_dir()]
    except (OSError, DataError):
        return []
    names = (one for one in sorted(inner) if one.startswith(last) and not one.startswith("."))
    seen = (f"{begun}{name}/" for name in names if _is_inside(root, f"{begun}{name}"))
    return list(itertools.islice(seen, COMPLETIONS))


def _is_inside(root: Path, text: str) -> bool:
    try:
        return bool(confined(root, text))
    except DataError:
        return False


def check_links(folder: Path, root: Path) -> None:
    """Refuse a folder in which a link leads out of the root, with a `DataError`."""
    at = root.resolve()
    for inner, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(inner, name)
            if path.is_symlink() and not path.resolve().is_relative_to(at):
                raise DataError(
                    f"{path} is a link that leads out of {root}, which this page does not follow. "
                    "Copy what it leads to, or use alnb import in a terminal."
                )


# --- what a folder holds ---


@dataclass(frozen=True, slots=True)
class Plan:
    """How a folder is imported."""

    kind: str  # the name of the import
    images: Path
    masks: Path | None = None
    count: int | None = None  # of the scans, where file names tell

    @property
    def words(self) -> str:
        """Say what was found."""
        if self.kind in PUBLISHED:
            return f"The published data that alnb import {self.kind} reads."
        if self.kind == "dicom":
            return "No NIfTI and no pictures; it is read as DICOM."
        noun = "NIfTI volume" if self.kind == "nifti" else "picture"
        beside = "beside them" if self.masks == self.images else f"in {_name(self.masks)}"
        masks = f"masks {beside}" if self.masks else "no masks"
        return f"{self.count} {noun}{'' if self.count == 1 else 's'}, {masks}."

    @property
    def source(self) -> list[str]:
        """The arguments of ``alnb import`` that name the files."""
        if self.kind not in ("nifti", "pairs"):
            return [self.kind, str(self.images)]
        masks = ["--masks", str(self.masks)] if self.masks else []
        return [self.kind, "--images", str(self.images), *masks]


def _name(path: Path | None) -> str:
    return path.name if path else ""


@saying("folder")
def plan_of(folder: Path, masks: Path | None = None) -> Plan:
    """Choose the import for a folder by the names of what it holds.

    Parameters
    ----------
    folder : Path
        Volumes or pictures, published data, DICOM at any depth, or one folder that holds these.
    masks : Path, optional
        A folder of masks. None looks for masks beside the scans, by their names, and in a folder
        beside a folder of scans.

    Raises
    ------
    DataError
        If it is no folder, or nothing is in it.
    """
    try:
        inner = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    except OSError as error:
        raise path_error(error, folder) from error
    if not inner:
        raise DataError(f"{folder} is empty. Name a folder that holds scans.")
    return _of_files(folder, inner, masks) or _of_folders(folder, inner, masks)


def _of_files(folder: Path, inner: Sequence[Path], masks: Path | None) -> Plan | None:
    """Choose the import for the files in a folder; None if they tell nothing."""
    names = {path.name for path in inner}
    for kind, marks in PUBLISHED.items():
        if names & {*marks}:
            return Plan(kind, folder)
    for kind, endings in (("nifti", NIFTI), ("pairs", PICTURES)):
        found = [path for path in inner if path.name.lower().endswith(endings)]
        count = len(found) - sum(map(is_called_mask, found))
        if found and masks is None and 0 < count < len(found):
            return Plan(kind, folder, folder, count)
        if found:
            return Plan(kind, folder, masks, len(found))
    return None


def _of_folders(folder: Path, inner: Sequence[Path], masks: Path | None) -> Plan:
    """Choose the import for a folder of folders."""
    folders = [path for path in inner if path.is_dir()]
    like_masks = [path for path in folders if is_called_mask(path)]
    if len(folders) == 2 and len(like_masks) == 1 and masks is None:
        (of_scans,) = (path for path in folders if path not in like_masks)
        return plan_of(of_scans, like_masks[0])
    if len(folders) == 1 and len(inner) == 1:
        return plan_of(folders[0], masks)
    return Plan("dicom", folder)


# --- what arrives ---


class Workplace:
    """A folder for what arrives and is built on a page; `remove` it, or it goes with the process.

    `folder` is made when it is first asked for.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """Where to put files; a `DataError` says if there is no place for them."""
        if self._folder is None:
            self._folder = datasets_folder() / f"{WORK}{os.getpid()}-{secrets.token_hex(4)}"
            try:
                self._folder.mkdir(parents=True)
            except OSError as error:
                raise path_error(error, datasets_folder()) from error
            atexit.register(self.remove)
        return self._folder

    @property
    def uploaded(self) -> Path:
        """Where uploaded files lie."""
        return self.folder / "upload"

    def remove(self) -> None:
        """Delete all that is in it."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            atexit.unregister(self.remove)
        self._folder = None


def clear_left() -> None:
    """Delete the working folders of pages whose process has ended."""
    for folder in datasets_folder().glob(f"{WORK}*"):
        owner = folder.name.removeprefix(WORK).partition("-")[0]
        ours = not owner.isdecimal() or int(owner) == os.getpid()
        if not ours and not another_lives(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


class Incoming:
    """Files on their way from a browser into a folder, one after another and from front to back.

    Parameters
    ----------
    folder : Path
        Gets the files; what was in it is deleted.
    offered : sequence of (str, int)
        Their names and sizes in bytes.

    Raises
    ------
    DataError
        If there are too many or they are too large, one is of another kind or has the name of
        another, or the disk has no room. The folder is then as it was.
    """

    def __init__(self, folder: Path, offered: Sequence[tuple[str, int]]) -> None:
        self.files = [(_plain(name), size) for name, size in offered]
        self.total, self.done = sum(size for _, size in self.files), 0
        _check_offer(self.files, self.total)
        check_room(folder.parent, self.total)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.folder, self._at = folder, 0
        self._open: BinaryIO | None = None

    @property
    def complete(self) -> bool:
        """Whether all files are there."""
        return self._at == len(self.files)

    @property
    def wanted(self) -> dict[str, int]:
        """The piece that comes next: ``file``, from 0, and its first byte, ``begin``."""
        return {"file": self._at, "begin": self._open.tell() if self._open else 0}

    def take(self, number: int, begin: int, piece: bytes) -> None:
        """Write the next piece of the files.

        Parameters
        ----------
        number : int
            Of the file, from 0.
        begin : int
            The piece's first byte in the file.
        piece : bytes

        Raises
        ------
        DataError
            If it is not the piece that is wanted, or can't be written.
        """
        in_turn = {"file": number, "begin": begin} == self.wanted and not self.complete
        if not in_turn or not piece or begin + len(piece) > self.files[number][1]:
            raise DataError("a file changed while it was sent. Choose the files again.")
        name, size = self.files[number]
        try:
            if self._open is None:
                self._open = (self.folder / name).open("xb")
            self._open.write(piece)
            if begin + len(piece) == size:
                self._open.close()
                self._open, self._at = None, self._at + 1
        except OSError as error:
            raise path_error(error, self.folder) from error
        self.done += len(piece)

    def close(self) -> None:
        """Stop writing."""
        if self._open is not None:
            self._open.close()


def _plain(name: str) -> str:
    """Take the last part of a file's name, as a browser gives it."""
    return name.replace("\\", "/").rpartition("/")[2]


def _check_offer(files: Sequence[tuple[str, int]], total: int) -> None:
    names = [name for name, _ in files]
    for name in names:
        if not name.lower().endswith(UPLOADED) or name.startswith(".") or not name.isprintable():
            raise DataError(
                f"{name[:80]} can't be uploaded: choose NIfTI (.nii, .nii.gz, .hdr and .img), PNG "
                "or JPEG files, or put DICOM files into a zip."
            )
    if len({name.casefold() for name in names}) < len(names):
        raise DataError("two of these files have the same name. Rename one.")
    if len(names) > UPLOAD_FILES:
        raise DataError(
            f"these are {len(names)} files; up to {UPLOAD_FILES} can be uploaded at once. Put them "
            "into a zip."
        )
    if total > UPLOAD_BYTES:
        raise DataError(
            f"these files take {_size(total)}; up to {_size(UPLOAD_BYTES)} can be uploaded. Name "
            "their folder instead."
        )
    if not names or min(size for _, size in files) < 1:
        raise DataError("a file is empty, or none was chosen. Choose others.")


def check_room(folder: Path, needed: int) -> None:
    """Refuse what the disk has no room for, with a `DataError`."""
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise DataError(
            f"{_size(needed)} do not fit on the disk: {_size(free)} are free in {folder}. Make "
            "room, and try again."
        )


def _size(number: int) -> str:
    return f"{number / 2**30:.1f} GB" if number >= 2**30 else f"{number / 2**20:.1f} MB"


# --- zips ---


def unpack_all(folder: Path, stop: Event | None = None) -> None:
    """Unpack each zip in a folder into a folder of its name, and delete it; errors as `unpack`."""
    for archive in [path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".zip"]:
        unpack(archive, archive.with_suffix(""), stop)
        archive.unlink()


def unpack(archive: Path, into: Path, stop: Event | None = None) -> None:
    """Unpack a zip into a new folder, which is not there afterwards if anything fails.

    Parameters
    ----------
    archive, into : Path
    stop : threading.Event, optional
        Once set, nothing more is unpacked.

    Raises
    ------
    DataError
        If it is broken or encrypted, too large, was stopped, or a member would land outside or is
        a link.
    """
    try:
        with zipfile.ZipFile(archive) as inside:
            members = [one for one in inside.infolist() if not one.filename.startswith("__MACOSX/")]
            _check_members(archive.name, members)
            check_room(archive.parent, sum(one.file_size for one in members))
            into.mkdir()
            left = UNPACKED_BYTES
            for member in members:
                if stop is not None and stop.is_set():
                    raise DataError(f"{archive.name} was not unpacked to its end.")
                left -= _unpack_one(inside, member, into, archive.name, left)
    except BaseException as error:
        shutil.rmtree(into, ignore_errors=True)
        if isinstance(error, DataError):
            raise
        if isinstance(error, FileExistsError):
            raise DataError(
                f"{archive.name} holds two files of one name. Pack it again."
            ) from error
        broken = isinstance(error, BROKEN) or getattr(error, "errno", None) == errno.EINVAL
        if isinstance(error, OSError) and not broken:
            raise path_error(error, archive.name) from error
        if broken:
            raise DataError(
                f"{archive.name} can't be unpacked ({quoted(error)}). Pack it again, as a plain "
                "zip."
            ) from error
        raise


def _check_members(name: str, members: Sequence[zipfile.ZipInfo]) -> None:
    if len(members) > UNPACKED_FILES:
        raise DataError(
            f"{name} holds {len(members)} files; up to {UNPACKED_FILES} are unpacked. Split it."
        )
    if sum(one.file_size for one in members) > UNPACKED_BYTES:
        raise _too_large(name)
    for one in members:
        path = PurePosixPath(one.filename.replace("\\", "/"))
        outside = path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", str(path))
        if outside or not path.name:
            raise DataError(
                f"{name} holds {one.filename[:80]!r}, which would land outside its folder. It is "
                "not unpacked; pack the scans again."
            )
        if stat.S_ISLNK(one.external_attr >> 16):
            raise DataError(
                f"{name} holds the link {one.filename[:80]!r}. Pack the files themselves."
            )
        if one.flag_bits & 1:
            raise DataError(f"{name} is encrypted. Unpack it, and pack it without a password.")


def _too_large(name: str) -> DataError:
    return DataError(
        f"{name} would take more than {_size(UNPACKED_BYTES)} unpacked. Split it, or unpack it and "
        "name its folder."
    )


def _unpack_one(
    inside: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path, name: str, left: int
) -> int:
    """Unpack a member, and return its bytes, which are counted: a header may lie."""
    target = into / member.filename.replace("\\", "/")
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with inside.open(member) as source, target.open("xb") as sink:
        while piece := source.read(COPY):
            count += len(piece)
            if count > left:
                raise _too_large(name)
            sink.write(piece)
    return count


# --- the import ---


def options_of(text: str) -> list[str]:
    """Read options of ``alnb import`` as a person types them.

    Raises
    ------
    DataError
        If one is unknown here, or lacks its value. Options that name files are not taken.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise DataError(f"the options can't be read: {error}. Close the quotes.") from error
    given: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in FLAGS and not equals:
            given.append(name)
            continue
        if name not in VALUED:
            known = ", ".join(sorted(VALUED | FLAGS))
            raise DataError(f"{word[:60]!r} is no option of an import here; there are {known}.")
        value = value if equals else next(rest, "")
        if not value or value.startswith("--"):
            raise DataError(f"{name} needs a value, as in --infected 1,2.")
        if name == "--split" and value not in KINDS:
            raise DataError(
                f"--split {value[:60]!r} is unknown here; there are {', '.join(KINDS)}."
            )
        given += [name, value]
    return given


def free_name(text: str, taken: Collection[str]) -> str:
    """Make a folder's name of what a person wrote, with a number if it is taken."""
    own = re.sub(r"[^\w-]+", "_", text).strip("_-")[:40] or "scans"
    numbered = (f"{own}-{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain([own], numbered) if name not in taken)


async def import_scans(
    plan: Plan,
    name: str,
    options: Sequence[str],
    work: Workplace,
    on_progress: Callable[[dict[str, Any]], None],
) -> tuple[Path, str]:
    """Run ``alnb import``, and move the dataset to its place among the user's when it is whole.

    Parameters
    ----------
    plan : Plan
    name : str
        What the person calls it.
    options : sequence of str
        As `options_of` returns them.
    work : Workplace
        What is built lies there, and is deleted if the import fails or is cancelled.
    on_progress : callable
        As `run_command` takes it.

    Returns
    -------
    folder : Path
        The dataset's.
    said : str
        What came of it, in a line.

    Raises
    ------
    CommandError
        If the import fails, in its own sentence.
    """
    place = work.folder.parent
    target = place / free_name(name, {path.name for path in place.iterdir()})
    stage = work.folder / target.name
    try:
        lines = await run_command(
            "import", *plan.source, "--out", str(stage), *options, on_progress=on_progress
        )
        stage.rename(target)
    except CommandError as error:
        text = str(error).replace(str(stage), target.name)
        raise CommandError(text.replace(f"{work.folder}{os.sep}", "")) from error
    except OSError as error:
        raise path_error(error, target) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return target, next(iter(lines), "")
