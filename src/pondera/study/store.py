"""Finished runs, kept in Optuna's SQLite storage so that an interrupted study goes on where it stopped."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pondera.core.errors import DomainError
from pondera.study.sources import reason
from pondera.study.work import Job, Outcome


class Store:
    """Outcomes by job, one Optuna study per arm; keyed by a fingerprint of everything that decides them.

    Args:
        path: the SQLite file; its folder is made when the first outcome is kept.
        fingerprint: of model, data, settings and versions; other fingerprints in the file are left alone.
    """

    def __init__(self, path: Path, *, fingerprint: str) -> None:
        self._path = path.resolve()
        self._fingerprint = fingerprint
        self._storage: Any = None
        self._studies = dict[str, Any]()
        self._made = list[Path]()  # the file and its folders, if this object made them

    def load(self) -> dict[Job, Outcome]:
        """Every outcome kept under this fingerprint.

        Raises:
            DomainError: the file is no such storage.
        """
        if not self._path.exists():
            return {}
        found = dict[Job, Outcome]()
        with self._readable() as (optuna, storage):
            for name in optuna.get_all_study_names(storage):
                if not name.startswith(f"{self._fingerprint}/"):
                    continue
                for trial in optuna.load_study(study_name=name, storage=storage).trials:
                    if "outcome" in trial.user_attrs:
                        kept = json.loads(trial.user_attrs["outcome"])
                        found[Job(**trial.user_attrs["job"])] = Outcome.from_plain(kept)
        return found

    def keep(self, job: Job, outcome: Outcome) -> None:
        """Keep one outcome; it is on disk when this returns.

        Raises:
            DomainError: the file cannot be written.
        """
        self._make_folder()
        with self._readable() as (optuna, storage):
            study = self._studies.get(job.arm)
            if study is None:
                study = self._studies[job.arm] = optuna.create_study(
                    study_name=f"{self._fingerprint}/{job.arm}",
                    storage=storage,
                    direction="maximize",
                    load_if_exists=True,
                )
            states, score = optuna.trial.TrialState, outcome.validation_score
            study.add_trial(
                optuna.trial.create_trial(
                    state=states.FAIL if score is None else states.COMPLETE,
                    value=score,
                    user_attrs={"job": job._asdict(), "outcome": json.dumps(outcome.plain())},
                )
            )

    def close(self) -> None:
        """Let go of the file."""
        if self._storage is not None:
            self._storage.engine.dispose()
            self._storage = None
            self._studies.clear()

    def forget(self) -> None:
        """Remove what this object made: the file, and its folders if nothing else is in them."""
        self.close()
        for made in reversed(self._made):
            with suppress(OSError):
                made.rmdir() if made.is_dir() else made.unlink()
        self._made.clear()

    def _make_folder(self) -> None:
        missing = [p for p in (self._path, *self._path.parents) if not p.exists()]
        self._made += reversed(missing)
        self._path.parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _readable(self) -> Iterator[tuple[Any, Any]]:
        """Optuna and the storage; what goes wrong inside is the file's fault."""
        optuna = _optuna()
        try:
            if self._storage is None:
                self._storage = optuna.storages.RDBStorage(self._url())
            yield optuna, self._storage
        except Exception as fault:
            raise DomainError(
                f"--out: {self._path} cannot be used; {reason(fault)}. Move it away, or name another "
                "folder."
            ) from fault

    def _url(self) -> str:
        from sqlalchemy.engine import URL  # quotes what a folder's name may hold

        return URL.create("sqlite", database=str(self._path)).render_as_string()


def _optuna() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own deprecations and experimental notes
        import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
