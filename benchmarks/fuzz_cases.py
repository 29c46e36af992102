"""Damaged files for `fuzz.py`: whole ones of every kind that terraseg reads, and the ways in which each case spoils one."""

import hashlib
import json
import random
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = ("geotiff", "geojson", "geopackage", "png", "toml", "bundle")
SIDE = 96
GROUND = (0.5, 0.0, 500_000.0, 0.0, -0.5, 4_000_000.0)
NUMBERS = (0, 1, -1, 127, 255, 256, 32767, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1)
WORDS = (
    "1e309", "-1e309", "NaN", "null", '""', "-1", "0", "99999999999999999999", "true", "[]", "{}", "[[[[]]]]", "\u0000", "\ud7ff",
    "Ünïcödé 🗺", "A" * 5000, "/vsicurl/http://127.0.0.1:9/x", "../../../../etc/passwd", "__import__('os')", "EPSG:0", "%s%n",
    "[" * 2000, '{"type": "Polygon", "coordinates": []}', "inf", "\\", "'", '"', "\n\n", "=", "1979-05-27", "[data]", "*" * 300,
)  # fmt: skip
"""What takes the place of a word in a text file."""

PROJECT = """
[data]
images = ["images/*.tif"]
labels = ["labels/*.geojson"]
label_field = "kind"
bands = ["red", "green", "blue"]
ignore = ["unknown"]
indices = {index = "(red - green) / (red + green)"}
nodata = 0
test = []

[[data.classes]]
id = 0
name = "land"
labels = [""]
color = "#998877"

[[data.classes]]
id = 3
name = "house"
labels = ["house", "shed"]

[train]
network = "unet"
steps = 10

[sample]
crop = 64
batch = 2

[map]
run = "runs/a"
"""


@dataclass(frozen=True)
class Case:
    """One damaged file: its kind, the file, and the command line that reads it."""

    number: int
    kind: str
    file: Path
    arguments: tuple[str, ...]


def make_corpus(folder: Path) -> None:
    """Whole files of every kind in `folder`, small; each case copies and spoils one of them."""
    from terraseg.cli.main import run

    _write_rasters(folder)
    _write_vectors(folder)
    _write_model(folder)
    (folder / "terraseg.toml").write_text(PROJECT, encoding="utf-8")
    for arguments in (
        [
            "predict",
            str(folder / "rgb.tif"),
            "--model",
            str(folder / "model"),
            "--out",
            str(folder / "map.tif"),
            "--engine",
            "onnx",
        ],
        ["vectorize", str(folder / "map.tif"), "--out", str(folder / "map.gpkg")],
        ["vectorize", str(folder / "map.tif"), "--out", str(folder / "map.geojson")],
    ):
        if run(arguments) != 0:
            raise SystemExit(f"the corpus cannot be made: {' '.join(arguments)}")


def make_case(corpus: Path, folder: Path, seed: int, number: int) -> Case:
    """Case `number` of a seed, written into the empty `folder`: the same files and command line on every machine."""
    rng = random.Random(f"{seed}/{number}")
    kind = KINDS[number % len(KINDS)]
    file, arguments = MAKERS[kind](corpus, folder, rng)
    return Case(number, kind, file, tuple(arguments))


