"""The plan: a row per parameter, to read, edit, save, compare and carry out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pondera.core.errors import DomainError
from pondera.core.laws import AbstractLaw
from pondera.model.plan import checks, edits, files, text
from pondera.model.plan.calibration import AbstractCalibrated
from pondera.model.plan.difference import Difference, plan_changes, start_changes
from pondera.model.plan.planner import planner_of
from pondera.model.plan.row import PlanRow


class Plan(AbstractCalibrated):
    """How every parameter of a model begins, and whether it decays; `pondera.plan` makes it.

    Args:
        rows: a row per parameter, or per block of a packed one, in the model's order.
        scheme: name of the scheme that it was made by.
        model: the model, or None of a plan that was loaded and not applied yet.
        called: what the model is called.
        notes: what else to know.
    """

    def __init__(
        self,
        rows: Sequence[PlanRow],
        *,
        scheme: str = "",
        model: Any = None,
        called: str = "",
        notes: Sequence[str] = (),
    ) -> None:
        edits.need_streams(rows)
        self.rows, self.scheme, self.notes = tuple(rows), scheme, tuple(notes)
        self.called = called or (type(model).__name__ if model is not None else "")
        self._model = model

    # --- reading ---

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[PlanRow]:
        return iter(self.rows)

    def __getitem__(self, pattern: str) -> PlanRow | tuple[PlanRow, ...]:
        """The row of that name, or all rows that a pattern means."""
        found = tuple(self.rows[k] for k in edits.matching(self.rows, pattern))
        return found[0] if len(found) == 1 else found

    def __repr__(self) -> str:
        return (
            f"<Plan of {self.called or 'a model'}: {len(self)} rows by {self.scheme or 'hand'!r}>"
        )

    def __str__(self) -> str:
        return text.table_of(self._title(), self.rows, self.notes)

    def _repr_html_(self) -> str:
        return text.page_of(self._title(), self.rows, self.notes)

    def _title(self) -> str:
        names = {row.name for row in self.rows}
        size = sum(row.size for row in self.rows)
        decayed = sum(row.size for row in self.rows if row.decay)
        share = f"{100 * decayed / size:.1f} % decay" if size else "none"
        left = f", {len(self.uncovered)} without a rule" if self.uncovered else ""
        return (
            f"plan of {self.called or 'a model'} by {self.scheme or 'hand'}: {len(names)} parameters, "
            f"{size:,} numbers, {share}{left}"
        )

    def explain(self, name: str) -> str:
        """Everything that is known of a parameter, and why it begins as it does.

        Args:
            name: of a parameter, a row, a module, or a pattern of those.

        Returns:
            Text: a few lines per row.

        Raises:
            DomainError: nothing of that name; the nearest names are told.
        """
        return "\n\n".join(text.explained(self.rows[k]) for k in edits.matching(self.rows, name))

    @property
    def uncovered(self) -> tuple[str, ...]:
        """Names of the rows that no rule covers and nobody has left alone."""
        return tuple(row.key for row in self.rows if not row.ruled)

    # --- editing ---

    def __setitem__(self, pattern: str, law: AbstractLaw | str) -> None:
        """Another law for all rows that a pattern means; "keep" leaves them alone. All or none change."""
        self.rows = edits.with_law(self.rows, pattern, law)

    def edit(
        self,
        pattern: str,
        *,
        decay: bool | None = None,
        rate: float | None = None,
        stream: str | None = None,
        order: Sequence[int] | None = None,
    ) -> None:
        """Another decay, learning rate, stream or order of axes for all rows that a pattern means.

        Args:
            pattern: a parameter, row or module, or a pattern of those.
            decay: whether they decay.
            rate: factor on the learning rate, ≥ 0.
            stream: name of the stream; one row's alone.
            order: axes in the order in which the block is drawn, such as (1, 0) for a weight that another
                framework stores transposed.

        Raises:
            DomainError, ShapeError: nothing matches, a field out of range, or a stream that two rows
                would share. Nothing is changed then.
        """
        given = None if order is None else tuple(order)
        self.rows = edits.changed(
            self.rows, pattern, decay=decay, rate=rate, stream=stream, order=given
        )

    # --- files ---

    def save(self, path: str | Path) -> None:
        """Write the plan as TOML, to be read, edited and compared by people.

        Args:
            path: of the file.

        Raises:
            DomainError: the file cannot be written, or a law is none of Pondera's.
        """
        files.write_plan(files.Held(self.scheme, self.called, self.rows, self.notes), path)

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """The plan in a file; `apply` binds it to a model.

        Args:
            path: of a file that `save` wrote.

        Raises:
            DomainError, ShapeError: no such file, or a line that no plan can have; it is named.
        """
        held = files.read_plan(path)
        return cls(held.rows, scheme=held.scheme, called=held.model, notes=held.notes)

    def apply(self, model: Any) -> Plan:
        """The same plan for a model, once it is sure that the two fit.

        Args:
            model: with the parameters that the plan has, of the same shapes.

        Returns:
            A plan bound to the model; nothing of the model is changed.

        Raises:
            DomainError: a parameter is missing on one side. ShapeError: a shape changed. It is named.
        """
        checks.need_fit(self.rows, planner_of(model).shapes(model))
        return Plan(self.rows, scheme=self.scheme, model=model, notes=self.notes)

    # --- comparing ---

    def diff(self, other: Plan) -> Difference:
        """What differs between this plan and another; print it.

        Args:
            other: another plan.

        Returns:
            A list of changes, empty where nothing differs.
        """
        here, there = self.scheme or "this plan", other.scheme or "the other"
        if here == there:
            here, there = f"{here} (here)", f"{there} (there)"
        names = {row.key for row in (*self.rows, *other.rows)}
        changes = plan_changes(self.rows, other.rows)
        return Difference(changes, here=here, there=there, compared=len(names))

    def diff_to_start(self) -> Difference:
        """What differs between this plan and the weights that the model holds now, its own start.

        Returns:
            A list of changes of mean and std beyond five standard errors; print it.

        Raises:
            DomainError: no model is bound, or a parameter has no memory.
        """
        model = self.bound("diff_to_start")
        drawn = [row for row in self.rows if row.law is not None]
        changes = start_changes(drawn, planner_of(model).moments(model, drawn))
        here = self.scheme or "this plan"
        return Difference(changes, here=here, there="the model's own start", compared=len(drawn))

    # --- carrying out ---

    def initialize(self, seed: int = 0) -> Plan:
        """Draw every row's law into the model's parameters, in place; all or nothing.

        A block of a packed parameter is a stream of its own (`name#block`), so its numbers do not depend
        on how it is packed; so is each stacked weight (`name[0]`, …) where the law ties it together.

        Args:
            seed: 64-bit seed; a weight depends on it, on its stream, shape and law alone.

        Returns:
            The plan itself.

        Raises:
            DomainError, ShapeError: no model is bound, a parameter that no rule covers, one without
                memory, or one that changed since. The model is as before.
        """
        model = self.bound("initialize")
        planner = planner_of(model)
        checks.need_fit(self.rows, planner.shapes(model))
        checks.need_rules(self.rows)
        checks.need_memory(self.rows, planner.meta(model))
        planner.fill(model, [fill for row in self.rows for fill in row.fills()], seed=seed)
        return self

    # --- checks ---

    def bound(self, what: str) -> Any:
        """The model that the plan is bound to.

        Args:
            what: what needs it, for the error.

        Raises:
            DomainError: there is none.
        """
        if self._model is None:
            raise DomainError(
                f"plan: {what} needs a model; got a plan without one. Call plan.apply(model) first."
            )
        return self._model
