import json
import re

import nibabel as nib
import numpy as np
import pytest
from scans import ct, noisy_chest, parts_of, write_nifti
from skimage import io
from test_volumes_dicom import even_chest, write_series

from alnb.config import Config
from alnb.dataset import (
    SliceId,
    build,
    import_covid19a,
    import_covid19b,
    import_dicom,
    import_medseg,
    import_nifti,
    import_pairs,
    import_phantom,
    import_semiseg,
)
from alnb.errors import DataError
from alnb.volumes import read_nifti


def nifti_folders(folder, names=("a_2", "a_10"), masks=("a_2", "a_10")):
    volume, mask = ct()
    for name in names:
        write_nifti(folder / "i" / f"{name}.nii.gz", volume.voxels, "RAS")
    for name in masks:
        write_nifti(folder / "m" / f"{name}.nii", mask, "RAS")
    return folder / "i", folder / "m"


def test_nifti_volumes_and_masks_are_paired_by_name(tmp_path):
    images, masks = nifti_folders(tmp_path)
    dataset = import_nifti(images, tmp_path / "d", masks=masks, size=16)
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())
    volume, mask = ct()

    assert list(manifest["scans"]) == ["a_2", "a_10"]
    assert manifest["scans"]["a_2"]["source"]["file"] == "a_2.nii.gz"
    assert manifest["scans"]["a_2"]["mask"]["file"] == "a_2.nii"
    assert str(tmp_path) not in (tmp_path / "d" / "manifest.json").read_text()
    assert np.array_equal(dataset.raw(SliceId("a_10", 1)), volume.voxels[1])
    assert np.array_equal(dataset.labels(SliceId("a_10", 1)), mask[1])


def test_one_nifti_file_is_a_dataset_too(tmp_path):
    images, _ = nifti_folders(tmp_path)

    assert len(import_nifti(images / "a_2.nii.gz", tmp_path / "d", split="mixed").slices) == 4


def test_a_scan_without_mask_or_a_mask_without_scan_is_a_sentence(tmp_path):
    images, masks = nifti_folders(tmp_path, names=("a", "b"), masks=("a", "c"))

    with pytest.raises(DataError, match=r"scan b: .* holds no mask .* with --skip b"):
        import_nifti(images, tmp_path / "d", masks=masks)
    with pytest.raises(DataError, match=r"mask c\.nii: there is no scan of that name"):
        import_nifti(images, tmp_path / "d", masks=masks, skip=["b"])
    (masks / "c.nii").unlink()
    dataset = import_nifti(images, tmp_path / "d", masks=masks, skip=["b"])
    assert {where.scan for where in dataset.slices} == {"a"}


def test_a_folder_that_cannot_be_imported_is_a_sentence(tmp_path):
    images, _ = nifti_folders(tmp_path)

    with pytest.raises(DataError, match=r"it holds no \.nii or \.nii\.gz or \.hdr file"):
        import_nifti(tmp_path, tmp_path / "d")
    with pytest.raises(DataError, match="there is no such folder"):
        import_nifti(tmp_path / "nowhere", tmp_path / "d")
    with pytest.raises(DataError, match="--skip b: there is no such scan"):
        import_nifti(images, tmp_path / "d", skip=["b"])
    write_nifti(images / "a_2.nii", ct()[0].voxels)
    with pytest.raises(DataError, match="name one scan"):
        import_nifti(images, tmp_path / "d")


def test_files_of_another_kind_are_named(tmp_path):
    (tmp_path / "a.nrrd").touch()
    (tmp_path / "b.mha").touch()

    with pytest.raises(DataError, match=r"\.hdr file, only \.mha, \.nrrd\. Name another folder"):
        import_nifti(tmp_path, tmp_path / "d")


def soft_folders(folder):
    """A scan as HU + 1024, and a mask with soft edges."""
    mask = np.zeros((4, 40, 40), np.float32)
    mask[:, 10:20, 10:20] = np.linspace(0.1, 1, 10)
    write_nifti(folder / "i" / "a.nii", noisy_chest() + 1024)
    write_nifti(folder / "m" / "a.nii", mask)
    return folder / "i", mask > 0.5


