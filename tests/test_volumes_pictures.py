import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from skimage import io

from alnb.errors import DataError
from alnb.volumes import (
    Volume,
    read_picture,
    read_picture_labels,
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


# --- as seen ---

GREY = (np.arange(20, dtype=np.uint8).reshape(4, 5) * 10) + 5
LESION = np.zeros((16, 24), bool)
LESION[4:12, 8:16] = True


def labels_of(path):
    return read_picture_labels(path).voxels[0]


def save(path, pixels, palette=None, **options):
    picture = Image.fromarray(pixels)
    if palette is not None:
        picture.putpalette(palette)
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_exif_turns_a_picture_and_its_mask_and_that_is_said(tmp_path, orientation, ending):
    turns = {
        1: GREY, 2: GREY[:, ::-1], 3: GREY[::-1, ::-1], 4: GREY[::-1], 5: GREY.T,
        6: np.rot90(GREY), 7: GREY[::-1, ::-1].T, 8: np.rot90(GREY, -1),
    }  # fmt: skip  # what has to be stored, so that it is seen as GREY
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.repeat(np.repeat(turns[orientation], 8, 0), 8, 1)  # blocks that JPEG keeps
    path = save(tmp_path / f"a.{ending}", stored.copy(), exif=exif, quality=100)
    volume = read_picture(path)

    assert np.abs(volume.voxels[0, ::8, ::8].astype(int) - GREY).max() <= 1
    assert volume.notes == (("the picture was turned, as its EXIF says",) * (orientation > 1))
    if ending == "png":
        mask = read_picture_mask(path, volume)
        assert np.array_equal(mask.voxels[0, ::8, ::8], GREY)
        assert mask.note == "the mask was turned, as its EXIF says" * (orientation > 1)


def test_a_broken_exif_turns_nothing(tmp_path):
    path = save(tmp_path / "a.png", GREY, exif=b"Exif\0\0II*\0broken")

    assert np.array_equal(read_picture(path).voxels[0], GREY)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "L"])
def test_what_is_transparent_is_black_whatever_lies_under_it(tmp_path, mode):
    if mode in ("P", "L"):
        pixels = np.where(LESION, 90, 200).astype(np.uint8)
        picture = Image.fromarray(pixels).convert(mode)
        picture.save(tmp_path / "a.png", transparency=200)
    else:
        white = np.full((*LESION.shape, len(mode)), 200, np.uint8)
        white[LESION] = 90
        white[..., -1] = LESION * 255
        Image.fromarray(white).save(tmp_path / "a.png")
    volume = read_picture(tmp_path / "a.png")

    assert np.array_equal(volume.voxels[0], LESION * 90)
    assert volume.notes == ("what is transparent became black",)
    assert np.array_equal(labels_of(tmp_path / "a.png"), LESION * 90)


def test_a_slice_that_is_partly_transparent_says_so(tmp_path):
    path = save(tmp_path / "a.png", np.dstack([GREY, np.full_like(GREY, 128)]))

    assert np.array_equal(read_picture(path).voxels[0], GREY)
    assert read_picture(path).notes == ("what is partly transparent was read as if it were not",)


@pytest.mark.parametrize("opacity", [255, 100])
def test_a_mask_on_a_transparent_ground_is_what_is_opaque(tmp_path, opacity):
    white = np.full((*LESION.shape, 4), 255, np.uint8)
    white[..., 3] = LESION * opacity
    white[3, 8:16, 3] = opacity // 4  # a soft border
    black = white * np.array([0, 0, 0, 1], np.uint8)

    assert np.array_equal(labels_of(save(tmp_path / "white.png", white)), LESION * 255)
    assert np.array_equal(labels_of(save(tmp_path / "black.png", black)), LESION * 255)
    assert "black on a transparent ground" in read_picture_labels(tmp_path / "black.png").note


def test_a_picture_that_is_all_transparent_is_refused_and_a_mask_is_clean(tmp_path):
    hidden = np.stack([GREY, GREY, GREY, GREY * 0], -1)
    for read in (read_picture, read_picture_labels):
        with pytest.raises(DataError, match=r"a\.png: all of it is transparent"):
            read(save(tmp_path / "a.png", hidden))

    assert not labels_of(save(tmp_path / "a.png", np.zeros((4, 5, 4), np.uint8))).any()


@pytest.mark.parametrize("white_first", [True, False])
@pytest.mark.parametrize("padded", [0, 254])
def test_a_palette_of_two_colours_is_read_by_its_colours(tmp_path, white_first, padded):
    white, black = [255] * 3, [0] * 3
    palette = (white + black if white_first else black + white) + black * padded
    stored = (~LESION if white_first else LESION).astype(np.uint8)
    path = save(tmp_path / "a.png", stored, palette)

    assert np.array_equal(labels_of(path) > 0, LESION)
    assert np.array_equal(read_picture(path).voxels[0], LESION * 255)


