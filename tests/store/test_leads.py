"""Files that name other files: what GDAL would fetch, run or write for them, were they not looked at before."""

import html
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.errors import NotGeoreferencedWarning

from terraseg.core.dataset import Imagery
from terraseg.core.window import Window
from terraseg.errors import TerrasegError, UnreadableFile
from terraseg.store.features import list_fields, read_polygons
from terraseg.store.leads import LEAVE
from terraseg.store.opening import open_dataset
from terraseg.store.raster import open_raster
from tests.makers import make_grid, make_raster

RGB = ("red", "green", "blue")
SERVICE = (
    '<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:9/${z}/${x}/${y}.png</ServerUrl></Service><DataWindow>'
    "<UpperLeftX>0</UpperLeftX><UpperLeftY>9</UpperLeftY><LowerRightX>9</LowerRightX><LowerRightY>0</LowerRightY>"
    "<TileLevel>1</TileLevel></DataWindow><BandsCount>3</BandsCount></GDAL_WMS>"
)


def vrt(source: str, element: str = "SourceFilename", *, relative: int = 0, band: str = "") -> str:
    named = f'<{element} relativeToVRT="{relative}">{html.escape(source)}</{element}>'
    return (
        f'<VRTDataset rasterXSize="96" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1" {band}><SimpleSource>{named}'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )


def raw(source: str) -> str:
    return (
        '<VRTDataset rasterXSize="4" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">'
        f'<SourceFilename relativeToVRT="0">{source}</SourceFilename><ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset>'
        "<LineOffset>4</LineOffset></VRTRasterBand></VRTDataset>"
    )


def cache_of(image: Path, folder: Path) -> str:
    """A cache of a raster, which GDAL fills while it is read: at any place that it names."""
    return (
        f'<MRF_META><CachedSource><Source>{image}</Source></CachedSource><Raster><Size x="512" y="512" c="3"/>'
        f'<PageSize x="512" y="512" c="3"/><DataFile>{folder}/sprung.dat</DataFile><IndexFile>{folder}/sprung.idx</IndexFile>'
        "</Raster></MRF_META>"
    )


def read_all(path: Path) -> None:
    with open_raster(Imagery((str(path),), ("band_1",))) as reader:
        reader.read(Window(0, 0, 1, 4))


SOURCES = [
    "/vsicurl/http://127.0.0.1:9/a.tif",
    "/vsizip//vsicurl/http://127.0.0.1:9/a.zip/a.tif",
    "http://127.0.0.1:9/a.tif",
    'NETCDF:"http://127.0.0.1:9/a.nc":red',
    "WMTS:http://127.0.0.1:9/wmts",
    "vrt:///vsicurl/http://127.0.0.1:9/a.tif",
    "EEDAI:a:b",
    "DERIVED_SUBDATASET:AMPLITUDE:a.tif",
    SERVICE,
    '{"type": "gdal_streamed_alg", "command_line": "gdal raster convert a.tif stream"}',
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source[:24])
@pytest.mark.parametrize("element", ["SourceFilename", "SourceDataset"])
def test_a_vrt_leads_to_ordinary_files_alone(tmp_path: Path, source: str, element: str) -> None:
    (tmp_path / "a.vrt").write_text(vrt(source, element))
    with pytest.raises(
        UnreadableFile, match=r"leads to .* not followed beyond ordinary files of this machine.*TERRASEG_REMOTE"
    ):
        read_all(tmp_path / "a.vrt")


@pytest.mark.parametrize("text", [SERVICE, '{"stac_version": "1.0.0"}', "<kml></kml>", "<GDALTileIndexDataset/>"])
def test_what_only_describes_a_raster_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.tif").write_text(text)
    (tmp_path / "a.vrt").write_text(vrt(str(tmp_path / "a.tif")))
    for name in ("a.tif", "a.vrt"):
        with pytest.raises(UnreadableFile, match="which is no picture"):
            read_all(tmp_path / name)


def test_a_chain_of_vrts_is_followed_to_its_end(tmp_path: Path) -> None:
    make_raster(tmp_path / "deep/a.tif")
    (tmp_path / "deep/b.vrt").write_text(vrt("a.tif", relative=1))
    (tmp_path / "c.vrt").write_text(vrt("deep/b.vrt", relative=1))
    read_all(tmp_path / "c.vrt")
    (tmp_path / "deep/b.vrt").write_text(vrt("/vsicurl/http://127.0.0.1:9/a.tif"))
    with pytest.raises(UnreadableFile, match=r"c\.vrt leads to /vsicurl"):
        read_all(tmp_path / "c.vrt")


