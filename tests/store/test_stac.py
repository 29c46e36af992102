"""STAC items: the assets that hold a model's bands, whatever else the item carries."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terraseg.core.dataset import Imagery
from terraseg.errors import BandMismatch, UnreadableFile
from terraseg.store.header import read_facts
from terraseg.store.opening import gdal_path, is_remote
from terraseg.store.raster import open_raster
from terraseg.store.stac import choose_assets, is_stac_name, read_items
from tests.makers import make_pixels, make_raster

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
RGB = ("red", "green", "blue")


def item(assets: dict[str, Any], name: str = "S2A_35LMD") -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": None,
        "properties": {},
        "assets": assets,
    }


def asset(href: str, *bands: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"href": href, "type": COG, "roles": ["data"], "eo:bands": list(bands)} | more


def band(name: str, common: str | None = None) -> dict[str, Any]:
    return {"name": name} | ({"common_name": common} if common else {})


SENTINEL = item(
    {
        "thumbnail": {"href": "preview.jpg", "type": "image/jpeg", "roles": ["thumbnail"]},
        "visual": asset(
            "TCI.tif",
            band("red", "red"), band("green", "green"), band("blue", "blue"),
            roles=["visual"],
        )
        | {"raster:bands": [{"data_type": "uint8"}] * 3},
        "B02": asset("B02.tif", band("B02", "blue")),
        "B03": asset("B03.tif", band("B03", "green")),
        "B04": asset("./bands/B04.tif", band("B04", "red")),
        "B08": asset("https://example.org/B08.tif", band("B08", "nir")),
        "metadata": {"href": "granule.xml", "type": "application/xml", "roles": ["metadata"]},
    }
)  # fmt: skip


def write(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value))
    return str(path)


def test_bands_of_their_own_files_are_found_by_their_common_names(tmp_path: Path) -> None:
    (found,) = read_items(write(tmp_path / "item.json", SENTINEL))
    assert found.id == "S2A_35LMD"
    paths, channels = choose_assets(found, ("red", "green", "blue", "nir"), "uint16")
    base = tmp_path.resolve()
    assert paths == (
        str(base / "bands/B04.tif"),
        str(base / "B03.tif"),
        str(base / "B02.tif"),
        "https://example.org/B08.tif",
    )
    assert channels == (1, 1, 1, 1)
    assert choose_assets(found, ("B02", "b08"), "uint16")[0] == (str(base / "B02.tif"), "https://example.org/B08.tif")


def test_the_picture_for_the_eye_is_taken_only_where_nothing_else_serves(tmp_path: Path) -> None:
    (found,) = read_items(write(tmp_path / "item.json", SENTINEL))
    assert all("TCI" not in path for path in choose_assets(found, RGB, "uint16")[0])
    without = item({key: SENTINEL["assets"][key] for key in ("visual", "B02")})
    (left,) = read_items(write(tmp_path / "other.json", without))
    assert choose_assets(left, RGB, "uint8") == ((str(tmp_path.resolve() / "TCI.tif"),), (1, 2, 3))


def test_one_file_with_all_bands_is_read_by_channel(tmp_path: Path) -> None:
    naip = item({"image": asset("naip.tif", *[band(c, c) for c in ("blue", "green", "red", "nir")])})
    (found,) = read_items(write(tmp_path / "item.json", naip))
    assert choose_assets(found, ("nir", "red"), "uint8") == ((str(tmp_path.resolve() / "naip.tif"),), (4, 3))


def test_bands_of_the_newer_version_and_keys_without_bands(tmp_path: Path) -> None:
    newer = {"href": "/data/a.tif", "type": COG, "data_type": "uint16"}
    assets = {
        "all": newer | {"bands": [{"name": "B4", "eo:common_name": "red"}, {"name": "B3", "eo:common_name": "green"}]},
        "nir": {"href": "file:///data/with%20space.tif"},
    }
    (found,) = read_items(write(tmp_path / "item.json", item(assets)))
    assert found.assets[0].dtype == "uint16"
    assert choose_assets(found, ("green", "nir"), "uint16") == (("/data/a.tif", "/data/with space.tif"), (2, 1))


def test_an_asset_of_the_models_type_comes_first(tmp_path: Path) -> None:
    bands = [band(c, c) for c in RGB]
    assets = {
        "low": asset("low.tif", *bands) | {"raster:bands": [{"data_type": "uint8"}] * 3},
        "full": asset("full.tif", *bands) | {"raster:bands": [{"data_type": "uint16"}] * 3},
    }
    (found,) = read_items(write(tmp_path / "item.json", item(assets)))
    assert choose_assets(found, RGB, "uint16")[0] == (str(tmp_path.resolve() / "full.tif"),)
    assert choose_assets(found, RGB, "uint8")[0] == (str(tmp_path.resolve() / "low.tif"),)


def test_a_missing_band_is_named_with_those_there_are(tmp_path: Path) -> None:
    (found,) = read_items(write(tmp_path / "item.json", SENTINEL))
    with pytest.raises(
        BandMismatch, match=r"item S2A_35LMD .* has no asset for swir16.*its bands are red, green, blue, nir"
    ):
        choose_assets(found, ("red", "swir16"), "uint16")


def test_a_collection_gives_each_item(tmp_path: Path) -> None:
    collection = {"type": "FeatureCollection", "features": [item({}, "a"), item({}, "b")]}
    assert [i.id for i in read_items(write(tmp_path / "items.json", collection))] == ["a", "b"]


@pytest.mark.parametrize(
    "value",
    [
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": None, "properties": {}}]},
        {"type": "Collection", "stac_version": "1.0.0"},
        {"type": "FeatureCollection", "features": []},
        [1, 2],
        {"type": "Feature", "stac_version": "1.0.0", "assets": [1]},
    ],
)
def test_other_json_is_no_item(tmp_path: Path, value: Any) -> None:
    with pytest.raises(UnreadableFile, match="is no STAC item and no collection"):
        read_items(write(tmp_path / "other.json", value))


def test_what_is_no_json_and_what_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{no")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnreadableFile, match=r"a\.json is no JSON"):
        read_items(str(tmp_path / "a.json"))
    with pytest.raises(UnreadableFile, match=r"b\.json cannot be read"):
        read_items(str(tmp_path / "b.json"))
    with pytest.raises(UnreadableFile, match=r"nowhere\.json does not exist"):
        read_items(str(tmp_path / "nowhere.json"))
    with pytest.raises(UnreadableFile, match="download the item"):
        read_items("s3://bucket/item.json")


SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Ranges(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, with_body):
        path = os.path.join(sys.argv[1], self.path.split("?")[0].lstrip("/"))
        if not os.path.isfile(path):
            self.send_error(404)
            return
        content = open(path, "rb").read()
        size, asked = len(content), self.headers.get("Range")
        self.send_response(206 if asked else 200)
        if asked:
            first, last = asked.removeprefix("bytes=").split("-")
            content = content[int(first) : int(last) + 1]
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(content) - 1}/{size}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Ranges)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a web server on this machine that serves the test's folder; a process of its own, as GDAL waits for it
    without letting another thread of this one work.
    """
    with subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.kill()


