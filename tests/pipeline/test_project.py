from pathlib import Path

import pytest

from terraseg.errors import BadOption, StaleRun, UnreadableFile
from terraseg.pipeline.ledger import Ledger, file_states, key_for
from terraseg.pipeline.project import read_project
from terraseg.store.rundir import RunFolder, replacing, write_json, write_text

DATA = '[data]\nimages = ["*.tif"]\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "terraseg.toml"
    path.write_text(text)
    return path


def test_tables_become_options_and_the_rest_keeps_its_default(tmp_path: Path) -> None:
    project = read_project(write(tmp_path, DATA + '[train]\nsteps = 30\n[map]\nrun = "runs/x"\n'))
    assert project.train.steps == 30
    assert project.run.root == tmp_path / "runs/x"
    assert project.predict.tile is None


def test_an_override_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, DATA + "[train]\nsteps = 30\n")
    project = read_project(path, ["train.steps=7", "train.network=unet", 'sample.augment=["d4"]'])
    assert (project.train.steps, project.train.network, project.sample.augment) == (7, "unet", ("d4",))


@pytest.mark.parametrize("length", ["train.epochs=2", "train.time_budget=5m", "train.steps=9"])
def test_an_overriding_length_takes_the_place_of_the_file_s(tmp_path: Path, length: str) -> None:
    project = read_project(write(tmp_path, DATA + '[train]\ntime_budget = "8m"\n'), [length])
    train = project.train
    told = {"epochs": train.epochs, "time_budget": train.time_budget, "steps": train.steps}
    assert {f"train.{name}={value}" for name, value in told.items() if value} == {length}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DATA + "[trian]\n", r"the table \[trian\]: did you mean 'train'"),
        (DATA + "[train]\nstep = 3\n", r"the key 'step', which means nothing there: did you mean 'steps'"),
        (DATA + "[train]\ncrop = 64\n", r"the key 'crop' under \[train\]: it belongs under \[sample\]"),
        (DATA + '[train]\nsteps = "many"\n', r"steps = 'many' cannot be used"),
        (DATA + '[train]\ntime_budget = "soon"\n', r"'soon' cannot be read: write it as 90s, 8m"),
        (DATA + '[train]\nsteps = 3\ntime_budget = "8m"\n', "choose one"),
        ("[train]\nsteps = 3\n", "names no imagery"),
    ],
)
def test_a_wrong_project_file_is_answered_with_the_way_out(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        read_project(write(tmp_path, text))


def test_a_file_that_is_no_toml_is_named_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="line 2"):
        read_project(write(tmp_path, "a = 1\nb = x\n"))


def test_a_missing_project_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="terraseg check FOLDER"):
        read_project(tmp_path / "terraseg.toml")


@pytest.mark.parametrize("override", ["steps=3", "train.steps", "trian.steps=3"])
def test_an_override_of_another_form_is_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(BadOption, match="--set"):
        read_project(write(tmp_path, DATA), [override])


def test_a_step_is_fresh_only_with_the_same_inputs_and_its_outputs_there(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_text(run.plan, "x")
    Ledger(run).finish("plan", "k1", [run.plan])
    assert Ledger(run).is_fresh("plan", "k1")
    assert not Ledger(run).is_fresh("plan", "k2")
    run.plan.unlink()
    assert not Ledger(run).is_fresh("plan", "k1")


def test_a_resumable_step_knows_what_an_earlier_try_had(tmp_path: Path) -> None:
    ledger = Ledger(RunFolder(tmp_path))
    assert not ledger.begin("train", "k1")
    assert Ledger(RunFolder(tmp_path)).begin("train", "k1")
    assert not Ledger(RunFolder(tmp_path)).begin("train", "k2")


def test_a_key_follows_the_content_of_files(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("one")
    before = key_for(file_states([file]))
    assert before == key_for(file_states([file]))
    file.write_text("other")
    assert before != key_for(file_states([file]))
    file.unlink()
    assert key_for(file_states([file])) != before


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"x": float("nan")})

    def stop_half_way() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        stop_half_way()
    assert path.read_text() == '{\n  "x": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_run_folder_has_one_user_at_a_time(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with run.locked(), pytest.raises(StaleRun, match=r"in use by process \d+"), run.locked():
        pytest.fail("the second lock was given")
    with run.locked():
        pass
