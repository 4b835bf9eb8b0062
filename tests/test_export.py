import contextlib
import csv
import json
from collections import Counter
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as maskUtils  # noqa: N812 - its own name
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scans import chest, write_nifti

from alnb.acquisition import Pick
from alnb.annotation import Answer, Click, Verdict, as_labelled, fill
from alnb.config import Config
from alnb.dataset import SliceId, build, import_nifti, import_pairs
from alnb.errors import DataError, SessionError, TrainerError
from alnb.export.export import write_coco, write_export
from alnb.pool import Pool, start_picks
from alnb.regions import Region
from alnb.session import Session
from alnb.volumes import read_nifti

pytestmark = pytest.mark.filterwarnings(  # of pycocotools' own code
    "ignore:__array__ implementation:DeprecationWarning"
)

ONE, TWO = SliceId("one", 2), SliceId("two", 0)
CONFIG = Config(regions_per_slice=16, start_regions=2)


def test_a_corrected_answer_is_told_from_the_one_that_stands(squares, tmp_path):
    session = Session.open(tmp_path / "run", squares, CONFIG)
    session.ask(start_picks(Pool(squares, CONFIG)))
    first, second = session.state.pending
    clicks = (Click(first.row + 1, first.col + 1), Click(first.row + 2, first.col + 2))
    session.submit(Answer(first, Verdict.INFECTED, clicks))
    session.submit(Answer(second, Verdict.CLEAN))
    session.submit(Answer(first, Verdict.CLEAN))
    session.close()
    list(write_export(tmp_path / "run", tmp_path / "out"))

    with (tmp_path / "out" / "answers.csv").open() as file:
        rows = [(row["region"], row["verdict"], row["stands"]) for row in csv.DictReader(file)]
    assert rows == [
        (first.key, "infected", "False"),
        (first.key, "infected", "False"),
        (second.key, "clean", "True"),
        (first.key, "clean", "True"),
    ]


@pytest.mark.parametrize("left", [0, 4096, 8192, 16_384])
def test_an_export_without_room_leaves_the_one_before_as_it_was(four_runs, disk, left):
    def export():
        with contextlib.suppress(TrainerError):  # its network was never trained
            list(write_export(four_runs / "entropy-0", disk.path / "out"))

    def found():
        files = [path for path in (disk.path / "out").rglob("*") if path.is_file()]
        return {path: (path.stat().st_ino, path.read_bytes()) for path in files}

    export()
    before = found()
    disk.fill(left)
    with pytest.raises(SessionError, match="there is no room for it"):
        export()
    assert found() == before

    disk.free()
    export()
    assert found().keys() == before.keys()


# --- voxels and millimetres ---


def answers_of(folder, dataset, answers):
    """Export a session in which regions were asked about and answered."""
    session = Session.open(folder / "run", dataset, Config(regions_per_slice=16))
    session.ask([Pick(answer.region, 0.0) for answer in answers])
    for answer in answers:
        session.submit(answer)
    session.close()
    list(write_export(folder / "run", folder / "out"))
    with (folder / "out" / "answers.csv").open() as file:
        return list(csv.DictReader(file))


def voxel_of(row):
    return tuple(int(row[axis]) for axis in "ijk")


def mm_of(row):
    return np.array([float(row[f"{axis}_ras_mm"]) for axis in "xyz"])


@pytest.mark.parametrize(("height", "width"), [(1, 64), (2, 64), (64, 1), (3, 17)])
def test_a_narrow_slice_says_which_voxel_each_pixel_shows(tmp_path, height, width):
    write_nifti(tmp_path / "in" / "a.nii.gz", chest(4, height, width), "RAS", mm=(1, 1, 2))
    split = {SliceId("a", at): "test" if at == 0 else "train" for at in range(4)}
    data = import_nifti(tmp_path / "in", tmp_path / "d", size=16, split=split, allow_shared=True)
    (_, i), (_, j), (_, k) = data.voxel_axes(SliceId("a", 1))

    for values, length in ((i, width), (j, height)):
        found = {value for value in values if value is not None}
        assert found and found <= set(range(length))
    assert k == [1]