def test_an_offset_and_a_threshold_reach_the_files_and_the_notes(tmp_path):
    images, infected = soft_folders(tmp_path)
    words = {"masks": tmp_path / "m", "size": 40, "unit": "hu", "offset": -1024, "split": "mixed"}

    dataset = import_nifti(images, tmp_path / "d", infected_above=0.5, **words)

    assert np.array_equal(dataset.raw(SliceId("a", 1)), noisy_chest()[1])
    assert np.array_equal(dataset.mask(SliceId("a", 1)), infected[1])
    assert "scan a: -1024 was added to its values, as asked for." in dataset.notes
    assert "scan a: values above 0.5 of the mask are infected." in dataset.notes
    with pytest.raises(DataError, match=r"edges seem soft\. Say with --infected-above"):
        import_nifti(images, tmp_path / "e", **words)
    with pytest.raises(DataError, match="--infected-above 1: no mask holds a value above it"):
        import_nifti(images, tmp_path / "e", infected_above=1, **words)
    with pytest.raises(DataError, match=r"a threshold\. Say only one"):
        import_nifti(images, tmp_path / "e", infected_above=1, infected=[1], **words)


def test_two_affines_are_kept_in_the_dataset_and_one_can_be_chosen(tmp_path):
    images, masks = nifti_folders(tmp_path, names=("a",), masks=("a",))
    image = nib.load(images / "a.nii.gz")
    qform, sform = image.affine, np.diag([-1, 1, 1, 1]) @ image.affine
    for path in (images / "a.nii.gz", masks / "a.nii"):
        both = nib.load(path)
        both.set_qform(qform, 1)
        both.set_sform(sform, 2)
        nib.save(nib.Nifti1Image(both.get_fdata().astype(np.int16), None, both.header), path)
    volume, mask = ct()

    for affine, flipped in (("qform", 1), ("sform", -1)):
        out = tmp_path / affine
        dataset = import_nifti(
            images, out, masks=masks, size=16, split="mixed", affine=affine, unit="hu"
        )
        assert np.array_equal(dataset.raw(SliceId("a", 1)), volume.voxels[1, :, ::flipped])
        assert np.array_equal(dataset.labels(SliceId("a", 1)), mask[1, :, ::flipped])
        assert f"the {affine} was used (as asked for)" in " ".join(dataset.notes)
        masks_out = np.stack([dataset.labels(SliceId("a", z)) for z in range(4)])
        dataset.write_mask(tmp_path / "out.nii", "a", masks_out)
        written = nib.load(tmp_path / "out.nii")
        assert np.allclose(written.get_qform(), qform, atol=1e-4)
        assert np.allclose(written.get_sform(), sform, atol=1e-4)
        stored = np.asanyarray(nib.load(masks / "a.nii").dataobj)
        assert np.array_equal(np.asanyarray(written.dataobj), stored)


def test_a_dataset_whose_manifest_has_one_affine_opens_and_exports(tmp_path):
    images, _ = nifti_folders(tmp_path, names=("a",), masks=())
    dataset = import_nifti(images, tmp_path / "d", size=16, split="mixed")
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())

    assert not {"qform", "sform"} & manifest["scans"]["a"]["source"].keys()
    dataset.write_mask(tmp_path / "out.nii", "a", np.zeros((4, 16, 16), np.uint8))
    assert np.allclose(nib.load(tmp_path / "out.nii").affine, nib.load(images / "a.nii.gz").affine)


def test_scans_stored_upside_down_are_turned_and_turned_back(tmp_path):
    images, masks = nifti_folders(tmp_path)
    dataset = import_nifti(images, tmp_path / "d", masks=masks, size=16, split="sep", flip=["*_10"])
    volume, mask = ct()
    dataset.write_mask(tmp_path / "out.nii", "a_10", np.stack([mask[z, ::-1] for z in range(4)]))

    assert np.array_equal(dataset.raw(SliceId("a_10", 1)), volume.voxels[1, ::-1])
    assert np.array_equal(dataset.labels(SliceId("a_10", 1)), mask[1, ::-1])
    assert np.array_equal(dataset.raw(SliceId("a_2", 1)), volume.voxels[1])
    assert np.array_equal(read_nifti(tmp_path / "out.nii").voxels, mask)
    assert any("upside down" in note for note in dataset.notes)


def test_headers_that_say_nothing_or_contradict_each_other_are_noted(tmp_path):
    images, masks = nifti_folders(tmp_path)
    silent = nib.load(images / "a_2.nii.gz")
    silent.set_sform(silent.affine, 0)
    silent.set_qform(silent.affine, 0)
    nib.save(silent, images / "a_2.nii.gz")

    notes = import_nifti(images, tmp_path / "d", masks=masks, split="mixed").notes

    assert notes[0].startswith("scan a_2: the file names no orientation")
    assert notes[1].startswith("scan a_2: the image's header names no orientation, so it was")


