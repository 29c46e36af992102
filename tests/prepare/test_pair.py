from pathlib import PurePosixPath as P

from terraseg.prepare.discover import band_templates
from terraseg.prepare.pair import pair


def test_images_and_masks_of_one_name_in_two_folders_belong_together() -> None:
    images = [P(f"Tile {t}/images/part_{n}.jpg") for t in (1, 2) for n in (1, 2)]
    masks = [P(f"Tile {t}/masks/part_{n}.png") for t in (1, 2) for n in (1, 2)]
    assert pair(images, masks) == dict(zip(images, masks, strict=True))


def test_a_suffix_that_says_label_is_not_part_of_the_name() -> None:
    image, label = P("top_potsdam_2_10_RGB.tif"), P("top_potsdam_2_10_label.tif")
    assert pair([image, P("top_potsdam_2_11_RGB.tif")], [label]) == {image: label}


def test_inria_pairs_by_equal_names() -> None:
    images, masks = [P("train/images/austin1.tif"), P("train/images/austin10.tif")], [P("train/gt/austin10.tif")]
    assert pair(images, masks) == {images[1]: masks[0]}


def test_a_site_shares_one_label_file_among_its_scenes() -> None:
    images = [P("scenes/rome_0.tif"), P("scenes/rome_1.tif"), P("scenes/oslo_0.tif")]
    labels = [P("labels/rome_buildings.geojson"), P("labels/oslo_buildings.geojson")]
    assert pair(images, labels) == {images[0]: labels[0], images[1]: labels[0], images[2]: labels[1]}


def test_the_longest_fitting_label_name_wins() -> None:
    images = [P("new_york_1.tif"), P("new_delhi_1.tif")]
    labels = [P("new_buildings.gpkg"), P("new_york_buildings.gpkg")]
    assert pair(images, labels) == {images[0]: labels[1], images[1]: labels[0]}


def test_a_single_label_file_is_for_all_scenes() -> None:
    images = [P("a.tif"), P("b.tif")]
    assert pair(images, [P("footprints.gpkg")]) == dict.fromkeys(images, P("footprints.gpkg"))


def test_an_image_without_a_fitting_label_stays_alone() -> None:
    assert pair([P("a.tif"), P("b.tif")], [P("a_mask.png"), P("c_mask.png")]) == {P("a.tif"): P("a_mask.png")}


def test_band_files_in_folders_of_their_own_become_templates() -> None:
    files = [f"train_{b}/{b}_patch_{n}.TIF" for b in ("red", "green", "blue", "nir") for n in (1, 2)]
    scenes, bands = band_templates(files)
    assert scenes == ["train_{band}/{band}_patch_1.TIF", "train_{band}/{band}_patch_2.TIF"]
    assert bands == ("red", "green", "blue", "nir")


def test_a_colour_in_the_name_of_a_single_file_is_no_band() -> None:
    files = ["red_square.tif", "town.tif"]
    assert band_templates(files) == (files, ())