@pytest.mark.parametrize("codes", ["LPS", "RAS", "LAS", "RPI", "SLP", "AIR"])
@pytest.mark.parametrize("size", [16, 24, 40, 64])
def test_a_click_names_the_voxel_and_place_of_a_landmark(tmp_path, codes, size):
    z, y, x = 2, 13, 22  # in display order
    voxels = np.full((4, 24, 40), -800, np.int16)
    voxels[z, y - 1 : y + 2, x - 1 : x + 2] = 1000
    write_nifti(tmp_path / "in" / "a.nii.gz", voxels, codes, tilt=0.2)
    split = {SliceId("a", at): "test" if at == 0 else "train" for at in range(4)}
    data = import_nifti(tmp_path / "in", tmp_path / "d", size=size, split=split, allow_shared=True)
    shown = data.raw(SliceId("a", z))
    row, col = np.argwhere(shown == shown.max()).mean(axis=0).round().tolist()
    click = Click(int(row), int(col))
    answer = Answer(Region(SliceId("a", z), 0, 0, size, size), Verdict.INFECTED, (click,))
    (line,) = answers_of(tmp_path, data, [answer])

    image = nib.load(tmp_path / "in" / "a.nii.gz")
    landmark = np.argwhere(np.asanyarray(image.dataobj) == 1000).mean(axis=0)
    assert np.asanyarray(image.dataobj)[voxel_of(line)] == 1000
    assert np.allclose(image.affine[:3] @ [*voxel_of(line), 1], mm_of(line), atol=1e-3)
    away_mm = np.linalg.norm(image.affine[:3] @ [*landmark, 1] - mm_of(line))
    assert away_mm < np.hypot(0.8, 0.7)  # a voxel's diagonal in the plane, in any order of axes
    assert (line["row"], line["col"]) == (str(click.row), str(click.col))

    axes = data.voxel_axes(SliceId("a", z))  # what the page says under the pointer
    rows, cols = (grid.ravel() for grid in np.indices((size, size)))
    places = {"row": rows, "col": cols, "": 0 * rows}
    read = [np.array(values, np.float64)[places[along]] for along, values in axes]
    wanted = data.source_voxels(SliceId("a", z), rows, cols, whole=True)
    inside = np.isfinite(wanted).all(axis=1)
    assert np.array_equal(np.isfinite(read).all(axis=0), inside)
    assert np.array_equal(np.transpose(read)[inside], wanted[inside])


def test_a_vertex_keeps_its_place_between_voxels(tmp_path):
    write_nifti(tmp_path / "in" / "a.nii.gz", chest(4, 8, 16), "RAS", mm=(1, 1, 2))
    split = {SliceId("a", at): "test" if at == 0 else "train" for at in range(4)}
    data = import_nifti(tmp_path / "in", tmp_path / "d", size=16, split=split, allow_shared=True)
    outline = ((3.5, -0.5), (3.5, 15.5), (11.5, 15.5), (11.5, -0.5), (6.25, 3))  # 4 rows of air
    answer = Answer(Region(SliceId("a", 1), 0, 0, 16, 16), Verdict.INFECTED, outlines=(outline,))
    lines = answers_of(tmp_path, data, [answer])

    assert [voxel_of(line) for line in lines] == [  # RAS: i and j run against columns and rows
        (15, 7, 1), (0, 7, 1), (0, 0, 1), (15, 0, 1), (12, 5, 1),
    ]  # fmt: skip
    affine = nib.load(tmp_path / "in" / "a.nii.gz").affine
    assert np.allclose(mm_of(lines[4]), affine[:3] @ [12, 4.75, 1, 1], atol=1e-3)


def test_a_point_beside_the_scan_has_no_voxel(tmp_path):
    write_nifti(tmp_path / "in" / "a.nii.gz", chest(4, 8, 16), mm=(1, 1, 2))
    split = {SliceId("a", at): "test" if at == 0 else "train" for at in range(4)}
    data = import_nifti(tmp_path / "in", tmp_path / "d", size=16, split=split, allow_shared=True)
    clicks = Click(4, 2), Click(3, 2, 0)
    answer = Answer(Region(SliceId("a", 1), 0, 0, 16, 16), Verdict.INFECTED, clicks)
    inside, beside = answers_of(tmp_path, data, [answer])

    assert voxel_of(inside) == (2, 0, 1)
    assert {beside[name] for name in ("i", "j", "k", "x_ras_mm", "y_ras_mm", "z_ras_mm")} == {""}
    assert (beside["row"], beside["col"]) == ("3", "2")


