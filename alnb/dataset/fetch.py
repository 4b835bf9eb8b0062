"""Fetch COVID-19-B from Zenodo: resume a broken download, check its SHA-256, unpack it."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from alnb.errors import DataError, saying
from alnb.storage import replacing
from alnb.volumes import NIFTI

Fetched: TypeAlias = Callable[[str, int, int], None]  # a file, its bytes here and in all

RECORD = "https://zenodo.org/records/3757476"
LICENCE = f"""\
COVID-19 CT Lung and Infection Segmentation Dataset (Ma et al. 2020, doi 10.5281/zenodo.3757476):
20 CT scans with the masks of radiologists, about 1.1 GB.
Licence: reported as CC BY 4.0 and as CC BY-NC-SA 4.0; the record, {RECORD}, says which.
Unless you have read it, take the scans for non-commercial research only, and cite the source."""
FILES = {
    "COVID-19-CT-Seg_20cases.zip": (
        "a5060480eff9315b069b086312dac4872777901fb80d268a5a83edd9f4e7b440"
    ),
    "Infection_Mask.zip": "87901c73fdd2230260e61d2dbc57bf56026efc28264006b8ea2bf411453c1694",
}
LUNGS = {"Lung_Mask.zip": "f060b0d0299939a6d95ddefdbfa281de1a779c4d230a5adbd32414711d6d8187"}

TRIES = 5
_WAIT_S = 2.0
_CHUNK = 1 << 16  # ours: what is lost at most when a connection breaks


@saying("out")
def fetch_covid19b(
    out: Path | str, *, lungs: bool = False, progress: Fetched | None = None
) -> tuple[Path, ...]:
    """Fetch the archives of Zenodo's record 3757476, and unpack them side by side.

    Parameters
    ----------
    out : path
        The folder for archives and scans; made if it is missing. Complete archives are not
        fetched again, and an incomplete one is continued.
    lungs : bool
        Whether to fetch the lungs' masks as well; alnb doesn't need them.
    progress : callable or None
        Called with a file's name, how many of its bytes are here and how many it has (0 if the
        server doesn't tell).

    Returns
    -------
    tuple of Path
        The folders of scans and of masks, named as the archives are.

    Raises
    ------
    DataError
        If the server can't be reached or refuses, the connection breaks again and again, or an
        archive is not the published one; it is then removed.
    """
    out = Path(out)
    base = os.environ.get("ALNB_ZENODO_URL", f"{RECORD}/files")  # for tests and mirrors
    folders = []
    for name, sha256 in (FILES | (LUNGS if lungs else {})).items():
        archive = _fetched(f"{base}/{name}", name, sha256, out, progress)
        folders.append(_unpacked(archive))
    return tuple(folders)


def _fetched(url: str, name: str, sha256: str, out: Path, progress: Fetched | None) -> Path:
    """Return the archive, fetched unless it is there."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    try:
        return Path(
            pooch.retrieve(
                url, known_hash=f"sha256:{sha256}", fname=name, path=out,
                downloader=partial(_download, progress=progress or (lambda *_: None)),
            )
        )  # fmt: skip
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{name}: the file from {url} is not the published one (its SHA-256 differs) and was "
            "removed. Run the same command again; if it fails again, the file has changed."
        ) from error
    except OSError as error:
        raise DataError(f"{out / name}: it can't be written ({error}). Choose --out.") from error


def _download(url: str, output_file: str, _pooch: object, *, progress: Fetched) -> None:
    """Download to a file beside the output, going on where an earlier download broke off."""
    import requests

    name = Path(urlsplit(url).path).name
    partial_file = Path(output_file).with_name(f"{name}.partial")
    for left in reversed(range(TRIES)):
        try:
            _go_on(url, name, partial_file, progress)
            break
        except requests.HTTPError as error:
            raise DataError(
                f"{url}: the server answers {error}. Try again later, or fetch {name} from "
                f"{RECORD} by hand and unpack it into a folder of its name."
            ) from error
        except requests.RequestException as error:
            if not left:
                here = partial_file.stat().st_size if partial_file.exists() else 0
                kept = f"; {here / 1e6:.1f} MB of it are here" if here else ""
                raise DataError(
                    f"{url}: the connection can't be made or breaks{kept}. Check the network and "
                    "run the same command again; it goes on from there."
                ) from error
            time.sleep(_WAIT_S)
    partial_file.replace(output_file)


def _go_on(url: str, name: str, partial_file: Path, progress: Fetched) -> None:
    """Ask for what is missing; take the whole file if the server knows no ranges."""
    import requests

    here = partial_file.stat().st_size if partial_file.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={here}-"} if here else {})
    with requests.get(url, headers=headers, stream=True, timeout=30) as answer:
        if answer.status_code == 416:  # nothing is missing; the checksum will tell
            return
        answer.raise_for_status()
        here = here if answer.status_code == 206 else 0
        length = int(answer.headers.get("Content-Length", 0))
        total = here + length if length else 0
        with partial_file.open("ab" if here else "wb") as stream:
            for chunk in answer.iter_content(_CHUNK):
                stream.write(chunk)
                here += len(chunk)
                progress(name, here, total)


def _unpacked(archive: Path) -> Path:
    """Put the volumes of an archive into a folder of its name, whatever folders it names."""
    folder = archive.with_suffix("")
    folder.mkdir(exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as inside:
            for member in inside.infolist():
                name = Path(member.filename.replace("\\", "/")).name
                if not name.endswith(NIFTI) or name.startswith("."):
                    continue
                target = folder / name
                if target.is_file() and target.stat().st_size == member.file_size:
                    continue
                with (
                    inside.open(member) as source,
                    replacing(target) as unfinished,
                    unfinished.open("wb") as sink,
                ):
                    shutil.copyfileobj(source, sink)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{archive}: it can't be unpacked ({error}). Free some space.") from error
    return folder