def _spoil(source: Path, target: Path, rng: random.Random) -> Path:
    """A damaged copy of a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    content = source.read_bytes()
    is_text = source.suffix in (".toml", ".json", ".geojson", ".vrt")
    ways: list[Callable[[bytes, random.Random], bytes]] = [
        _flipped,
        _cut,
        _without,
        _twice,
        _zeroed,
        _numbered,
        _stuffed,
    ]
    for _ in range(rng.choice((1, 1, 2, 4))):
        way = _reworded if is_text and rng.random() < 0.75 else rng.choice(ways)
        content = way(content, rng)
    target.write_bytes(content)
    return target


def _place(content: bytes, rng: random.Random) -> int:
    """Somewhere in a file, every other time in its head, where headers are."""
    return rng.randrange(max(1, min(512, len(content)) if rng.random() < 0.5 else len(content)))


def _flipped(content: bytes, rng: random.Random) -> bytes:
    out = bytearray(content)
    for _ in range(rng.choice((1, 2, 8, 32)) if out else 0):
        out[_place(content, rng)] ^= 1 << rng.randrange(8)
    return bytes(out)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _piece(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = _place(content, rng)
    return start, min(len(content), start + rng.choice((1, 4, 16, 256, 4096)))


def _without(content: bytes, rng: random.Random) -> bytes:
    start, stop = _piece(content, rng)
    return content[:start] + content[stop:]


def _twice(content: bytes, rng: random.Random) -> bytes:
    start, stop = _piece(content, rng)
    return content[:stop] + content[start:stop] * rng.choice((1, 2, 50)) + content[stop:]


def _zeroed(content: bytes, rng: random.Random) -> bytes:
    start, stop = _piece(content, rng)
    return content[:start] + bytes([rng.choice((0, 255))]) * (stop - start) + content[stop:]


def _numbered(content: bytes, rng: random.Random) -> bytes:
    """A number that programs trip over, in the place of whatever number stood there."""
    start, size = _place(content, rng) & ~1, rng.choice((2, 4, 8))
    number = struct.pack("<Q", rng.choice(NUMBERS) % 2**64)[:size]
    return content[:start] + number + content[start + size :]


def _stuffed(content: bytes, rng: random.Random) -> bytes:
    start = _place(content, rng)
    return content[:start] + rng.randbytes(rng.choice((1, 3, 64))) + content[start:]


def _reworded(content: bytes, rng: random.Random) -> bytes:
    """One word or number of a text replaced, or one of its lines left out or put elsewhere."""
    text = content.decode("utf-8", errors="replace")
    if rng.random() < 0.2:
        lines = text.split("\n")
        line = lines.pop(rng.randrange(len(lines)))
        if rng.random() < 0.5:
            lines.insert(rng.randrange(len(lines) + 1), line)
        return "\n".join(lines).encode("utf-8", errors="replace")
    starts = [n for n in range(1, len(text)) if text[n].isalnum() != text[n - 1].isalnum()] or [0]
    start = rng.choice(starts)
    stop = start + 1
    while stop < len(text) and text[stop].isalnum() == text[start].isalnum() and stop - start < 40:
        stop += 1
    return (text[:start] + rng.choice(WORDS) + text[stop:]).encode("utf-8", errors="replace")


Made = tuple[Path, list[str]]


def _geotiff(corpus: Path, folder: Path, rng: random.Random) -> Made:
    use = rng.choice(("predict", "predict", "image", "label", "vectorize", "measure", "clean", "vrt"))
    if use in ("vectorize", "measure", "clean"):
        file = _spoil(corpus / "map.tif", folder / "map.tif", rng)
        shutil.copy(corpus / "map.tif.aux.xml", folder / "map.tif.aux.xml")
        out = {"vectorize": ["out.gpkg"], "measure": ["out.csv"], "clean": ["out.tif", "--min-area", "2"]}[use]
        return file, [use, str(file), "--out", str(folder / out[0]), *out[1:]]
    if use == "vrt":
        file = _spoil(corpus / "rgb.vrt", folder / "a.vrt", rng)
        return file, ["predict", str(file), *_predict(corpus / "model", folder), "--fit", "warn"]
    if use == "predict":
        file = _spoil(corpus / f"{rng.choice(('rgb', 'rgb', 'masked', 'palette'))}.tif", folder / "a.tif", rng)
        return file, ["predict", str(file), *_predict(corpus / "model", folder), "--fit", "warn"]
    if use == "image":
        name = rng.choice(("rgb", "deep", "floats", "palette", "masked"))
        file = _spoil(corpus / f"{name}.tif", folder / "data/images/a.tif", rng)
        shutil.copy(corpus / "labels.geojson", folder / "data/images/a.geojson")
    else:
        file = _spoil(corpus / "ids.tif", folder / "data/labels/a.tif", rng)
        (folder / "data/images").mkdir()
        shutil.copy(corpus / "rgb.tif", folder / "data/images/a.tif")
    return file, _check(folder)


def _predict(model: Path, folder: Path) -> list[str]:
    return ["--model", str(model), "--out", str(folder / "m.tif"), "--engine", "onnx"]


def _check(folder: Path) -> list[str]:
    return ["check", str(folder / "data"), "--config", str(folder / "terraseg.toml")]


def _geojson(corpus: Path, folder: Path, rng: random.Random) -> Made:
    return _polygons(corpus, folder, rng, ".geojson")


def _geopackage(corpus: Path, folder: Path, rng: random.Random) -> Made:
    return _polygons(corpus, folder, rng, ".gpkg")


def _polygons(corpus: Path, folder: Path, rng: random.Random, ending: str) -> Made:
    use = rng.choice(("label", "label", "aoi", "per", "sample", "product", *(["stac"] if ending == ".geojson" else [])))
    if use == "label":
        file = _spoil(corpus / f"labels{ending}", folder / f"data/a{ending}", rng)
        shutil.copy(corpus / "rgb.tif", folder / "data/a.tif")
        return file, _check(folder)
    predict = _predict(corpus / "model", folder)
    if use == "stac":
        file = _spoil(corpus / "item.json", folder / "item.json", rng)
        return file, ["predict", str(file), *predict]
    if use == "product":
        file = _spoil(corpus / f"map{ending}", folder / f"map{ending}", rng)
        return file, ["measure", str(file), "--out", str(folder / "out.csv")]
    file = _spoil(corpus / f"{'survey' if use == 'sample' else 'labels'}{ending}", folder / f"a{ending}", rng)
    if use == "aoi":
        return file, ["predict", str(corpus / "rgb.tif"), "--aoi", str(file), *predict]
    return file, ["measure", str(corpus / "map.tif"), f"--{use}", str(file), "--out", str(folder / "out.csv")]


def _png(corpus: Path, folder: Path, rng: random.Random) -> Made:
    name = rng.choice(("colors", "palette"))
    images, masks = folder / "data/images", folder / "data/masks"
    for place in (images, masks):
        place.mkdir(parents=True)
    if rng.random() < 0.5:
        file = _spoil(corpus / "picture.png", images / "a.png", rng)
        shutil.copy(corpus / f"{name}.png", masks / "a.png")
    else:
        file = _spoil(corpus / f"{name}.png", masks / "a.png", rng)
        shutil.copy(corpus / "picture.png", images / "a.png")
    return file, _check(folder)


def _toml(corpus: Path, folder: Path, rng: random.Random) -> Made:
    for name, source in (("images/a.tif", "rgb.tif"), ("labels/a.geojson", "labels.geojson")):
        (folder / name).parent.mkdir()
        shutil.copy(corpus / source, folder / name)
    file = _spoil(corpus / "terraseg.toml", folder / "terraseg.toml", rng)
    return file, ["check", "--config", str(file)]


def _bundle(corpus: Path, folder: Path, rng: random.Random) -> Made:
    """A damaged part of a model; every other time with a fitting hash, so that what reads the part has to see it."""
    model = folder / "model"
    shutil.copytree(corpus / "model", model)
    part = rng.choice(("model.json", "model.json", "model.onnx", "model.onnx", "weights.safetensors"))
    file = _spoil(corpus / "model" / part, model / part, rng)
    if part != "model.json" and rng.random() < 0.7:
        described = json.loads((model / "model.json").read_text(encoding="utf-8"))
        described["sha256"][part] = hashlib.sha256(file.read_bytes()).hexdigest()
        (model / "model.json").write_text(json.dumps(described), encoding="utf-8")
    return file, ["predict", str(corpus / "rgb.tif"), *_predict(model, folder)]


MAKERS = {
    "geotiff": _geotiff, "geojson": _geojson, "geopackage": _geopackage, "png": _png, "toml": _toml, "bundle": _bundle,
}  # fmt: skip


def _write_rasters(folder: Path) -> None:
    import numpy as np
    import rasterio
    from PIL import Image
    from rasterio.shutil import copy as copy_raster
    from rasterio.transform import Affine

    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(20, 200, (4, SIDE // 8, SIDE // 8)), np.ones((8, 8), dtype=np.int64))
    pixels = ground + rng.integers(0, 30, ground.shape)
    place = {"crs": "EPSG:32637", "transform": Affine(*GROUND), "height": SIDE, "width": SIDE, "driver": "GTiff"}
    tiles = {"tiled": True, "blockxsize": 32, "blockysize": 32}
    files: dict[str, tuple[Any, dict[str, Any]]] = {
        "rgb": (pixels[:3].astype("uint8"), {"compress": "deflate", "photometric": "rgb", **tiles}),
        "deep": (pixels.astype("uint16") * 40, {"compress": "lzw", "predictor": 2, "nodata": 0}),
        "floats": (
            pixels[:3].astype("float32") / 255,
            {"nodata": -9999.0, "compress": "deflate", "predictor": 3, **tiles},
        ),
        "palette": (pixels[:1].astype("uint8"), {"photometric": "palette"}),
        "masked": (pixels.astype("uint8"), {"compress": "jpeg", "interleave": "pixel", "alpha": "yes", **tiles}),
        "ids": ((pixels[:1] > 120).astype("uint8"), {"compress": "packbits"}),
    }
    for name, (content, options) in files.items():
        with rasterio.open(
            folder / f"{name}.tif", "w", count=len(content), dtype=content.dtype, **place, **options
        ) as dataset:
            dataset.write(content)
    copy_raster(folder / "rgb.tif", folder / "rgb.vrt", driver="VRT")
    Image.fromarray(np.moveaxis(pixels[:3].astype("uint8"), 0, -1)).save(folder / "picture.png")
    colors = np.array([[60, 16, 152], [132, 41, 246]], dtype=np.uint8)[(pixels[0] > 120).astype(int)]
    Image.fromarray(colors).save(folder / "colors.png")
    Image.fromarray(colors).quantize(2).save(folder / "palette.png")


def _write_vectors(folder: Path) -> None:
    import numpy as np
    import pyogrio
    import shapely

    left, top = GROUND[2], GROUND[5]
    corners = [(left + 4 + 9 * n, top - 14 - 5 * n) for n in range(4)]
    houses = [shapely.box(x, y, x + 6, y + 8) for x, y in corners]
    houses.append(
        shapely.Polygon(shapely.box(left, top - 40, left + 20, top - 30).exterior, [houses[0].exterior.coords])
    )
    kinds = np.array(["house", "shed", "house", "unknown", "house"], dtype=object)
    points = [shapely.Point(x, y) for x, y in corners]
    for name, shapes, field, values in (("labels", houses, "kind", kinds), ("survey", points, "truth", kinds[:4])):
        truth = np.array(["land", "house", "land", "house"], dtype=object) if name == "survey" else values
        for ending, driver in ((".geojson", "GeoJSON"), (".gpkg", "GPKG")):
            pyogrio.raw.write(
                folder / f"{name}{ending}", shapely.to_wkb(np.array(shapes)), [truth], [field], crs="EPSG:32637",
                geometry_type="Point" if name == "survey" else "Polygon", driver=driver,
            )  # fmt: skip
    asset = {"href": "rgb.tif", "type": "image/tiff", "bands": [{"name": name} for name in ("red", "green", "blue")]}
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": "scene",
        "geometry": None,
        "properties": {},
        "links": [],
    }
    asset["href"] = str(folder / "rgb.tif")
    (folder / "item.json").write_text(json.dumps(item | {"assets": {"image": asset}}, indent=1), encoding="utf-8")


def _write_model(folder: Path) -> None:
    """A convolution of 3 x 3 and softmax, for bytes of red, green and blue."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    from terraseg.core.classes import LandClass, Legend
    from terraseg.core.modelspec import ModelSpec
    from terraseg.store.bundle import write_bundle

    kernel = (np.random.default_rng(1).standard_normal((2, 3, 3, 3)) / 200).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["floats", "kernel"], ["logits"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    sizes = ["batch", None, "height", "width"]
    image, scores = (
        helper.make_tensor_value_info(name, kind, [*sizes[:1], count, *sizes[2:]])
        for name, kind, count in (("image", TensorProto.UINT8, 3), ("probabilities", TensorProto.FLOAT, 2))
    )
    graph = helper.make_graph(nodes, "tiny", [image], [scores], [numpy_helper.from_array(kernel, "kernel")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    legend = Legend((LandClass(0, "land", "#998877"), LandClass(3, "house", "#D55E00")))
    spec = ModelSpec("tiny", legend, ("red", "green", "blue"), "uint8", (90.0,) * 3, (50.0,) * 3, 0.5, 64, 16, 1)
    write_bundle(folder / "model", spec, onnx=model.SerializeToString(), weights={"kernel": kernel})