def test_a_clean_mask_in_a_palette_from_white_to_black_is_clean(tmp_path):
    inverse = [value for value in range(255, -1, -1) for _ in range(3)]
    lesion = save(tmp_path / "a.png", np.where(LESION, 0, 255).astype(np.uint8), inverse)
    clean = save(tmp_path / "b.png", np.full((4, 4), 255, np.uint8), inverse)

    assert np.array_equal(labels_of(lesion), LESION * 255)
    assert not labels_of(clean).any()


def test_a_number_that_the_palette_shows_as_background_is_refused(tmp_path):
    path = save(tmp_path / "a.png", LESION * np.uint8(2), [0, 0, 0, 255, 0, 0] + [0] * 762)

    with pytest.raises(DataError, match="shows number 2 black as number 0"):
        labels_of(path)


def test_a_slice_in_a_colour_map_is_refused_and_a_tint_is_not(tmp_path):
    ramp = np.linspace(0, 1, 256)[None]
    jet = np.stack([np.clip(1.5 - np.abs(4 * ramp - at), 0, 1) for at in (3, 2, 1)], -1)
    tint = ramp[..., None] * [0.4, 0.6, 1]

    with pytest.raises(DataError, match="as a colour map or an overlay draws a slice"):
        read_picture(save(tmp_path / "jet.png", (jet * 255).astype(np.uint8)))
    assert (
        np.diff(
            read_picture(save(tmp_path / "a.png", (tint * 255).astype(np.uint8)))
            .voxels[0, 0]
            .astype(int)
        )
        >= 0
    ).all()


def test_numbers_of_a_palette_without_colours_are_labels(tmp_path):
    path = save(tmp_path / "a.png", LESION.astype(np.uint8), [0] * 768)

    assert np.array_equal(labels_of(path), LESION)


@pytest.mark.parametrize("lesion", [(255, 0, 0), (0, 90, 0), (255, 255, 255), (80, 80, 200)])
def test_a_mask_in_one_colour_on_black_is_that_colours_brightest_channel(tmp_path, lesion):
    coloured = LESION[..., None] * np.array(lesion, np.uint8)

    assert np.array_equal(labels_of(save(tmp_path / "a.png", coloured)), LESION * max(lesion))


@pytest.mark.parametrize(
    ("ground", "lesion", "sentence"),
    [
        ((255, 255, 255), (255, 0, 0), "neither of its two colours is black"),
        ((0, 0, 200), (255, 0, 0), "neither of its two colours is black"),
    ],
)
def test_two_colours_without_black_are_refused(tmp_path, ground, lesion, sentence):
    coloured = np.where(LESION[..., None], lesion, ground).astype(np.uint8)

    with pytest.raises(DataError, match=rf"a\.png: {sentence}"):
        labels_of(save(tmp_path / "a.png", coloured))


def test_colours_that_can_not_be_told_apart_are_refused(tmp_path):
    coloured = np.zeros((64, 64, 3), np.uint8)
    coloured[8:24, 8:24, 0] = coloured[40:56, 8:24, 1] = 255
    for name in ("a.png", "a.jpg"):
        with pytest.raises(DataError, match="has several colours, and which are infection"):
            labels_of(save(tmp_path / name, coloured))


def test_an_outline_drawn_on_the_slice_is_no_mask(tmp_path):
    drawn = np.stack([np.arange(64, dtype=np.uint8).reshape(8, 8)] * 3, -1)
    drawn[2, 2:6] = (255, 0, 0)
    path = save(tmp_path / "a.png", drawn)

    with pytest.raises(DataError, match="grey and colours, as marks drawn on a picture do"):
        labels_of(path)
    assert "check that nothing is drawn in" in read_picture(path).notes[0]


@pytest.mark.parametrize("top", [1, 2, 100])
def test_a_jpeg_mask_that_stays_dark_is_refused(tmp_path, top):
    path = save(tmp_path / "a.jpg", (LESION * top).astype(np.uint8), quality=95)

    with pytest.raises(DataError, match=r"a JPEG that gets no brighter than .* Export .* as PNG"):
        labels_of(path)


def test_a_jpeg_mask_of_several_classes_is_refused(tmp_path):
    three = np.zeros((64, 64), np.uint8)
    three[8:24, 8:24], three[40:56, 8:24] = 128, 255

    with pytest.raises(DataError, match=r"a JPEG with areas of 12[789] of 255"):
        labels_of(save(tmp_path / "a.jpg", three))


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_soft_mask_is_cut_where_a_person_says(tmp_path, name):
    soft = np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[None], 32, 0)
    labels = read_picture_labels(save(tmp_path / name, soft), above=100)

    assert np.array_equal(labels.voxels[0], soft > 100)
    assert labels.note == "values above 100 of the mask are infected"


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("level", [200, 255])
def test_a_jpeg_mask_of_two_levels_is_cut_in_half(tmp_path, quality, mode, level):
    picture = Image.fromarray((LESION * level).astype(np.uint8)).convert("RGB").convert(mode)
    picture.save(tmp_path / "a.jpg", quality=quality, progressive=quality == 75)
    (tmp_path / "a.jpg").rename(tmp_path / "a.png")  # what it is decides, not its ending

    assert np.array_equal(labels_of(tmp_path / "a.png"), LESION)
    assert not labels_of(save(tmp_path / "b.jpg", GREY * 0)).any()