def test_an_item_at_an_address_leads_on_from_there(tmp_path: Path, served: str) -> None:
    (tmp_path / "scenes").mkdir()
    write(tmp_path / "scenes" / "item.json", SENTINEL)
    (found,) = read_items(f"{served}/scenes/item.json")
    paths, _ = choose_assets(found, ("red", "blue"), "uint16")
    assert paths == (f"{served}/scenes/bands/B04.tif", f"{served}/scenes/B02.tif")
    with pytest.raises(UnreadableFile, match="cannot be fetched"):
        read_items(f"{served}/scenes/other.json")


def test_a_raster_at_an_address_is_read(tmp_path: Path, served: str) -> None:
    make_raster(tmp_path / "a.tif")
    for address in (f"{served}/a.tif", f"/vsicurl/{served}/a.tif", f"{served}/a.tif?key=1"):
        assert read_facts(address).bands == RGB
        with open_raster(Imagery((address,), RGB)) as raster:
            assert (raster.read(raster.grid.window).pixels == make_pixels(raster.grid)).all()
    with pytest.raises(UnreadableFile, match=r"b\.tif cannot be read"):
        read_facts(f"{served}/b.tif")


def test_addresses_and_names() -> None:
    assert [is_stac_name(n) for n in ("a.json", "https://x/y/item.JSON?key=1", "a.tif", "a.geojson")] == [
        True,
        True,
        False,
        True,
    ]
    assert [
        is_remote(n) for n in ("s3://b/k", "/vsis3/b/k", "/vsizip//vsicurl/http://x/a.zip/b.tif", "a.tif", "/vsimem/a")
    ] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert gdal_path("gs://b/k.tif") == "/vsigs/b/k.tif"
    assert gdal_path("https://x/k.tif") == "https://x/k.tif"
