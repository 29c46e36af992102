"""The house's rules on imports, held by reading the source."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "terraseg"

FLOORS = {
    "shapes": 0, "errors": 0,
    "core": 1,
    "pixels": 2, "store": 2, "nets": 2, "graphs": 2, "town": 2,
    "prepare": 3, "plan": 3, "train": 3, "evaluate": 3, "predict": 3, "vectorize": 3, "measure": 3, "report": 3,
    "export": 3, "engines": 3, "forest": 3, "clean": 3,
    "pipeline": 4,
    "cli": 5, "api": 5,
    "__main__": 6,
}  # fmt: skip

# Rooms of one floor that may import each other in one direction: files are read as arrays, arrays know no files; what can go
# wrong is known on every floor.
SIDEWAYS = {("store", "pixels"), ("cli", "api"), ("shapes", "errors")}

TORCH_ROOMS = ("nets/", "train/", "engines/torch.py", "export/onnx.py")


def imports() -> list[tuple[Path, str]]:
    """Every (file, imported module) of the package, imports inside functions and for typing included."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                found.append((path, node.module))
            elif isinstance(node, ast.ImportFrom) and node.level:
                pytest.fail(f"{path} imports relatively: write the full name")
            elif isinstance(node, ast.Import):
                found += [(path, alias.name) for alias in node.names]
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert rooms <= set(FLOORS), f"no floor is given to {sorted(rooms - set(FLOORS))}"


def test_rooms_import_only_from_floors_below() -> None:
    wrong = []
    for path, module in imports():
        parts = module.split(".")
        here = room_of(path)
        if parts[0] != "terraseg" or len(parts) < 2 or here == "__init__":
            continue
        there = parts[1]
        if there != here and FLOORS[there] >= FLOORS[here] and (here, there) not in SIDEWAYS:
            wrong.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert not wrong, wrong


def test_torch_stays_upstairs() -> None:
    heavy = {"torch", "lightning", "timm", "torchvision", "torchmetrics", "segmentation_models_pytorch"}
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path, module in imports()
        if module.split(".")[0] in heavy and not str(path.relative_to(PACKAGE)).startswith(TORCH_ROOMS)
    ]
    assert not wrong, wrong


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        (
            "from terraseg.cli.main import run; run(['--help'])",
            ("torch", "rasterio", "matplotlib", "numpy", "pydantic"),
        ),
        ("import terraseg", ("torch", "rasterio", "matplotlib", "numpy")),
        (
            "import terraseg.pipeline.products, terraseg.report.build, terraseg.evaluate.evaluate",
            ("torch", "lightning", "timm"),
        ),
    ],
)
def test_light_entrances_load_no_heavy_library(statement: str, absent: tuple[str, ...]) -> None:
    code = f"import sys\n{statement}\nloaded = [m for m in {absent!r} if m in sys.modules]\nassert not loaded, loaded"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


MOST_FIELDS = 12
# The design gives imagery, labels and classes one table, [data]: users look for a key there, not for the kind that it is of.
MORE_FIELDS = {"DataOptions"}


def test_a_table_of_the_project_file_has_few_fields_and_explains_each() -> None:
    wrong = []
    for path in (PACKAGE / room / "options.py" for room in FLOORS if FLOORS[room] == FLOORS["train"]):
        if not path.exists():
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef) or not node.name.endswith("Options"):
                continue
            settings = [part for part in node.body if isinstance(part, ast.AnnAssign)]
            named = [part.target for part in settings if not ast.unparse(part.annotation).endswith("Options")]
            fields = [target.id for target in named if isinstance(target, ast.Name)]
            words = set(re.findall(r"\w+", ast.get_docstring(node) or ""))
            wrong += [f"{node.name}.{name} is not explained" for name in fields if name not in words]
            if len(fields) > MOST_FIELDS and node.name not in MORE_FIELDS:
                wrong.append(f"{node.name} has {len(fields)} fields")
    assert not wrong, wrong