def test_a_vrt_of_itself_comes_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "a.vrt").write_text(vrt("a.vrt", relative=1))
    with pytest.raises(UnreadableFile):
        read_all(tmp_path / "a.vrt")


def test_raw_numbers_are_read_beside_their_vrt_alone(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/numbers.bin").write_bytes(b"abcd")
    (tmp_path / "outside.bin").write_bytes(b"abcd")
    (tmp_path / "in/a.vrt").write_text(raw(str(tmp_path / "in/numbers.bin")))
    read_all(tmp_path / "in/a.vrt")
    for secret in (str(tmp_path / "outside.bin"), str(tmp_path / "in/../outside.bin"), "/etc/hostname"):
        (tmp_path / "in/b.vrt").write_text(raw(secret))
        with pytest.raises(UnreadableFile, match="as raw numbers"):
            read_all(tmp_path / "in/b.vrt")


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    (tmp_path / "a.vrt").write_text('<!DOCTYPE x [<!ENTITY e SYSTEM "/etc/hostname">]>' + vrt("&e;"))
    with pytest.raises(UnreadableFile, match=r"document type of its own|no XML"):
        read_all(tmp_path / "a.vrt")
    (tmp_path / "b.vrt").write_text('<VRTDataset rasterXSize="1" rasterYSize="1"><!ENTITY e "x"></VRTDataset>')
    with pytest.raises(UnreadableFile, match="document type of its own"):
        read_all(tmp_path / "b.vrt")


def tagged(image: Path, cache: Path) -> None:
    with rasterio.open(image, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(cache))


def noted(image: Path, cache: Path) -> None:
    note = f'<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{cache}</MDI></Metadata>'
    Path(f"{image}.aux.xml").write_text(f"<PAMDataset>{note}</PAMDataset>")


def beside(suffix: str) -> Callable[[Path, Path], None]:
    def hide(image: Path, cache: Path) -> None:
        Path(f"{image}{suffix}").write_text(cache.read_text())

    return hide


@pytest.mark.parametrize("hide", [tagged, noted, beside(".ovr"), beside(".msk")], ids=["tag", "notes", "ovr", "msk"])
def test_no_file_is_written_because_a_raster_says_so(tmp_path: Path, hide: Callable[[Path, Path], None]) -> None:
    """GDAL opens what a TIFF calls its overviews, and fills a cache at the place that this names."""
    image = make_raster(tmp_path / "a.tif", make_grid(600, 600))
    (tmp_path / "cache.mrf").write_text(cache_of(image, tmp_path))
    with open_raster(Imagery((str(image),), RGB)) as reader:
        reader.read_overview(64)
    hide(image, tmp_path / "cache.mrf")
    with pytest.raises(UnreadableFile, match="leads to"), open_raster(Imagery((str(image),), RGB)) as reader:
        reader.read_overview(64)
    assert not list(tmp_path.glob("sprung*"))
    with pytest.raises(UnreadableFile, match="which is no picture"):
        read_all(tmp_path / "cache.mrf")
    assert not list(tmp_path.glob("sprung*"))


def test_overviews_and_masks_that_are_rasters_stay(tmp_path: Path) -> None:
    image = make_raster(tmp_path / "a.tif", make_grid(600, 600))
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(image, "r+") as dataset:
        dataset.build_overviews([2, 4])
    assert Path(f"{image}.ovr").exists()
    with open_raster(Imagery((str(image),), RGB)) as reader:
        assert reader.read_overview(64).valid.all()


def test_a_vrt_that_the_user_trusts_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outside.bin").write_bytes(b"abcd")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.vrt").write_text(raw(str(tmp_path / "outside.bin")))
    monkeypatch.setenv(LEAVE, "yes")
    read_all(tmp_path / "in/a.vrt")


LEADING = {
    "program": "GPSBabel:gpx:{folder}/a.gpx",
    "features service": "WFS:http://127.0.0.1:9/wfs",
    "address": "http://127.0.0.1:9/a.geojson",
    "file": "{folder}/other.gpkg",
}