def test_pictures_become_scans_of_one_slice(tmp_path):
    (tmp_path / "i").mkdir()
    (tmp_path / "m").mkdir()
    grey = np.arange(0, 240, 15, dtype=np.uint8).reshape(4, 4)
    for name in ("p1", "p2", "p3"):
        io.imsave(tmp_path / "i" / f"{name}.jpg", grey, check_contrast=False)
        mask = ((grey > 100) * 255).astype(np.uint8)
        io.imsave(tmp_path / "m" / f"{name}.png", mask, check_contrast=False)

    dataset = import_pairs(tmp_path / "i", tmp_path / "d", masks=tmp_path / "m", size=4)

    assert sorted(dataset.slices) == [SliceId(f"p{n}", 0) for n in (1, 2, 3)]
    assert np.array_equal(dataset.mask(SliceId("p1", 0)), grey > 100)
    assert "every picture counts as a scan" in dataset.notes[0]
    assert not import_pairs(tmp_path / "i", tmp_path / "e", size=4).has_masks


def test_soft_masks_of_pictures_take_a_threshold(tmp_path):
    soft = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for folder in ("i", "m"):
        (tmp_path / folder).mkdir()
        io.imsave(tmp_path / folder / "a.png", soft, check_contrast=False)
    where, out = SliceId("a", 0), tmp_path / "d"
    folders = {"images": tmp_path / "i", "masks": tmp_path / "m", "out": out, "size": 8}

    assert np.array_equal(import_pairs(**folders, infected_above=30).mask(where), soft > 30)
    with pytest.raises(DataError, match="--infected-above 99: no mask holds a value above it"):
        import_pairs(**folders, infected_above=99)
    with pytest.raises(DataError, match="Say only one"):
        import_pairs(**folders, infected_above=30, infected=[1])


def test_a_series_that_is_refused_beside_others_can_be_left_out(tmp_path):
    write_series(tmp_path / "in" / "lung", even_chest(4))
    monitor = np.stack([even_chest(1)[0] + 2 * z for z in range(9)])
    write_series(tmp_path / "in" / "bolus 2", monitor, positions=[0, 5, 10] * 3)
    with pytest.raises(DataError, match=r"Or leave it out with --skip 'bolus 2'\."):
        import_dicom(tmp_path / "in", tmp_path / "out")

    assert list(import_dicom(tmp_path / "in", tmp_path / "out", skip=["bolus 2"]).scans) == ["lung"]


def test_dicom_series_become_scans(tmp_path):
    (tmp_path / "all").mkdir()
    for name in ("s1", "s2"):
        write_series(tmp_path / "all" / name, even_chest())

    both = import_dicom(tmp_path / "all", tmp_path / "d", size=8)
    one = import_dicom(tmp_path / "all" / "s1", tmp_path / "e", size=8, split="mixed")

    assert {where.scan for where in both.slices} == {"s1", "s2"}
    assert one.unit(one.slices[0]) == "hu"
    with pytest.raises(DataError, match="there is no such folder"):
        import_dicom(tmp_path / "nowhere", tmp_path / "d")


def test_what_a_series_lacks_is_noted(tmp_path):
    write_series(tmp_path / "s1", even_chest(4), positions=[0, 2, 4, 8])
    dataset = import_dicom(tmp_path / "s1", tmp_path / "d", size=8, split="mixed")

    assert dataset.notes[0] == (
        "scans are named by their folders: check that none names a patient."
    )
    assert dataset.notes[1].startswith("scan s1: slices are missing (1 after ")


def test_no_patient_is_named_in_a_dataset(tmp_path):
    write_series(tmp_path / "all" / "Curie_Marie_CT", even_chest())
    write_series(tmp_path / "all" / "b", even_chest(), StudyDescription="CT Mrs Curie")
    (tmp_path / "all" / "b" / "MRN-4711_report.pdf").write_bytes(b"%PDF-1.4")
    dataset = import_dicom(tmp_path / "all", tmp_path / "d", size=8)
    written = [path for path in (tmp_path / "d").rglob("*") if path.is_file()]

    assert list(dataset.scans) == ["scan_1", "scan_2"]
    assert any("named by their patients" in note for note in dataset.notes)
    assert len(written) == 5
    for path in written:
        content = path.name.encode() + path.read_bytes()
        assert not re.search(b"curie|marie|mrn-4711", content, re.IGNORECASE), path


