"""Damaged files through the command line: how many are refused in one sentence, and whether anything worse happens.

    python benchmarks/fuzz.py [--cases 2000] [--first 0] [--seed 0] [--only KIND] [--keep FOLDER]

Each case spoils one file of a small corpus (GeoTIFF and VRT, GeoJSON and STAC, GeoPackage, PNG, TOML, parts of a model) by its
number and the seed alone, and gives it to `terraseg` in a process that is used again and again. A case fails when the process
dies, when a traceback or an internal error reaches the user, when it takes more than 10 s of processor time, when it leaves
without a sentence, or when the process grows beyond 2 GB. Prints a line for each kind and each failure; `--keep` keeps the files
of failures. Exit code 1 when one failed.
"""

import argparse
import json
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fuzz_cases import KINDS, Case, make_case, make_corpus  # type: ignore[import-not-found]  # lies beside this script

CHILD = Path(__file__).with_name("fuzz_child.py")
SECONDS, WALL_SECONDS, MEGABYTES = 10.0, 180.0, 2048.0
REUSED = 250
"""Cases that a process runs before a fresh one takes over, so that what one leaves behind hides little."""
DONE, REFUSED = "done", "refused"


@dataclass(frozen=True)
class Outcome:
    """What became of a case: "done", "refused", or what went wrong, with what was said."""

    verdict: str
    said: str = ""
    cpu_s: float = 0.0
    peak_mb: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether it is anything but done or refused."""
        return self.verdict not in (DONE, REFUSED)


class Runner:
    """A process that runs command lines, started anew when it is used up, hangs or dies."""

    def __init__(self, command: tuple[str, ...] = (sys.executable, str(CHILD))) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._served = 0

    def run(self, arguments: tuple[str, ...]) -> Outcome:
        """The outcome of one command line."""
        process = self._ready()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"arguments": list(arguments)}) + "\n")
        process.stdin.flush()
        self._served += 1
        hung = _waited(process)
        if hung:
            self.close()
            return Outcome(f"hung: {hung}")
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            self.close()
            return Outcome(f"the process died with {code}")
        return _judged(json.loads(line), self)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None
        self._served = 0

    def _ready(self) -> "subprocess.Popen[str]":
        if self._process is not None and self._served >= REUSED:
            self.close()
        if self._process is None:
            self._served = 0
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        return self._process


def _waited(process: "subprocess.Popen[str]") -> str:
    """Waits for an answer or the end of the process; what took too long, "" when nothing did."""
    assert process.stdout is not None
    spent, started = _cpu_seconds(process.pid), time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not selector.select(timeout=1.0):
            # Start-up, some seconds of imports, falls into the first case.
            if _cpu_seconds(process.pid) - spent > 2 * SECONDS:
                return f"more than {2 * SECONDS:.0f} s of processor time"
            if time.monotonic() - started > WALL_SECONDS:
                return f"no answer in {WALL_SECONDS:.0f} s"
    return ""


def _cpu_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / 100


def _judged(answer: dict[str, object], runner: Runner) -> Outcome:
    code, said = answer["code"], str(answer["said"])
    cpu_s, peak_mb = float(str(answer["cpu_s"])), float(str(answer["peak_mb"]))
    sentences = [line for line in said.splitlines() if line.startswith("terraseg: ")]
    verdict = {0: DONE, 2: REFUSED}.get(int(str(code)), f"exit code {code}")
    if "Traceback (most recent call last)" in said:
        verdict = "a traceback"
    elif code == 2 and not (sentences or "problem" in said.lower() or len(said.strip()) > 20):
        verdict = "refused without a sentence"
    elif any(len(line) > 3000 for line in sentences):
        verdict = "a sentence of more than 3000 characters"
    elif cpu_s > SECONDS:
        verdict = f"{cpu_s:.0f} s of processor time"
    elif peak_mb > MEGABYTES:
        verdict = f"{peak_mb:.0f} MB"
        runner.close()
    return Outcome(verdict, said[-1500:], cpu_s, peak_mb)


def fuzz(
    numbers: range, seed: int, folder: Path, *, kinds: tuple[str, ...] = KINDS, keep: Path | None = None
) -> list[tuple[Case, Outcome]]:
    """The outcomes of the cases of these numbers and kinds; files lie in `folder` for as long as a case runs."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    make_corpus(corpus)
    runner, found = Runner(), []
    try:
        for number in numbers:
            if KINDS[number % len(KINDS)] not in kinds:
                continue
            place = folder / f"case{number}"
            place.mkdir()
            case = make_case(corpus, place, seed, number)
            outcome = runner.run(case.arguments)
            found.append((case, outcome))
            if outcome.failed:
                print(
                    f"case {number}, {case.kind}: {outcome.verdict}\n    {' '.join(case.arguments)}\n    {outcome.said[-700:]}"
                )
                if keep is not None:
                    shutil.copytree(place, keep / place.name, dirs_exist_ok=True)
            shutil.rmtree(place, ignore_errors=True)
    finally:
        runner.close()
    return found


def main() -> None:
    """Prints the table, and every failure as it comes."""
    parser = argparse.ArgumentParser(description="Damaged files through the command line.")
    for name, default in (("cases", 2000), ("first", 0), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", choices=KINDS, help="one kind of file alone")
    parser.add_argument("--keep", type=Path, help="where the files of failures are kept")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        numbers = range(options.first, options.first + options.cases)
        kinds = (options.only,) if options.only else KINDS
        found = fuzz(numbers, options.seed, Path(folder), kinds=kinds, keep=options.keep)
    for kind in kinds:
        outcomes = [outcome for case, outcome in found if case.kind == kind]
        verdicts = Counter("failed" if o.failed else o.verdict for o in outcomes)
        slowest = max((o.cpu_s for o in outcomes), default=0.0)
        print(f"{kind:10} {len(outcomes):5} cases: {dict(verdicts)}, the slowest {slowest:.1f} s")
    failed, peak = sum(o.failed for _, o in found), max((o.peak_mb for _, o in found), default=0.0)
    print(f"{len(found)} cases, {failed} failed, peak {peak:.0f} MB, {time.monotonic() - started:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
