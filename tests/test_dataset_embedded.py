import functools

import pytest

from alnb.dataset import embedded, embedded_folder, import_phantom
from alnb.errors import DataError

MODULE = "alnb.dataset.importers"


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """Draw a small phantom into a cache of its own."""
    import sys

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    drawn = functools.partial(import_phantom, scans=2)
    monkeypatch.setattr(sys.modules[MODULE], "import_phantom", drawn)
    monkeypatch.setattr(sys.modules[MODULE], "EMBEDDED_SIZE", 32)


def test_it_is_drawn_once_and_found_again():
    first = embedded()
    before = (embedded_folder() / "manifest.json").stat().st_mtime_ns

    assert embedded().fingerprint == first.fingerprint
    assert (embedded_folder() / "manifest.json").stat().st_mtime_ns == before


def test_each_size_is_drawn_by_itself():
    assert embedded(size=48).size == 48
    assert embedded().size == 32
    assert embedded_folder(32) == embedded_folder() != embedded_folder(48)


def test_one_that_was_broken_off_is_drawn_again():
    embedded()
    (embedded_folder() / "manifest.json").write_text("{")

    assert embedded().has_masks


def test_a_cache_that_can_not_be_written_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(DataError, match="can't be written"):
        embedded()
