"""Jobs in parallel processes, one thread each."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Final

from pondera.core.errors import DomainError
from pondera.study.work import Job, Outcome, Work, work_out

_THREADS: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_work: Work | None = None  # of this worker process


def outcomes(work: Work, jobs: Sequence[Job], *, workers: int) -> Iterator[tuple[Job, Outcome]]:
    """Each job with its outcome, as it is finished.

    Args:
        work: what the jobs share; sent to each process once.
        jobs: what to do.
        workers: processes, ≥ 1.

    Yields:
        (job, outcome), in the order of completion.

    Raises:
        DomainError: a job failed, or a process died. The others are stopped.
    """
    if not jobs:
        return
    context = multiprocessing.get_context("spawn")
    with _one_thread_each():
        pool = ProcessPoolExecutor(min(workers, len(jobs)), context, _begin, (work,))
        try:
            futures = {pool.submit(_do, job): job for job in jobs}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise DomainError(
                "study: a worker process died, most often for lack of memory. Pass --workers 1, or a "
                "smaller --batch-size."
            ) from None
        finally:
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)


def _begin(work: Work) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    _work = work


def _do(job: Job) -> Outcome:
    if _work is None:
        raise AssertionError("the worker has not begun")
    return work_out(_work, job)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started inside compute on one thread; this one stays as it is."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, setting in before.items():
            if setting is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = setting
