"""Ctrl-C from outside, as a terminal sends it."""

import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import torch

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.store.rundir import RunFolder
from terraseg.train.interrupt import deferred_interrupt
from terraseg.train.loop import train_model
from terraseg.train.watch import TrainEvent

CHILD = """
import pickle, sys, time
from pathlib import Path
from terraseg.store.rundir import RunFolder
from terraseg.train.loop import train_model
dataset, facts, plan = pickle.loads(Path(sys.argv[1]).read_bytes())
run = RunFolder(Path(sys.argv[2]))
def slowly(event):
    (run.root / "step").write_text(str(event.step))
    time.sleep(0.05)
try:
    train_model(dataset, facts, plan, run, progress=slowly)
except KeyboardInterrupt:
    sys.exit(41)
"""


def test_ctrl_c_to_another_process_leaves_a_checkpoint_from_which_it_goes_on(
    easy: tuple[Dataset, Fingerprint], plan: Plan, tmp_path: Path
) -> None:
    long = replace(plan, steps=60)
    task, run = tmp_path / "task.pickle", RunFolder(tmp_path / "broken")
    task.write_bytes(pickle.dumps((*easy, long)))
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(task), str(run.root)], cwd=Path.cwd())
    try:
        deadline = time.monotonic() + 60
        while not (run.root / "step").exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=60) == 41
    finally:
        child.kill()
        child.wait()
    stopped = torch.load(run.checkpoints / "last.ckpt", weights_only=True)["state"]
    assert 1 <= stopped["step"] < 60
    assert not stopped["finished"]
    assert stopped["step"] == int((run.root / "step").read_text())
    seen: list[TrainEvent] = []
    again = train_model(*easy, long, run, progress=seen.append)
    assert [event.step for event in seen] == list(range(stopped["step"] + 1, 61))
    whole = train_model(*easy, long, RunFolder(tmp_path / "whole"))
    left, right = again.network.state_dict(), whole.network.state_dict()
    assert all(torch.equal(left[name], right[name]) for name in right)


PRESSED = """
import os, signal, time
from terraseg.train.interrupt import deferred_interrupt
asked, before = [], signal.getsignal(signal.SIGINT)
try:
    with deferred_interrupt(lambda: asked.append(True)):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert asked == [True]
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    raise SystemExit("the second one did not cut")
except KeyboardInterrupt:
    assert asked == [True]
    assert signal.getsignal(signal.SIGINT) is before
"""


def test_the_first_interrupt_only_asks_and_the_second_one_cuts() -> None:
    done = subprocess.run([sys.executable, "-c", PRESSED], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    inside: list[object] = []

    def work() -> None:
        with deferred_interrupt(lambda: None):
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [before]