def test_a_cd_becomes_a_scan_for_each_series_of_its_patients(tmp_path):
    cd = tmp_path / "cd"
    for patient in ("p1", "p2", "p10"):
        study = {"StudyInstanceUID": f"1.2.{patient[1:]}", "PatientID": f"no_{patient}_id"}
        write_series(cd / patient / "st" / "se1", even_chest(4), **study)
    write_series(cd / "p2" / "st" / "se2", even_chest(3), **study | {"PatientID": "no_p2_id"})
    (cd / "DICOMDIR").write_bytes(b"")
    (cd / "AUTORUN.INF").write_text("open=viewer.exe")
    dataset = import_dicom(cd, tmp_path / "d", size=8)

    assert list(dataset.scans) == ["p1_st_se1", "p2_st_se1", "p2_st_se2", "p10_st_se1"]
    assert dataset.notes[:2] == (
        "left out: files that are not DICOM (1).",
        "scans p2_st_se1 (4 slices), p2_st_se2 (3 slices) are of one patient, by their headers: "
        "leave out all but one with --skip, or keep them in one part with a --split file.",
    )


def test_slices_beside_a_folder_of_more_are_one_scan(tmp_path):
    write_series(tmp_path / "s", even_chest(3), uid="1.2.9")
    write_series(tmp_path / "s" / "more", even_chest(2), uid="1.2.9", positions=[6, 8])
    (tmp_path / "s" / ".ipynb_checkpoints").mkdir()
    dataset = import_dicom(tmp_path / "s", tmp_path / "d", size=8)

    assert [str(where) for where in dataset.slices] == [f"s/{z}" for z in range(5)]


def test_two_series_of_one_folder_are_numbered_as_the_scanner_did(tmp_path):
    write_series(tmp_path / "s", even_chest(3), uid="1.2.8", SeriesNumber=20)
    write_series(tmp_path / "s", even_chest(4), uid="1.2.9", SeriesNumber=3)
    dataset = import_dicom(tmp_path / "s", tmp_path / "d", size=8)
    kept = import_dicom(tmp_path / "s", tmp_path / "e", size=8, skip=["s_2"])

    assert {scan: record["depth"] for scan, record in dataset.scans.items()} == {"s_1": 4, "s_2": 3}
    assert list(kept.scans) == ["s_1"]


def test_a_renamed_scan_is_left_out_by_its_folder_or_its_new_name(tmp_path):
    for name in ("Curie_1", "Curie_2", "Curie_3"):
        write_series(tmp_path / "all" / name, even_chest())
    by_folder = import_dicom(tmp_path / "all", tmp_path / "d", size=8, skip=["Curie_1"])
    by_number = import_dicom(tmp_path / "all", tmp_path / "e", size=8, skip=["scan_1"])

    assert list(by_folder.scans) == ["scan_1", "scan_2"]
    assert list(by_number.scans) == ["scan_2", "scan_3"]


def test_an_offset_and_an_acquisition_reach_the_series(tmp_path):
    for number in (1, 2):
        write_series(
            tmp_path / "s", even_chest() + 200 * number, uid="1.2.9", AcquisitionNumber=number,
            name=f"{number}_{{z}}",
        )  # fmt: skip
    dataset = import_dicom(tmp_path / "s", tmp_path / "d", size=8, acquisition=2, offset=-1024)

    shown = dataset.raw(SliceId("s", 2)).max()
    assert even_chest().max() + 200 < shown <= even_chest().max() + 400
    assert dataset.notes[1].startswith("scan s: the header has a RescaleIntercept")
    assert "acquisition 2 was taken, as asked for (3 of 6 slices)" in dataset.notes[2]


def test_the_phantom_is_a_dataset_in_hu(tmp_path):
    dataset = import_phantom(tmp_path / "d", scans=2, size=64)

    assert dataset.name == "phantom"
    assert dataset.describe()["unit"] == "hu"
    assert dataset.has_masks
    assert parts_of(dataset)["test"] > 0


def test_hu_volumes_keep_their_hu_and_have_no_masks(shared, tmp_path):
    dataset = import_nifti(shared / "data" / "hu_volumes", tmp_path / "d", size=192)
    source = np.asanyarray(nib.load(shared / "data" / "hu_volumes" / "cap002.nii.gz").dataobj)

    assert not dataset.has_masks
    assert np.array_equal(dataset.raw(SliceId("cap002", 3)), source[:, :, 3].T)
    assert dataset.image(SliceId("cap002", 3)).max() == 255


