"""The study from end to end on small networks: sound data in every form, equal results, nothing left over."""

import math
import sqlite3
from dataclasses import replace

import numpy as np
import psutil
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("optuna", reason="Optuna is not installed")

from pondera.core.errors import DomainError
from pondera.model.dispatch import adapter_by_name
from pondera.study import Settings, study
from pondera.study.arms import chosen_arms
from pondera.study.run import fingerprint, work_of
from pondera.study.statistics import summary
from pondera.study.store import Store
from pondera.study.subject import able_arms, subject_of
from pondera.study.tasks import load_task
from pondera.study.work import Job, Outcome, batch_rows, work_out
from tests import study_cases

CASES = "tests.study_cases"
TORCH = adapter_by_name("torch")
SMALL = Settings(
    model=f"{CASES}:build",
    data_path=f"{CASES}:arrays",
    arms=("default", "he", "textbook"),
    steps=20,
    rates=(0.01, 0.1),
    fresh_seeds=2,
    workers=2,
    bounds=False,
)


def settings(**changes):
    paths = {
        key: f"{CASES}:{name}" for key, name in changes.items() if key in ("model", "data_path")
    }
    return replace(SMALL, **{**changes, **paths})


def timeless(result):
    return {key: part for key, part in result.items() if key != "times"}


def task_of(name, *, seed=0):
    return load_task(f"{CASES}:{name}", TORCH, seed=seed)


def subject(**changes):
    chosen = settings(**changes)
    task = load_task(chosen.data_path, TORCH, seed=chosen.seed)
    return subject_of(work_of(chosen, task), TORCH, seed=chosen.seed)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As in a worker; small matrices do not gain from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """One study, uninterrupted, by two workers."""
    return study(SMALL, tmp_path_factory.mktemp("first"))


# --- equal settings, equal results ---


def test_one_worker_gives_what_two_give(first, tmp_path):
    assert timeless(study(settings(workers=1), tmp_path)) == timeless(first)


def test_an_interrupted_study_goes_on_and_ends_alike(first, tmp_path):
    def interrupt(what, done, total):
        if what == "learning rates" and done == 2:
            raise KeyboardInterrupt

    children = set(psutil.Process().children(recursive=True))
    with pytest.raises(KeyboardInterrupt):
        study(SMALL, tmp_path, progress=interrupt)
    assert set(psutil.Process().children(recursive=True)) <= children
    again = study(SMALL, tmp_path)
    assert timeless(again) == timeless(first)
    assert again["times"]["resumed"] == 5  # three looks and two runs
    third = study(SMALL, tmp_path)
    assert third["times"]["resumed"] == 3 + 6 + 6
    assert timeless(third) == timeless(first)


def test_what_a_study_says_of_its_setting(first):
    setting = first["setting"]
    assert setting["chance"]["loss"] == math.log(3)
    assert setting["rows"] == {"train": 76, "validation": 20, "test": 24}
    assert setting["weights"] == 3
    assert (setting["outputs"], setting["fresh_seeds"]) == (3, [1, 2])
    assert set(first["race"]) == {"default", "he", "textbook"}
    assert [len(look["layers"]) for look in first["looks"].values()] == [3, 3, 3]
    assert first["times"]["runs"] == 12


VARIANTS = {
    "the model": {"model": "plain"},
    "a model that differs in training alone": {"model": "slow"},
    "the data": {"data_path": "half"},
    "steps": {"steps": 21},
    "batches": {"batch_size": 32},
    "optimizer": {"optimizer": "adamw"},
    "seed": {"seed": 1},
}


def print_of(**changes):
    return fingerprint(settings(**changes), subject(**changes), TORCH)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_runs_of_another_study_are_not_taken_for_ours(changes, monkeypatch):
    before = print_of()
    assert print_of() == before
    if changes == {"model": "slow"}:  # the same but for the dropout that training sees
        changes = {}
        monkeypatch.setattr(study_cases.nn.Dropout, "forward", lambda m, x: x)
    assert print_of(**changes) != before


