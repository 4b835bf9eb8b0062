import numpy as np
import pytest
from PIL import Image
from skimage import io

from alnb.errors import DataError
from alnb.volumes import (
    Volume,
    read_picture,
    read_picture_mask,
)


def test_a_picture_is_shown_as_it_is_seen(tmp_path):
    grey = np.arange(20, dtype=np.uint8).reshape(4, 5) * 10
    io.imsave(tmp_path / "grey.png", grey, check_contrast=False)
    io.imsave(tmp_path / "rgb.png", np.stack([grey] * 3, -1), check_contrast=False)
    io.imsave(tmp_path / "rgba.png", np.stack([grey] * 4, -1), check_contrast=False)

    for name in ("grey", "rgb", "rgba"):
        volume = read_picture(tmp_path / f"{name}.png")
        assert (volume.scan, volume.unit) == (name, "grey")
        assert np.array_equal(volume.voxels[0], grey)


def test_a_coloured_picture_becomes_luminance(tmp_path):
    green = np.zeros((4, 4, 3), np.uint8)
    green[..., 1] = 200
    io.imsave(tmp_path / "a.png", green, check_contrast=False)

    assert (read_picture(tmp_path / "a.png").voxels == 143).all()


def test_a_picture_mask_keeps_labels_in_png_and_is_cut_in_half_in_jpeg(tmp_path):
    volume = Volume.made("a", np.zeros((1, 16, 16), np.uint8), unit="grey")
    mask = np.zeros((16, 16), np.uint8)
    mask[:8] = 127
    mask[8:] = 255
    io.imsave(tmp_path / "m.png", np.stack([mask, mask * 0, mask * 0], -1), check_contrast=False)
    io.imsave(tmp_path / "m.jpg", np.where(mask > 200, mask, 0), check_contrast=False)

    assert np.array_equal(read_picture_mask(tmp_path / "m.png", volume).voxels[0], mask)
    assert np.array_equal(read_picture_mask(tmp_path / "m.jpg", volume).voxels[0], mask > 200)


def test_the_numbers_of_a_palette_are_labels_and_its_colours_the_picture(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    picture.putpalette([0, 0, 0, 90, 90, 90, 200, 200, 200])
    picture.save(tmp_path / "a.png")
    volume = read_picture(tmp_path / "a.png")

    assert volume.voxels.tolist() == [[[0, 90], [200, 90]]]
    assert read_picture_mask(tmp_path / "a.png", volume).voxels.tolist() == [[[0, 1], [2, 1]]]


def test_a_picture_mask_of_another_size_is_a_sentence(tmp_path):
    io.imsave(tmp_path / "m.png", np.zeros((4, 6), np.uint8), check_contrast=False)

    with pytest.raises(DataError, match="the mask is 4×6, the image 4×5"):
        read_picture_mask(
            tmp_path / "m.png", Volume.made("a", np.zeros((1, 4, 5), np.uint8), unit="grey")
        )


def test_a_file_that_is_no_picture_is_a_sentence(tmp_path):
    (tmp_path / "a.png").write_text("no")

    with pytest.raises(DataError, match="can't be read as a picture"):
        read_picture(tmp_path / "a.png")
