import csv
import json
from collections import Counter

import numpy as np
from PIL import Image

from alnb.annotation import Answer, Click, Verdict
from alnb.config import Config
from alnb.dataset import SliceId
from alnb.export.export import write_coco, write_export
from alnb.pool import Pool, start_picks
from alnb.regions import Region
from alnb.session import Session

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


# --- COCO ---


def written(dataset, out, *answers):
    return json.loads(write_coco(dataset, answers, out).read_text())


def test_each_click_is_a_keypoint_in_its_regions_box(squares, tmp_path):
    clicks = Click(9, 18.5), Click(10, 17, 0)
    answer = Answer(Region(ONE, 8, 16, 4, 8), Verdict.INFECTED, clicks, 2.5, "Ann")
    content = written(squares, tmp_path, answer)

    first, second = content["annotations"]
    assert first == {
        "id": 1, "image_id": 1, "category_id": 1, "keypoints": [18.5, 9, 2], "num_keypoints": 1,
        "bbox": [16, 8, 8, 4], "area": 32, "iscrowd": 0, "region": "one/2/8,16,4,8",
        "annotator": "Ann", "seconds": 2.5,
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