def test_batches_are_epochs_in_an_order_of_the_seed():
    batches = batch_rows(10, 3, 7, seed=5)
    assert batches.shape == (7, 3)
    for epoch in (batches[:3], batches[3:6]):
        assert len(set(epoch.ravel())) == 9
    assert not np.array_equal(batches, batch_rows(10, 3, 7, seed=6))
    assert batch_rows(10, 64, 2, seed=5).shape == (2, 10)


# --- data in every form ---

FORMS = {
    "arrays": (3, 76),
    "tensors": (3, 76),
    "data_set": (3, 76),
    "Items": (3, 76),
    "Stream": (3, 76),
    "shuffled": (3, 76),
    "train_and_test": (3, 96),
    "pairs": (3, 96),
    "four": (3, 96),
    "strided": (3, 76),
    "half": (3, 76),
    "other_endian": (3, 76),
    "gaps": (3, 76),
    "twenty": (3, 12),
    "restless": (3, 76),
    "quantities": (0, 76),
}


@pytest.mark.parametrize(("name", "expected"), FORMS.items(), ids=FORMS)
def test_every_form_of_data_is_split_and_trained_on(name, expected):
    task = task_of(name)
    assert (task.classes, len(task.train.targets)) == expected
    model = "regressor" if task.kind == "regression" else "build"
    work = subject(model=model, data_path=name).work
    run = work_out(work, Job("run", "he", 0.01, 3))
    assert run.diverged_at is None
    assert math.isfinite(run.test_score)
    np.random.standard_normal(), torch.rand(1)  # wherever the global generators stand
    again = task_of(name)
    for split in ("train", "validation", "test"):
        assert np.array_equal(getattr(task, split).inputs, getattr(again, split).inputs)


def test_rows_are_split_once_and_none_is_lost():
    inputs, _ = study_cases.arrays()
    task = task_of("arrays")
    kept = np.concatenate([task.train.inputs, task.validation.inputs, task.test.inputs])
    assert np.array_equal(np.unique(kept, axis=0), np.unique(inputs, axis=0))
    assert not np.array_equal(task.test.inputs, task_of("arrays", seed=1).test.inputs)


def test_whole_numbers_go_to_an_embedding_and_images_to_a_layer():
    tagged = subject(model="tagger", data_path="words")
    assert tagged.work.task.train.inputs.dtype == np.int64
    seen = subject(model="pixels", data_path="images").work.task
    assert seen.train.inputs.dtype == np.float32
    assert seen.train.inputs.max() > 1  # never scaled in silence
    assert seen.name == f"{CASES}:images (integers as floats)"


def test_a_lazy_model_gets_its_shape_before_its_optimizer():
    work = subject(model="lazy").work
    outputs = [TORCH.outputs(work.build(seed=k), work.task.test.inputs) for k in (1, 1, 2)]
    assert np.array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])
    assert TORCH.summary(work.build(seed=1)) == (
        "Sequential of 3 modules",
        8 * 16 + 16 + 16 * 3 + 3,
    )


def test_a_model_that_works_in_place_leaves_the_data_as_it_is():
    work = subject(model="in_place", data_path="singles").work
    before = work.task.validation.inputs.copy()
    run = [work_out(work, Job("run", "he", 0.1, 1)) for _ in range(2)]
    assert run[0] == run[1]
    assert np.array_equal(work.task.validation.inputs, before)


def test_a_start_that_does_not_fit_is_left_out_with_the_reason():
    able, unable = able_arms(chosen_arms(("he", "mirrored")), subject().network)
    assert [arm.name for arm in able] == ["he"]
    assert unable["mirrored"].startswith("mirrored: needs one chain of dense layers ")


# --- a start that diverges is a result; all of them are an error ---