def test_a_picture_of_16_bits_keeps_them(tmp_path):
    hu = np.linspace(-1000, 400, 20).reshape(4, 5).round().astype(int)
    path = save(tmp_path / "a.png", (hu + 32768).astype(np.uint16))
    volume = read_picture(path, unit="hu", offset=-32768)

    assert volume.unit == "hu"
    assert np.array_equal(volume.voxels[0], hu)
    assert volume.notes == ("-32768 was added to its values, as asked for",)


def test_8_bits_that_are_stored_in_16_are_8_bits(tmp_path):
    grey = save(tmp_path / "grey.png", GREY.astype(np.uint16) * 257)
    mask = save(tmp_path / "mask.png", LESION.astype(np.uint16) * 65535)

    assert np.array_equal(read_picture(grey).voxels[0], GREY)
    assert np.array_equal(labels_of(mask), LESION * 255)


def test_16_bits_of_grey_are_rounded_if_a_person_says_that_they_are_grey(tmp_path):
    ramp = np.linspace(0, 65535, 20).astype(np.uint16).reshape(4, 5)
    grey = read_picture(save(tmp_path / "a.png", ramp), unit="grey")

    assert np.array_equal(grey.voxels[0], np.rint(ramp / 257))
    assert grey.notes == ("its 16 bits of grey became 8",)
    with pytest.raises(DataError, match=r"could be HU or .* If white is 65535, say --unit grey"):
        read_picture(tmp_path / "a.png")
    with pytest.raises(DataError, match="are not 8-bit grey"):  # HU + 32768, by their range
        read_picture(save(tmp_path / "b.png", ramp // 40 + 31768), unit="grey")


def test_a_picture_of_one_bit_is_black_and_white(tmp_path):
    path = save(tmp_path / "a.png", LESION)

    assert np.array_equal(read_picture(path).voxels[0], LESION * 255)
    assert np.array_equal(labels_of(path), LESION)


def png(*chunks):
    """A PNG of these chunks, their kinds and contents."""
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def header(width, height, depth, kind):
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)


def test_colours_of_16_bits_are_refused_not_cut(tmp_path):
    rows = zlib.compress(b"\0" + b"\x80\x01" * 6)
    (tmp_path / "a.png").write_bytes(png(header(2, 1, 16, 2), (b"IDAT", rows), (b"IEND", b"")))

    with pytest.raises(DataError, match="16 bits a channel"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("side", "sentence"), [(8000, "8000×8000 pixels are too many"), (60000, "178 million")]
)
def test_a_bomb_is_refused_by_its_header(tmp_path, side, sentence):
    (tmp_path / "a.png").write_bytes(png(header(side, side, 8, 0), (b"IDAT", b"x")))

    with pytest.raises(DataError, match=sentence):
        read_picture(tmp_path / "a.png")


def test_what_can_not_be_read_is_a_sentence(tmp_path):
    whole = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
    whole.write_bytes(whole.read_bytes()[:900])
    (tmp_path / "b.png").touch()
    (tmp_path / "c.png").mkdir()
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    frames[0].save(tmp_path / "d.png", save_all=True, append_images=frames[1:])

    for name, sentence in {
        "a.png": r"a\.png: it can't be read as a picture",
        "b.png": r"b\.png: it is empty",
        "c.png": "it is a folder",
        "d.png": "it holds 2 pictures",
        "e.png": "there is no such file",
    }.items():
        with pytest.raises(DataError, match=sentence):
            read_picture_labels(tmp_path / name)


def test_a_picture_that_may_not_be_read_is_a_sentence(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", GREY)

    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", forbidden)
    with pytest.raises(DataError, match=r"a\.png: it may not be read or written here"):
        read_picture(path)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_mask_in_black_on_white_is_refused_and_one_that_is_all_white_is_not(tmp_path, mode):
    lesion = np.zeros((12, 12), bool)
    lesion[3:6, 4:8] = True
    Image.fromarray(~lesion).convert("L").convert(mode).save(tmp_path / "m.png")
    Image.fromarray(lesion | True).convert(mode).save(tmp_path / "all.png")

    with pytest.raises(DataError, match=r"m\.png: the mask marks all of its border .* Invert it"):
        read_picture_labels(tmp_path / "m.png")
    assert read_picture_labels(tmp_path / "all.png").voxels.all()
