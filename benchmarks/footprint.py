"""What a plain install costs: CPU time of `terraseg --help`, and megabytes on disk in a fresh virtual environment.

    python benchmarks/footprint.py [--no-install]

Targets: under 0.25 s of CPU, under 720 MB with the plots. The install needs a package index and takes a minute or two.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNS = 7


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-install", action="store_true", help="only the time of --help")
    arguments = parser.parse_args()
    times = [help_cpu_s() for _ in range(RUNS + 1)][1:]
    print(
        f"terraseg --help: {statistics.median(times):.3f} s CPU (median of {RUNS}, {min(times):.3f} to {max(times):.3f})"
    )
    if not arguments.no_install:
        print(f"plain install: {install_mb():.0f} MB with the environment's own pip")


def help_cpu_s() -> float:
    """CPU seconds, user and system, of one `terraseg --help`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "terraseg", "--help"], check=True, capture_output=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def install_mb() -> float:
    """Megabytes (2^20 bytes) that a plain install takes on disk, compiled modules included."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin/python"
        command = [str(python), "-m", "pip", "install", "--quiet", "-c", "constraints.txt", "."]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
        usage = subprocess.run(["du", "-sk", folder], check=True, capture_output=True, text=True)
    return int(usage.stdout.split()[0]) / 1024


if __name__ == "__main__":
    main()