def test_a_diverging_start_is_shown_as_such(tmp_path):
    result = study(
        settings(model="plain", arms=("default", "textbook"), rates=(0.01, 1e30), workers=1),
        tmp_path,
    )
    tried = result["race"]["textbook"]["grid"]
    assert tried[0]["diverged_at"] is None
    assert tried[1]["diverged_at"] is not None
    assert tried[1]["score"] is None
    assert result["race"]["textbook"]["rate"] == 0.01


def test_a_median_of_finished_and_diverged_runs_is_the_worse():
    assert summary([0.5, -math.inf]).median == -math.inf
    assert summary([math.inf, -math.inf, 0.1, 0.2]).median == (0.1 + 0.2) / 2
    assert summary([-math.inf, -math.inf, math.inf, math.inf]).median == -math.inf


def leftovers(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_when_every_start_diverges_nothing_is_left(tmp_path):
    children = set(psutil.Process().children(recursive=True))
    with pytest.raises(DomainError) as caught:
        study(settings(model="plain", data_path="enormous", workers=1), tmp_path / "new" / "out")
    assert str(caught.value) == (
        "study: every start diverged in every run (learning rates; tried 0.01, 0.1). Pass smaller --rates, "
        "or bring the inputs to mean 0 and standard deviation 1."
    )
    assert leftovers(tmp_path) == []
    assert set(psutil.Process().children(recursive=True)) <= children


def test_an_error_in_a_worker_keeps_what_was_kept_before(tmp_path):
    store = Store(tmp_path / "study.db", fingerprint="other")
    store.keep(Job("run", "he", 0.1, 0), Outcome(0.5, 0.5, None, [1.0]))
    store.close()
    (tmp_path / "study.json").write_text("whole")
    children = set(psutil.Process().children(recursive=True))
    with pytest.raises(DomainError) as caught:
        study(settings(model="FailsLater", arms=("he",), workers=1), tmp_path)
    said = (
        "study: run of 'he' with seed 0 raised ValueError: the pipe burst. Train the model once by "
    )
    assert str(caught.value) == said + "hand on this data, and mend what it says."
    assert leftovers(tmp_path) == ["study.db", "study.json"]
    assert (tmp_path / "study.json").read_text() == "whole"
    assert list(Store(tmp_path / "study.db", fingerprint="other").load()) == [
        Job("run", "he", 0.1, 0)
    ]
    assert set(psutil.Process().children(recursive=True)) <= children


# --- the store ---


def test_the_store_holds_what_it_was_given(tmp_path):
    path = tmp_path / "a folder?" / "100% #1" / "study.db"
    look = Outcome(look={"initial_loss": None, "layers": [{"depth": 1}]})
    run = Outcome(0.1 + 0.2, None, 7, [1 / 3, None])
    store = Store(path, fingerprint="f")
    store.keep(Job("look", "he", 0.0, 0), look)
    store.keep(Job("run", "he", 0.1, 2**32), run)
    store.close()
    assert path.is_file()
    found = Store(path, fingerprint="f").load()
    assert found == {Job("look", "he", 0.0, 0): look, Job("run", "he", 0.1, 2**32): run}
    assert Store(path, fingerprint="g").load() == {}
    store.forget()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("content", [b"hello" * 999, b""], ids=["no database", "empty"])
def test_a_file_that_is_no_store_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "study.db"
    path.write_bytes(content)
    store = Store(path, fingerprint="f")
    if content:
        with pytest.raises(
            DomainError, match=r"^--out: .*study\.db cannot be used; DatabaseError: "
        ):
            store.load()
        assert path.read_bytes() == content
    else:
        assert store.load() == {}
    store.forget()
    assert path.exists()


def test_a_store_of_another_program_is_kept(tmp_path):
    path = tmp_path / "study.db"
    with sqlite3.connect(path) as database:
        database.execute("create table mine (number)")
    Store(path, fingerprint="f").keep(Job("look", "he", 0.0, 0), Outcome())
    with sqlite3.connect(path) as database:
        assert database.execute("select count(*) from mine").fetchone() == (0,)
