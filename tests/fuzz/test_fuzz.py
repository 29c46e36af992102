"""A slice of the damaged files of `benchmarks/fuzz.py`: each is read or refused in one sentence, and nothing worse."""

import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CASES = 102
SEED = 7


@pytest.fixture(scope="module")
def fuzz() -> Any:
    """The script, with the folder it lies in on the path."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import fuzz as script  # type: ignore[import-not-found]  # beside no package

        assert isinstance(script, ModuleType)
        yield script
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_no_damaged_file_brings_a_traceback_a_crash_or_a_hang(fuzz: Any, tmp_path: Path) -> None:
    found = fuzz.fuzz(range(CASES), SEED, tmp_path / "work")
    assert len(found) == CASES
    assert [(case.number, case.kind, o.verdict, o.said[-300:]) for case, o in found if o.failed] == []
    for kind in fuzz.KINDS:
        assert any(o.verdict == "refused" for case, o in found if case.kind == kind), f"no {kind} was spoilt enough"


def test_undamaged_files_of_every_kind_pass(fuzz: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the slice would show only that the corpus is refused."""
    import fuzz_cases  # type: ignore[import-not-found]  # as above

    def copied(source: Path, target: Path, rng: Any) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
        return target

    monkeypatch.setattr(fuzz_cases, "_spoil", copied)
    found = fuzz.fuzz(range(12), SEED, tmp_path / "work")
    verdicts = {case.kind: o.verdict for case, o in found if o.verdict != "refused" or "colour table" not in o.said}
    assert verdicts == dict.fromkeys(fuzz.KINDS, "done")


def test_cases_are_the_same_on_every_run(fuzz: Any, tmp_path: Path) -> None:
    import fuzz_cases

    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "terraseg.toml").write_text(fuzz_cases.PROJECT, encoding="utf-8")
    for name in ("rgb.tif", "labels.geojson"):
        (corpus / name).write_bytes(b"0123456789" * 50)
    spoilt = set()
    for number in (4, 4, 10):
        folder = tmp_path / f"case{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        spoilt.add(fuzz_cases.make_case(corpus, folder, 1, number).file.read_bytes())
    assert len(spoilt) == 2


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        ("import os, sys; sys.stdin.readline(); os.abort()", "the process died with -6"),
        ("import sys; sys.stdin.readline(); [None for _ in iter(int, 1)]", "hung: more than"),
    ],
)
def test_the_runner_sees_a_crash_and_a_hang(
    fuzz: Any, program: str, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "SECONDS", 0.2)
    runner = fuzz.Runner((sys.executable, "-c", program))
    try:
        assert runner.run(("x",)).verdict.startswith(verdict)
    finally:
        runner.close()


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({"code": 0, "said": "fine"}, "done"),
        ({"code": 2, "said": "terraseg: a.tif is damaged: export it again"}, "refused"),
        ({"code": 2, "said": ""}, "refused without a sentence"),
        ({"code": 1, "said": "terraseg: internal error"}, "exit code 1"),
        ({"code": 2, "said": "Traceback (most recent call last):\n  x"}, "a traceback"),
        ({"code": 0, "said": "", "cpu_s": 11.0}, "11 s of processor time"),
        ({"code": 0, "said": "", "peak_mb": 3000.0}, "3000 MB"),
    ],
)
def test_what_counts_as_a_failure(fuzz: Any, answer: dict[str, object], verdict: str) -> None:
    runner = fuzz.Runner()
    assert fuzz._judged({"cpu_s": 0.1, "peak_mb": 300.0} | answer, runner).verdict == verdict
