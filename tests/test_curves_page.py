import numpy as np
import pytest
from PIL import Image

from alnb.curves import page as pages
from alnb.curves.page import NoPictureError, photograph

PAGE = """<html><body style="margin:0"><script>
document.body.innerHTML = '<div style="background:#0072b2;width:50px;height:40px"></div>';
</script></body></html>"""


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(PAGE)
    return path


def test_a_picture_shows_what_scripts_draw_and_ends_below_it(page, tmp_path):
    try:
        pages.browser()
    except NoPictureError as error:
        pytest.skip(str(error))
    photograph(page, tmp_path / "page.png", (300, 200), scale=2)

    shot = np.asarray(Image.open(tmp_path / "page.png"))
    assert shot.shape == (2 * (40 + 24), 2 * 300, 3)
    assert (shot[:80, :100] == (0, 114, 178)).all()
    assert (shot[80:] == 255).all()


def test_without_a_browser_there_is_none(page, tmp_path, monkeypatch):
    monkeypatch.setattr(pages.shutil, "which", lambda _: None)

    with pytest.raises(NoPictureError, match="no Chrome, Chromium or Edge is installed"):
        photograph(page, tmp_path / "page.png", (300, 200))


def test_a_browser_that_draws_nothing_is_said(page, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "browser", lambda: "true")

    with pytest.raises(NoPictureError, match="true drew nothing"):
        photograph(page, tmp_path / "page.png", (300, 200))


def test_a_browser_that_hangs_is_said(page, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "browser", lambda: str(tmp_path / "slow"))
    (tmp_path / "slow").write_text("#!/bin/sh\nexec sleep 9\n")
    (tmp_path / "slow").chmod(0o755)
    monkeypatch.setattr(pages, "LIMIT_S", 0.1)

    with pytest.raises(NoPictureError, match=r"slow took more than 0 s"):
        photograph(page, tmp_path / "page.png", (300, 200))
