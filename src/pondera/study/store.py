"""Finished runs, kept in Optuna's SQLite storage so that an interrupted study goes on where it stopped."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from pondera.study.work import Job, Outcome


class Store:
    """Outcomes by job, one Optuna study per arm; keyed by a fingerprint of everything that decides them.

    Args:
        path: the SQLite file; its folder is made when the first outcome is kept.
        fingerprint: of model, data, settings and versions; other fingerprints in the file are left alone.
    """

    def __init__(self, path: Path, *, fingerprint: str) -> None:
        self._path = path
        self._fingerprint = fingerprint
        self._studies = dict[str, Any]()

    def load(self) -> dict[Job, Outcome]:
        """Every outcome kept under this fingerprint."""
        if not self._path.exists():
            return {}
        optuna = _optuna()
        found = dict[Job, Outcome]()
        for name in optuna.get_all_study_names(self._url()):
            if not name.startswith(f"{self._fingerprint}/"):
                continue
            for trial in optuna.load_study(study_name=name, storage=self._url()).trials:
                if "outcome" in trial.user_attrs:
                    kept = json.loads(trial.user_attrs["outcome"])
                    found[Job(**trial.user_attrs["job"])] = Outcome.from_plain(kept)
        return found

    def keep(self, job: Job, outcome: Outcome) -> None:
        """Keep one outcome; it is on disk when this returns."""
        optuna = _optuna()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        study = self._studies.get(job.arm)
        if study is None:
            study = optuna.create_study(
                study_name=f"{self._fingerprint}/{job.arm}",
                storage=self._url(),
                direction="maximize",
                load_if_exists=True,
            )
            self._studies[job.arm] = study
        score = outcome.validation_score
        finite = score is not None
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.COMPLETE if finite else optuna.trial.TrialState.FAIL,
                value=score,
                user_attrs={"job": job._asdict(), "outcome": json.dumps(outcome.plain())},
            )
        )

    def _url(self) -> str:
        return f"sqlite:///{self._path.resolve()}"


def _optuna() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own deprecations and experimental notes
        import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