def test_a_refused_import_leaves_no_folder_behind(tmp_path):
    with pytest.raises(DataError, match="no scan"):
        build([], tmp_path / "data", size=32)

    assert not (tmp_path / "data").exists()


FILES = {
    import_nifti: ["a.nii"],
    import_pairs: ["a.png"],
    import_dicom: ["series/1.dcm"],
    import_medseg: ["train_im.nii.gz"],
    import_covid19a: ["OpenSourceDCMs/DCM1/s0001", "InfectionMasks/1_z1.png"],
    import_covid19b: ["COVID-19-CT-Seg_20cases/a.nii", "Infection_Mask/a.nii"],
    import_semiseg: ["Imgs/a.png", "GT/a.png"],
    import_phantom: [],
}


@pytest.mark.parametrize("import_data", FILES, ids=lambda function: function.__name__)
def test_every_import_passes_on_what_is_said_of_the_data(tmp_path, monkeypatch, import_data):
    built = []
    for module in ("importers", "published"):
        monkeypatch.setattr(
            f"alnb.dataset.{module}.build", lambda pairs, out, **options: built.append(options)
        )
    for name in FILES[import_data]:
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).touch()
    if import_data is import_dicom:
        write_series(tmp_path / "source" / "series", even_chest(1), name="1.dcm")
    source = [tmp_path / "source"] if FILES[import_data] else []
    facts = {"synthetic": True, "pseudo_masks": True}
    import_data(*source, tmp_path / "out", **facts, notes=["from the clinic"])

    (options,) = built
    assert options | facts == options
    assert list(options["notes"])[-1] == "from the clinic"


def test_a_phantom_of_ones_own_is_not_taken_for_ours(tmp_path):
    write_nifti(tmp_path / "scans" / "phantom_01.nii", ct()[0].voxels)
    scanned = import_nifti(tmp_path / "scans", tmp_path / "a", size=16)
    drawn = import_phantom(tmp_path / "b", scans=1, size=32)

    assert not scanned.synthetic
    assert scanned.resolve(Config()).pretrain_steps == Config().pretrain_steps > 0
    assert drawn.synthetic
    assert drawn.resolve(Config()).pretrain_steps == 0


@pytest.mark.parametrize(
    "positions",
    [
        [0, 7.5, 15, 17.5, 20],  # another distance from the third on
        [0, 2, 4, 8, 10],  # one is missing
        [(0, 0, 0), (30, 0, 2), (30, 5, 4)],  # the field of view moves
    ],
)
def test_a_voxel_of_a_stack_that_no_affine_fits_has_its_own_place(tmp_path, positions):
    write_series(
        tmp_path / "s", even_chest(len(positions)), positions=positions, PixelSpacing=[0.7, 0.7]
    )
    dataset = import_dicom(tmp_path / "s", tmp_path / "d", size=8, split="mixed")
    voxels = np.array([(2.0, 3.0, k) for k in range(len(positions))])

    places = dataset.source_mm("s", voxels)
    firsts = np.array([at if np.ndim(at) else (0, 0, at) for at in positions]) - 50
    lps = firsts + np.array([1.4, 2.1, 0])
    assert places == pytest.approx(lps * (-1, -1, 1))
    assert np.isnan(dataset.source_mm("s", np.full((1, 3), np.nan))).all()


def test_an_even_stack_needs_no_places_of_its_slices(tmp_path):
    jitter = [0, 2.01, 3.99, 6]
    write_series(tmp_path / "s", even_chest(4), positions=jitter)
    dataset = import_dicom(tmp_path / "s", tmp_path / "d", size=8, split="mixed")

    assert "origins" not in dataset.scans["s"]["source"]


def test_an_offset_is_added_only_where_it_is_needed(tmp_path):
    write_nifti(tmp_path / "i" / "hu.nii", noisy_chest())
    write_nifti(tmp_path / "i" / "stored.nii", noisy_chest() + 1024)
    dataset = import_nifti(tmp_path / "i", tmp_path / "d", size=40, unit="hu", offset=-1024)

    both = [dataset.raw(SliceId(scan, 1)) for scan in ("hu", "stored")]
    assert np.array_equal(*both)
    assert "scan hu: its values are HU without the offset, so nothing was added." in dataset.notes
    assert "scan stored: -1024 was added to its values, as asked for." in dataset.notes
