"""Kills a prediction at random moments until it is through, and holds its files against those of an undisturbed run.

    python benchmarks/kill.py [--kills 30] [--side 1500] [--model FOLDER] [--raster FILE] [--seed 0]

Without a model and a raster it makes both, as `predict_memory.py` does. Each kill is SIGKILL to a fresh process after a random
part of an undisturbed run's time; the next one goes on. Prints the kills that hit, what the runs cost together against an
undisturbed one, and whether every file has the same hash. Exit code 1 when one differs.
"""

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from predict_memory import make_model, make_raster  # type: ignore[import-not-found]  # lies beside this script

LAYERS = ("--confidence", "--uncertainty", "--probabilities", "float16")


def main() -> None:
    """Prints one line of figures."""
    options = _arguments()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        sys.exit(_run(Path(folder), options))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Random kills of a prediction.")
    for name, default in (("kills", 30), ("side", 1500), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--model", type=Path, help="a model's folder")
    parser.add_argument("--raster", type=Path, help="a raster that fits it")
    parser.add_argument("--engine", default="onnx")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    return parser.parse_args()


def _run(folder: Path, options: argparse.Namespace) -> int:
    model, raster = options.model, options.raster
    if model is None or raster is None:
        make_raster(folder, options.side, options.side)
        make_model(folder, SimpleNamespace(classes=6, tile=512, overlap=64))
        model, raster = folder / "model", folder / "scene.vrt"
    command = [
        sys.executable,
        "-m",
        "terraseg",
        "predict",
        str(raster),
        "--model",
        str(model),
        "--engine",
        options.engine,
    ]
    whole, broken = folder / "whole", folder / "broken"
    begun = time.monotonic()
    subprocess.run([*command, *LAYERS, "--out", str(whole / "map.tif")], check=True, capture_output=True)
    length = time.monotonic() - begun
    hit, spent = _kill([*command, *LAYERS, "--out", str(broken / "map.tif")], length, options)
    same = _digests(whole) == _digests(broken)
    print(
        f"{hit} of {options.kills} kills hit; {len(_digests(whole))} files {'are the same' if same else 'DIFFER'}; all runs "
        f"together took {spent:.1f} s, an undisturbed one {length:.1f} s"
    )
    return 0 if same else 1


def _kill(command: list[str], length: float, options: argparse.Namespace) -> tuple[int, float]:
    """How many kills hit a run that was going, and the seconds of all runs."""
    chance, hit, begun = random.Random(options.seed), 0, time.monotonic()
    for _ in range(options.kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(0, length))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            hit += process.wait() == -signal.SIGKILL
    subprocess.run(command, check=True, capture_output=True)
    return hit, time.monotonic() - begun


def _digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


if __name__ == "__main__":
    main()