def test_a_picture_has_voxels_and_no_millimetres(tmp_path):
    (tmp_path / "in").mkdir()
    for name in "abc":
        pixels = np.arange(32 * 16).reshape(32, 16) % 256
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "in" / f"{name}.png")
    data = import_pairs(tmp_path / "in", tmp_path / "d", size=16)
    where = data.part("train")[0]
    answer = Answer(Region(where, 0, 0, 16, 16), Verdict.INFECTED, (Click(5, 7),))
    (line,) = answers_of(tmp_path, data, [answer])

    assert voxel_of(line) == (7, 11, 0)
    assert {line[f"{axis}_ras_mm"] for axis in "xyz"} == {""}


def test_a_file_without_orientation_has_voxels_and_no_millimetres(tmp_path):
    (tmp_path / "in").mkdir()
    image = nib.Nifti1Image(chest(4, 16, 16).transpose(2, 1, 0), None)
    nib.save(image, tmp_path / "in" / "a.nii.gz")
    split = {SliceId("a", at): "test" if at == 0 else "train" for at in range(4)}
    data = import_nifti(tmp_path / "in", tmp_path / "d", size=16, split=split, allow_shared=True)
    answer = Answer(Region(SliceId("a", 1), 0, 0, 16, 16), Verdict.INFECTED, (Click(5, 7),))
    (line,) = answers_of(tmp_path, data, [answer])

    stored = np.asanyarray(nib.load(tmp_path / "in" / "a.nii.gz").dataobj)
    assert stored[voxel_of(line)] == data.raw(SliceId("a", 1))[5, 7]
    assert {line[f"{axis}_ras_mm"] for axis in "xyz"} == {""}


def test_a_slice_of_a_file_of_many_patients_is_named_by_its_place_in_the_file(tmp_path):
    write_nifti(tmp_path / "in" / "a.nii.gz", chest(4, 16, 16), "RAI", mm=(1, 1, 2))
    volume = replace(read_nifti(tmp_path / "in" / "a.nii.gz"), stacked=False)
    split = {SliceId("a", at): "test" if at == 0 else "train" for at in range(4)}
    data = build([(volume, None)], tmp_path / "d", size=16, split=split, allow_shared=True)
    answer = Answer(Region(SliceId("a", 1), 0, 0, 16, 16), Verdict.INFECTED, (Click(5, 7),))
    (line,) = answers_of(tmp_path, data, [answer])

    stored = np.asanyarray(nib.load(tmp_path / "in" / "a.nii.gz").dataobj)
    assert voxel_of(line) == (8, 10, 2)
    assert stored[voxel_of(line)] == data.raw(SliceId("a", 1))[5, 7]


def test_a_spreadsheet_runs_nothing_of_a_scans_or_an_annotators_name(tmp_path):
    write_nifti(tmp_path / "in" / "=1+cmd().nii.gz", chest(4))
    data = import_nifti(tmp_path / "in", tmp_path / "d", size=24)
    answers = [
        Answer(Region(data.slices[0], 0, left, 6, 6), Verdict.CLEAN, annotator=name)
        for left, name in ((0, "@me"), (6, "Al"))
    ]
    lines = answers_of(tmp_path, data, answers)

    assert [line["annotator"] for line in lines] == ["'@me", "Al"]
    assert lines[0]["scan"] == "'=1+cmd()"
    assert lines[0]["region"].startswith("'=1+cmd()/")


