import hashlib
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from alnb.dataset import fetch
from alnb.errors import DataError

NOISE = np.random.default_rng(0).bytes(300_000)  # of several chunks, and can't be compressed


def zipped(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


ARCHIVES = {
    "COVID-19-CT-Seg_20cases.zip": zipped(
        {
            "coronacases_001.nii.gz": NOISE,
            "../../escaped.nii.gz": b"flattened",
            "inner/radiopaedia_4.nii.gz": b"volume",
            "__MACOSX/._coronacases_001.nii.gz": b"resource fork",
            "readme.txt": b"no volume",
        }
    ),
    "Infection_Mask.zip": zipped({"coronacases_001.nii.gz": b"mask"}),
    "Lung_Mask.zip": zipped({"coronacases_001.nii.gz": b"lung"}),
}


class Zenodo(ThreadingHTTPServer):
    """Serves the archives; breaks off the first `cuts` answers, and knows ranges if told."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.archives, self.cuts, self.ranges, self.status = dict(ARCHIVES), 0, True, 200
        self.asked = []


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        zenodo, name = self.server, self.path.rsplit("/", 1)[-1]
        asked = self.headers.get("Range")
        zenodo.asked.append((name, asked))
        if zenodo.status != 200:
            self.send_error(zenodo.status)
            return
        whole = zenodo.archives[name]
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and zenodo.ranges else 0
        if first >= len(whole):
            self.send_error(416)
            return
        body = whole[first:]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if zenodo.cuts and len(body) > 1000:
            zenodo.cuts -= 1
            body = body[: len(body) * 2 // 3]
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def zenodo(monkeypatch):
    server = Zenodo()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in ARCHIVES.items()}
    lungs = {"Lung_Mask.zip": sums.pop("Lung_Mask.zip")}
    monkeypatch.setattr(fetch, "FILES", sums)
    monkeypatch.setattr(fetch, "LUNGS", lungs)
    monkeypatch.setattr(fetch, "_WAIT_S", 0.0)
    monkeypatch.setenv("ALNB_ZENODO_URL", f"http://127.0.0.1:{server.server_port}/files")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.nii.gz"))


def test_the_record_is_fetched_and_unpacked_side_by_side(zenodo, tmp_path):
    told = []
    folders = fetch.fetch_covid19b(tmp_path / "z", progress=lambda *one: told.append(one))

    assert [folder.name for folder in folders] == ["COVID-19-CT-Seg_20cases", "Infection_Mask"]
    assert files(tmp_path) == [
        "z/COVID-19-CT-Seg_20cases/coronacases_001.nii.gz",
        "z/COVID-19-CT-Seg_20cases/escaped.nii.gz",
        "z/COVID-19-CT-Seg_20cases/radiopaedia_4.nii.gz",
        "z/Infection_Mask/coronacases_001.nii.gz",
    ]
    assert (folders[0] / "coronacases_001.nii.gz").read_bytes() == NOISE
    size = len(ARCHIVES["COVID-19-CT-Seg_20cases.zip"])
    assert ("COVID-19-CT-Seg_20cases.zip", size, size) in told
    assert not list(tmp_path.rglob("*.partial"))


def test_what_is_whole_is_not_fetched_again(zenodo, tmp_path):
    fetch.fetch_covid19b(tmp_path)
    zenodo.asked.clear()
    (folder, *_) = fetch.fetch_covid19b(tmp_path, lungs=True)

    assert zenodo.asked == [("Lung_Mask.zip", None)]
    assert (tmp_path / "Lung_Mask" / "coronacases_001.nii.gz").read_bytes() == b"lung"
    assert folder == tmp_path / "COVID-19-CT-Seg_20cases"


def test_a_connection_that_breaks_once_is_made_again(zenodo, tmp_path):
    zenodo.cuts = 1
    fetch.fetch_covid19b(tmp_path)

    (_, first), (_, second), *_ = zenodo.asked
    assert first is None
    assert int(second.removeprefix("bytes=").rstrip("-")) >= 1 << 16
    assert (tmp_path / "COVID-19-CT-Seg_20cases" / "coronacases_001.nii.gz").read_bytes() == NOISE


def test_a_fetch_that_broke_off_goes_on_where_it_was(zenodo, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "TRIES", 1)
    zenodo.cuts = 1
    with pytest.raises(DataError, match=r"breaks; 0\.\d MB of it are here\. .* goes on from there"):
        fetch.fetch_covid19b(tmp_path)
    here = (tmp_path / "COVID-19-CT-Seg_20cases.zip.partial").stat().st_size
    fetch.fetch_covid19b(tmp_path)

    assert here >= 1 << 16
    assert zenodo.asked[1] == ("COVID-19-CT-Seg_20cases.zip", f"bytes={here}-")
    assert (tmp_path / "COVID-19-CT-Seg_20cases" / "coronacases_001.nii.gz").read_bytes() == NOISE


def test_a_server_without_ranges_sends_all_of_it_again(zenodo, tmp_path):
    zenodo.cuts, zenodo.ranges = 1, False
    fetch.fetch_covid19b(tmp_path)

    assert (tmp_path / "COVID-19-CT-Seg_20cases" / "coronacases_001.nii.gz").read_bytes() == NOISE


def test_a_whole_partial_file_is_taken_as_it_is(zenodo, tmp_path):
    whole = ARCHIVES["Infection_Mask.zip"]
    (tmp_path / "Infection_Mask.zip.partial").write_bytes(whole)
    fetch.fetch_covid19b(tmp_path)

    assert zenodo.asked[-1] == ("Infection_Mask.zip", f"bytes={len(whole)}-")
    assert (tmp_path / "Infection_Mask.zip").read_bytes() == whole


def test_another_file_than_the_published_is_removed(zenodo, tmp_path):
    zenodo.archives["Infection_Mask.zip"] = zipped({"a.nii.gz": b"forged"})

    with pytest.raises(DataError, match=r"Infection_Mask\.zip: the file from .* was removed"):
        fetch.fetch_covid19b(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "COVID-19-CT-Seg_20cases",
        "COVID-19-CT-Seg_20cases.zip",
    ]


def test_a_server_that_refuses_is_a_sentence(zenodo, tmp_path):
    zenodo.status = 503

    with pytest.raises(DataError, match=r"the server answers 503 .* by hand and unpack it"):
        fetch.fetch_covid19b(tmp_path)


def test_a_server_that_is_not_there_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("ALNB_ZENODO_URL", "http://127.0.0.1:9/files")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetch, "_WAIT_S", 0.0)

    with pytest.raises(DataError, match=r"can't be made or breaks\. Check the network"):
        fetch.fetch_covid19b(tmp_path)


def test_a_place_that_cannot_be_written_is_a_sentence(zenodo, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(DataError, match="it can't be written"):
        fetch.fetch_covid19b(tmp_path / "file")


def test_an_archive_that_is_none_is_a_sentence(zenodo, tmp_path, monkeypatch):
    zenodo.archives = dict.fromkeys(ARCHIVES, b"<html>")
    monkeypatch.setattr(
        fetch, "FILES", dict.fromkeys(fetch.FILES, hashlib.sha256(b"<html>").hexdigest())
    )

    with pytest.raises(DataError, match="it can't be unpacked"):
        fetch.fetch_covid19b(tmp_path)
