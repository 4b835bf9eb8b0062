import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scans import chest, ct, write_nifti

from alnb.arrays import Window
from alnb.dataset import Dataset, SliceId, build, import_nifti, import_pairs, read_audit
from alnb.dataset.audit import chosen
from alnb.errors import DataError
from alnb.volumes import Volume


class Page(HTMLParser):
    """The sections of a page: their texts and pictures."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts, self.pictures = [], [[]], [[]]
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "section":
            self.texts.append([])
            self.pictures.append([])
        if tag == "img":
            self.pictures[-1].append(dict(attributes))

    def handle_data(self, data):
        self.texts[-1].append(data)

    def text(self, section):
        return "|".join(self.texts[section])

    def picture(self, section, number):
        head, data = self.pictures[section][number]["src"].split(",")
        assert re.fullmatch("data:image/(jpeg|png);base64", head)
        return Image.open(io.BytesIO(base64.b64decode(data)))


def page_of(dataset):
    return Page((dataset.folder / "import.html").read_text(encoding="utf-8"))


def made(scan="a", depth=10, size=64, infected=(), **fields):
    """A scan with a bright patch at the front and right of the patient, and a square mask."""
    voxels = np.full((depth, size, size), -800, np.int16)
    voxels[:, :20, :20] = 250
    mask = np.zeros(voxels.shape, np.uint8)
    for z, count in infected:
        mask[z, 40 : 40 + count, 30:50] = 1
    volume = Volume.made(scan, voxels, unit="hu", spacing_mm=(5, 0.8, 0.8))
    return replace(volume, **fields), mask


def test_an_import_ends_in_a_page_that_shows_each_scan_as_the_app_does(tmp_path):
    data = build([made("a", infected=[(7, 8)])], tmp_path / "d", size=64, split="mixed")
    page = page_of(data)

    pictures = [page.picture(1, at) for at in range(4)]
    assert [one.format for one in pictures] == ["JPEG", "JPEG", "JPEG", "PNG"]  # low, middle, high
    shown = np.asarray(pictures[0]).astype(int)
    assert np.abs(shown - data.image(SliceId("a", 1))).mean() < 5
    assert shown[:20, :20].mean() > 200 > 100 > shown[40:, 40:].mean()


def test_the_mask_is_outlined_where_it_lies(tmp_path):
    data = build([made("a", infected=[(7, 8)])], tmp_path / "d", size=64, split="mixed")
    ring = np.asarray(page_of(data).picture(1, 3).convert("RGBA"))

    drawn = ring[..., 3] > 0
    rows, cols = np.nonzero(drawn)
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (39, 48, 29, 50)
    assert not (drawn & data.mask(SliceId("a", 7))).any()
    assert (ring[drawn][:, :3] == (255, 45, 149)).all()


def test_the_facts_of_a_scan_are_said(tmp_path):
    pairs = [made("a", infected=[(7, 8), (8, 2)]), made("b")]
    split = {"a": "train", "b": "test"}
    data = build(pairs, tmp_path / "d", size=64, split=split, window=Window(-1000, 400))
    page = page_of(data)

    words = page.text(1)
    for fact in (
        "HU; here −800 to 250", "−1000 to 400 HU", "10 of 64×64 pixels", "part|train",
        "0.8×0.8 mm in the slice, 5 mm between slices", "2 of 10 slices infected",
        "low · slice 2|", "high · slice 8 · 3.9 % infected|", "A|P|R|L",
    ):  # fmt: skip
        assert fact in words
    assert "part|test" in page.text(2)
    assert "there is no val part." in page.text(0)


def test_a_scan_of_one_slice_has_no_distance_of_slices(tmp_path):
    data = build(
        [made("a", 1), made("b")], tmp_path / "d", size=64, split={"a": "train", "b": "val"}
    )
    page = page_of(data)

    assert "between slices" not in page.text(1)
    assert "5 mm between slices" in page.text(2)


def test_every_note_of_a_scan_stands_at_it(tmp_path):
    pairs = [(made(f"s{n}", 3, notes=("gaps were found",))[0], None) for n in range(5)]
    data = build(pairs, tmp_path / "d", size=64)
    page = page_of(data)

    assert all("gaps were found" in page.text(section) for section in range(1, 6))
    assert "s0, s1, s2 and 2 more: gaps were found." in page.text(0)


def test_the_most_infected_slice_is_one_of_three(tmp_path):
    pairs = [made("a", infected=[(4, 2), (9, 9)]), made("b"), made("c", depth=1, infected=[(0, 1)])]
    data = build(pairs, tmp_path / "d", size=64)
    found = {
        scan: [at.z for at in chosen(data, [at for at in data.slices if at.scan == scan])]
        for scan in "abc"
    }

    assert found == {"a": [1, 5, 9], "b": [1, 5, 8], "c": [0]}


@pytest.mark.parametrize("depth", range(1, 9))
def test_a_scan_of_three_slices_or_more_shows_three(tmp_path, depth):
    data = build([made("a", depth=depth, infected=[(0, 1)]), made("b")], tmp_path / "d", size=64)
    slices = [where for where in data.slices if where.scan == "a"]

    assert len(chosen(data, slices)) == min(depth, 3)
    assert SliceId("a", 0) in chosen(data, slices)


def test_pictures_have_no_letters_and_no_millimetres(tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(tmp_path / "in" / "a.png")
    page = page_of(import_pairs(tmp_path / "in", tmp_path / "d", size=32))
    words = page.text(1)

    assert "base of the lungs" not in page.text(0)
    assert "A|P|R|L" not in words
    assert "are not in the file, so there are no letters" in words
    assert "spacing|not known" in words
    assert "slice 1" in words and "low" not in words
    assert "8-bit grey; here 0 to 255" in words


def test_no_file_is_named_and_every_name_is_escaped(tmp_path):
    write_nifti(tmp_path / "in" / "Ann_Example.nii.gz", chest(4, 16, 16))
    notes = ["a <script>alert(1)</script> & more"]
    data = import_nifti(tmp_path / "in", tmp_path / "d", size=16, name="<b>x</b>", notes=notes)
    html = (data.folder / "import.html").read_text(encoding="utf-8")

    page = Page(html)
    assert "script" not in page.tags and "<b>x</b>" in page.text(0)
    assert ".nii" not in html and str(tmp_path) not in html
    assert "http" not in html


def test_it_takes_below_30_kb_a_scan_of_thin_slices(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.normal(-600, 150, (9, 352, 352)).astype(np.int16)  # HU; a sharp kernel, low dose
    mask = np.kron(rng.random((9, 22, 22)) < 0.05, np.ones((1, 16, 16)))
    pairs = [(Volume.made(f"s{n}", noise, unit="hu"), mask.astype(np.uint8)) for n in range(3)]
    build(pairs, tmp_path / "d")

    assert (tmp_path / "d" / "import.html").stat().st_size < 3 * 30_000 + 5_000


def test_the_page_belongs_to_a_dataset_and_not_to_its_fingerprint(tmp_path):
    first = build([ct()], tmp_path / "d", size=16, split="mixed")
    (tmp_path / "d" / "import.html").write_text("old")
    second = build([ct()], tmp_path / "d", size=16, split="mixed")

    assert first.fingerprint == second.fingerprint == Dataset.open(tmp_path / "d").fingerprint
    assert "import.html" not in json.dumps(second._manifest)
    assert read_audit(second) == (tmp_path / "d" / "import.html").read_text(encoding="utf-8")
    assert read_audit(second) != "old"


def test_a_dataset_without_the_page_gets_one_to_read(tmp_path):
    data = build([ct()], tmp_path / "d", size=16, split="mixed")
    (tmp_path / "d" / "import.html").unlink()

    assert "4 of 16×16 pixels" in Page(read_audit(data)).text(1)
    assert not (tmp_path / "d" / "import.html").exists()


def test_a_page_that_can_not_be_written_is_a_sentence_and_the_dataset_stays(tmp_path, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("alnb.dataset.audit.write_text", full)
    with pytest.raises(DataError, match=r"No space left on device.*The dataset itself is complete"):
        build([ct()], tmp_path / "d", size=16, split="mixed")
    assert len(Dataset.open(tmp_path / "d").slices) == 4


def test_letters_that_may_be_wrong_are_not_drawn(tmp_path):
    voxels = np.zeros((16, 16, 3), np.int16)  # as a program saves it that is told nothing
    (tmp_path / "in").mkdir()
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "in" / "a.nii.gz")
    words = page_of(import_nifti(tmp_path / "in", tmp_path / "d", size=32)).text(1)

    assert "A|P|R|L" not in words
    assert "no letters" in words