@pytest.mark.parametrize("source", LEADING.values(), ids=LEADING)
def test_no_program_is_run_and_no_service_asked_for_features(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GDAL runs gpsbabel, from wherever the path leads, for a source of that name in an OGR VRT."""
    program = tmp_path / "bin/gpsbabel"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    program.chmod(0o755)
    (tmp_path / "a.gpx").write_text("<gpx/>")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    named = source.format(folder=tmp_path)
    layer = f'<OGRVRTLayer name="a"><SrcDataSource>{named}</SrcDataSource></OGRVRTLayer>'
    (tmp_path / "labels.geojson").write_text(f"<OGRVRTDataSource>{layer}</OGRVRTDataSource>")
    for read in (read_polygons, list_fields):
        with pytest.raises(UnreadableFile, match="holds no features but says how to get them"):
            read(tmp_path / "labels.geojson")
    assert not (tmp_path / "sprung").exists()


def ogr_vrt(*parts: str) -> str:
    layers = "".join(f'<OGRVRTLayer name="a">{part}</OGRVRTLayer>' for part in parts)
    return f"<OGRVRTDataSource>{layers}</OGRVRTDataSource>"


SQUARE_CSV = 'id,kind,WKT\n1,roof,"POLYGON ((0 0,0 1,1 1,1 0,0 0))"\n2,road,"POLYGON ((2 2,2 3,3 3,3 2,2 2))"\n'
FIELD = '<GeometryType>wkbPolygon</GeometryType><GeometryField encoding="WKT" field="WKT"/>'
HERE = '<SrcDataSource relativeToVRT="1">{}</SrcDataSource>'


def write_sources(folder: Path) -> None:
    (folder / "a.csv").write_text(SQUARE_CSV)
    options = {"geometry_type": "Polygon", "crs": "EPSG:4326"}
    for driver, name in (("GPKG", "a.gpkg"), ("GeoJSON", "a.geojson")):
        wkb = np.array([shapely.to_wkb(shapely.box(0, 0, 1, 1)), shapely.to_wkb(shapely.box(2, 2, 3, 3))], dtype=object)
        columns = [np.array(["roof", "road"], dtype=object)]
        fields = np.array(["kind"], dtype=object)
        pyogrio.raw.write(str(folder / name), wkb, columns, fields, layer="a", driver=driver, **options)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        (HERE.format("a.gpkg"), ["roof", "road"]),
        (HERE.format("a.geojson"), ["roof", "road"]),
        (HERE.format("a.csv") + FIELD, ["roof", "road"]),
        (HERE.format("a.gpkg") + "<SrcSQL>SELECT * FROM a WHERE kind = 'roof'</SrcSQL>", ["roof"]),
        (HERE.format("inner.vrt"), ["roof", "road"]),
    ],
)
def test_a_list_of_local_features_is_followed(tmp_path: Path, part: str, values: list[str]) -> None:
    write_sources(tmp_path)
    (tmp_path / "inner.vrt").write_text(ogr_vrt(HERE.format("a.geojson")))
    (tmp_path / "labels.vrt").write_text(ogr_vrt(part))
    assert read_polygons(tmp_path / "labels.vrt", field="kind").values.tolist() == values


@pytest.mark.parametrize(
    "part",
    [
        HERE.format("a.gpkg") + "<SrcSQL>DELETE FROM a</SrcSQL>",
        HERE.format("a.gpkg") + "<SrcSQL>SELECT load_extension('x') FROM a</SrcSQL>",
        HERE.format("a.gpkg") + "<SrcSQL>SELECT * FROM a; DROP TABLE a</SrcSQL>",
        HERE.format("a.gpkg") + "<OpenOptions><OOI key='PRELUDE_STATEMENTS'>ATTACH 'b' AS b</OOI></OpenOptions>",
        HERE.format("a.gpkg<!-- -->x"),
        HERE.format("spring.vrt"),
        HERE.format("absent.gpkg"),
    ],
)
def test_a_list_of_features_that_does_more_is_refused_with_the_remedy(tmp_path: Path, part: str) -> None:
    write_sources(tmp_path)
    (tmp_path / "spring.vrt").write_text(ogr_vrt("<SrcDataSource>WFS:http://127.0.0.1:9/wfs</SrcDataSource>"))
    (tmp_path / "labels.vrt").write_text(ogr_vrt(part))
    before = (tmp_path / "a.gpkg").read_bytes()
    with pytest.raises(UnreadableFile, match=f"says how to get them.*, or set the environment variable {LEAVE}=yes"):
        read_polygons(tmp_path / "labels.vrt")
    assert (tmp_path / "a.gpkg").read_bytes() == before


def test_lists_of_features_that_name_each_other_come_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "a.vrt").write_text(ogr_vrt(HERE.format("b.vrt")))
    (tmp_path / "b.vrt").write_text(ogr_vrt(HERE.format("a.vrt")))
    with pytest.raises(TerrasegError):
        read_polygons(tmp_path / "a.vrt")


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/mosaic.vrt", "/vsicurl/http://127.0.0.1:9/wms.xml"])
def test_descriptions_at_an_address_and_of_services_name_the_remedy(tmp_path: Path, address: str) -> None:
    with pytest.raises(
        UnreadableFile, match=f"pass the pictures themselves, or set the environment variable {LEAVE}=yes"
    ):
        open_dataset(address)
    (tmp_path / "wms.xml").write_text("<GDAL_WMS><Service name='WMS'/></GDAL_WMS>")
    with pytest.raises(UnreadableFile, match=f"which is no picture.*set the environment variable {LEAVE}=yes"):
        read_all(tmp_path / "wms.xml")


def test_a_pipeline_in_the_place_of_features_is_not_run(tmp_path: Path) -> None:
    pipeline = {"type": "gdal_streamed_alg", "command_line": "gdal vector convert other.gpkg stream"}
    (tmp_path / "labels.geojson").write_text(json.dumps(pipeline))
    with pytest.raises(UnreadableFile, match="holds no features"):
        read_polygons(tmp_path / "labels.geojson")
    (tmp_path / "track.geojson").write_text("$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\n")
    with pytest.raises(UnreadableFile, match="holds no features"):
        read_polygons(tmp_path / "track.geojson")


def test_features_in_xml_are_read(tmp_path: Path) -> None:
    ring = "<outerBoundaryIs><LinearRing><coordinates>0,0 1,0 1,1 0,0</coordinates></LinearRing></outerBoundaryIs>"
    place = f"<Placemark><name>a</name><Polygon>{ring}</Polygon></Placemark>"
    (tmp_path / "a.kml").write_text(f'<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2">{place}</kml>')
    assert len(read_polygons(tmp_path / "a.kml").geometry) == 1
    pyogrio.raw.write(
        str(tmp_path / "a.gml"),
        read_wkb(tmp_path / "a.kml"),
        [],
        [],
        geometry_type="Polygon",
        crs="EPSG:4326",
        driver="GML",
    )
    assert len(read_polygons(tmp_path / "a.gml").geometry) == 1


def read_wkb(path: Path) -> object:
    return pyogrio.raw.read(path)[2]


def test_an_archive_holds_pictures(tmp_path: Path) -> None:
    """A VRT inside an archive cannot be looked at before it is opened, so it is not."""
    make_raster(tmp_path / "a.tif")
    (tmp_path / "b.vrt").write_text(vrt("/vsicurl/http://127.0.0.1:9/a.tif"))
    zipped(tmp_path / "z.zip", tmp_path / "a.tif", tmp_path / "b.vrt")
    with open_raster(Imagery((f"/vsizip/{tmp_path}/z.zip/a.tif",), RGB)) as reader:
        assert reader.read(Window(0, 0, 4, 4)).valid.all()
    with pytest.raises(UnreadableFile):
        read_all(Path(f"/vsizip/{tmp_path}/z.zip/b.vrt"))
    (tmp_path / "c.vrt").write_text(vrt(f"/vsizip/{tmp_path}/z.zip/a.tif"))
    read_all(tmp_path / "c.vrt")
    (tmp_path / "d.vrt").write_text(vrt(f"/vsizip/{tmp_path}/z.zip/b.vrt"))
    with pytest.raises(TerrasegError):
        read_all(tmp_path / "d.vrt")


def zipped(target: Path, *files: Path) -> None:
    from zipfile import ZipFile

    with ZipFile(target, "w") as archive:
        for file in files:
            archive.write(file, file.name)


pytestmark = pytest.mark.filterwarnings(
    f"ignore::{NotGeoreferencedWarning.__module__}.{NotGeoreferencedWarning.__name__}"
)