def test_without_the_dataset_the_answers_go_out_without_voxels(tmp_path, squares):
    session = Session.open(tmp_path / "run", squares, CONFIG)
    session.ask(start_picks(Pool(squares, CONFIG)))
    first = session.state.pending[0]
    session.submit(Answer(first, Verdict.INFECTED, (Click(first.row, first.col),)))
    session.close()
    with pytest.raises(DataError, match="the voxels of the answers, the keypoints and the masks"):
        list(write_export(tmp_path / "run", tmp_path / "out", tmp_path / "gone"))

    with (tmp_path / "out" / "answers.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert (line["row"], line["i"], line["x_ras_mm"]) == (str(first.row), "", "")
    assert "`i`, `j`, `k`" in (tmp_path / "out" / "README.md").read_text()


# --- COCO ---


def written(dataset, out, *answers):
    return json.loads(write_coco(dataset, answers, out).read_text())


SHAPE = np.array([[0, 1, 1, 0], [1, 1, 1, 1], [0, 1, 1, 0]], bool)
RING = ((2.5, 2.5), (2.5, 12.5), (12.5, 12.5), (12.5, 2.5))
HOLE = ((5.5, 5.5), (5.5, 9.5), (9.5, 9.5), (9.5, 5.5))
APART = ((13.5, 1.5), (13.5, 4.5), (15.5, 4.5), (15.5, 1.5))
ANSWERS = (
    Answer(Region(ONE, 8, 16, 4, 8), Verdict.INFECTED, (Click(9, 18.5), Click(10, 17, 0))),
    Answer(Region(ONE, 0, 0, 8, 8), Verdict.CLEAN),
    Answer(Region(ONE, 20, 20, 3, 4, mask=SHAPE), Verdict.CLEAN),
    Answer(Region(TWO, 0, 0, 16, 16), Verdict.INFECTED, outlines=(RING, APART)),
    Answer(Region(TWO, 16, 0, 3, 4, mask=SHAPE), Verdict.SKIPPED),
)


@pytest.fixture
def coco(squares, tmp_path, capsys):
    return COCO(write_coco(squares, ANSWERS, tmp_path / "coco"))


def test_every_method_of_pycocotools_takes_the_keypoints(coco):
    assert coco.getCatIds(catNms=["clean"]) == [3]
    assert len(coco.getAnnIds(imgIds=coco.getImgIds(), iscrowd=False)) == 6
    assert coco.getAnnIds(catIds=[2]) == [2]
    assert coco.getAnnIds(areaRng=[33, 63]) == []
    coco.info()
    found = coco.loadRes([{**one, "score": 1.0} for one in coco.dataset["annotations"]])
    assert len(found.anns) == 6
    for annotation in coco.loadAnns(coco.getAnnIds()):
        assert maskUtils.area(coco.annToRLE(annotation)) == coco.annToMask(annotation).sum() > 0


def test_pycocotools_scores_keypoints_against_themselves(coco):
    found = coco.loadRes([{**one, "score": 1.0} for one in coco.dataset["annotations"]])
    judge = COCOeval(coco, found, "keypoints")
    judge.params.kpt_oks_sigmas = np.array([0.1])
    judge.evaluate()
    judge.accumulate()
    judge.summarize()

    assert judge.stats[0] == pytest.approx(1)


def test_the_mask_of_an_annotation_holds_the_pixels_that_were_labelled(coco):
    infected, background, clean, shape, *outlined = map(coco.annToMask, coco.dataset["annotations"])

    assert [np.argwhere(one).tolist() for one in (infected, background)] == [[[9, 19]], [[10, 17]]]
    assert np.array_equal(clean, ANSWERS[1].region.drawn((32, 32)))
    assert np.array_equal(shape, ANSWERS[2].region.drawn((32, 32)))
    for drawn, outline in zip(outlined, (RING, APART), strict=True):
        assert np.array_equal(drawn, fill([outline], (32, 32)))


def test_a_hole_in_an_outline_stays_a_hole(squares, tmp_path, capsys):
    answer = Answer(Region(TWO, 0, 0, 16, 16), Verdict.INFECTED, outlines=(RING, HOLE, APART))
    coco = COCO(write_coco(squares, [answer], tmp_path))

    (annotation,) = coco.dataset["annotations"]
    expected = fill(answer.outlines, (32, 32))
    assert not expected[7, 7]
    assert np.array_equal(coco.annToMask(annotation), expected)
    assert annotation["area"] == expected.sum()
    assert annotation["bbox"] == [2, 3, 11, 13]


def test_an_outline_counts_only_within_a_region_that_is_a_shape(squares, tmp_path, capsys):
    corner = ((19.5, 19.5), (19.5, 22.5), (22.5, 22.5), (22.5, 19.5))
    region = Region(ONE, 20, 20, 3, 4, mask=SHAPE)
    coco = COCO(
        write_coco(squares, [Answer(region, Verdict.INFECTED, outlines=(corner,))], tmp_path)
    )

    (annotation,) = coco.dataset["annotations"]
    both = fill([corner], (32, 32)) & region.drawn((32, 32))
    assert np.array_equal(coco.annToMask(annotation), both)


def test_each_click_is_a_keypoint_in_its_regions_box(squares, tmp_path):
    clicks = Click(9, 18.5), Click(10, 17, 0)
    answer = Answer(Region(ONE, 8, 16, 4, 8), Verdict.INFECTED, clicks, 2.5, "Ann")
    content = written(squares, tmp_path, answer)

    first, second = content["annotations"]
    assert first == {
        "id": 1, "image_id": 1, "category_id": 1, "keypoints": [18.5, 9, 2], "num_keypoints": 1,
        "bbox": [16, 8, 8, 4], "area": 32, "iscrowd": 0, "region": "one/2/8,16,4,8",
        "annotator": "Ann", "seconds": 2.5, "segmentation": [[19, 9, 20, 9, 20, 10, 19, 10]],
    }  # fmt: skip
    assert (second["category_id"], second["keypoints"]) == (2, [17, 10, 2])
    names = {category["id"]: category["name"] for category in content["categories"]}
    assert names == {1: "infected", 2: "background", 3: "clean"}


def test_a_clean_region_has_no_visible_keypoint_and_a_skipped_one_is_left_out(squares, tmp_path):
    clean = Answer(Region(TWO, 0, 0, 8, 8), Verdict.CLEAN)
    skipped = Answer(Region(ONE, 0, 0, 8, 8), Verdict.SKIPPED)
    content = written(squares, tmp_path, skipped, clean)

    (annotation,) = content["annotations"]
    assert (annotation["category_id"], annotation["num_keypoints"]) == (3, 0)
    assert [image["file_name"] for image in content["images"]] == ["two_000.png"]


def test_an_outline_is_a_polygon_that_counts_from_corners(squares, tmp_path):
    square = ((1.0, 2.0), (1.0, 5.0), (3.0, 5.0), (3.0, 2.0))
    answer = Answer(Region(ONE, 0, 0, 8, 8), Verdict.INFECTED, outlines=(square,))
    (annotation,) = written(squares, tmp_path, answer)["annotations"]

    assert annotation["segmentation"] == [[2.5, 1.5, 5.5, 1.5, 5.5, 3.5, 2.5, 3.5]]
    assert annotation["bbox"] == [2.5, 1.5, 3.0, 2.0]
    assert annotation["area"] == 6.0


def test_the_slices_are_there_as_pictures_of_what_was_seen(squares, tmp_path):
    regions = Region(ONE, 0, 0, 8, 8), Region(ONE, 8, 8, 8, 8), Region(TWO, 0, 0, 8, 8)
    content = written(squares, tmp_path, *(Answer(r, Verdict.CLEAN) for r in regions))

    assert Counter(part["image_id"] for part in content["annotations"]) == {1: 2, 2: 1}
    for image, where in zip(content["images"], (ONE, TWO), strict=True):
        picture = np.asarray(Image.open(tmp_path / "images" / image["file_name"]))
        assert picture.shape == (image["height"], image["width"])
        assert np.array_equal(picture, squares.image(where))


def test_no_answers_are_a_file_without_annotations(squares, tmp_path):
    content = written(squares, tmp_path)

    assert content["images"] == content["annotations"] == []


# --- masks as they were labelled ---


def test_a_region_that_was_outlined_goes_out_as_it_was_outlined():
    predicted = np.zeros((32, 32), bool)
    predicted[8:24, 8:24] = True
    inner = ((3.5, 3.5), (3.5, 11.5), (11.5, 11.5), (11.5, 3.5))
    right = Answer(Region(TWO, 0, 0, 16, 16), Verdict.INFECTED, outlines=(inner,), verified=True)
    clean = Answer(Region(TWO, 16, 16, 16, 16), Verdict.CLEAN)
    elsewhere = Answer(Region(ONE, 0, 0, 16, 16), Verdict.INFECTED, outlines=(inner,))

    mask = as_labelled(TWO, predicted, [right, clean, elsewhere])

    assert mask.dtype == bool
    assert np.argwhere(mask[:16, :16]).tolist() == np.argwhere(fill([inner], (16, 16))).tolist()
    assert np.array_equal(mask[16:], predicted[16:])  # a verdict says nothing of the rest
    assert np.array_equal(as_labelled(TWO, predicted, [clean]), predicted)
