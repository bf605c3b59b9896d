"""Faults of the fused optimizer steps: see `tests/faults.py`."""

from tests.faults import Mutant

BOUNDS = "src/pondera/torch/bounds"
PASS = "test_bounds_fused.py"
WAYS = "test_bounds_fused_ways.py"
ASKED = "test_bounds_fused_asked.py"

FAULTS = (
    Mutant(
        "stepped_by_both",
        f"{BOUNDS}/engine.py",
        "entry.gradient, entry.parameter.grad = entry.parameter.grad, None",
        "entry.gradient = entry.parameter.grad",
        f"{PASS}::test_one_pass_does_what_two_do",
    ),
    Mutant(
        "shrunk_by_both",
        f"{BOUNDS}/engine.py",
        "if id(e) in book.single and not e.fused]",
        "if id(e) in book.single]",
        f"{PASS}::test_one_pass_does_what_two_do",
    ),
    Mutant(
        "infinities_stepped",
        f"{BOUNDS}/engine.py",
        "or not asked or _is_skipped(optimizer):",
        "or not asked:",
        f"{WAYS}::test_a_gradient_scaler_is_heeded",
    ),
    Mutant(
        "scale_kept",
        f"{BOUNDS}/fused.py",
        "None if factor is None else float(factor)",
        "None",
        f"{WAYS}::test_a_gradient_scaler_is_heeded",
    ),
    Mutant(
        "steps_not_counted",
        f"{BOUNDS}/fused.py",
        'torch._foreach_add_([state["step"] for _, state in lot], 1)',
        'torch._foreach_add_([state["step"] for _, state in lot], 0)',
        f"{PASS}::test_at_strength_0_a_step_is_pytorch_s",
    ),
    Mutant(
        "every_decay_decoupled",
        f"{BOUNDS}/fused.py",
        '"decoupled": decouples(optimizer, group)',
        '"decoupled": True',
        f"{PASS}::test_at_strength_0_a_step_is_pytorch_s",
    ),
    Mutant(
        "always_downhill",
        f"{BOUNDS}/fused.py",
        'bool(group.get("maximize"))',
        "False",
        f"{PASS}::test_at_strength_0_a_step_is_pytorch_s",
    ),
    Mutant(
        "momentum_never_summed",
        f"{BOUNDS}/fused.py",
        "state[CARRIED], buffer = carried,",
        "state[CARRIED], buffer = state.get(CARRIED, carried),",
        f"{PASS}::test_one_pass_does_what_two_do",
    ),
    Mutant(
        "counts_mixed_up",
        f"{BOUNDS}/fused.py",
        "key = id(entry.group), prox_of(entry.bound), number",
        "key = id(entry.group), prox_of(entry.bound), len(lots) and next(iter(lots))[2] or number",
        f"{WAYS}::test_groups_keep_their_own_numbers",
    ),
    Mutant(
        "gradient_read_unseen",
        f"{BOUNDS}/fused.py",
        "if gradient is not None and (found := fault(gradient, count)):",
        "if gradient is None and (found := fault(w, count)):",
        f"{WAYS}::test_gradients_and_state_that_cannot_be_read_wait_a_step",
    ),
    Mutant(
        "stale_graph_unnoticed",
        f"{BOUNDS}/fused.py",
        "        increment_version(entry.parameter)",
        "        del entry",
        f"{WAYS}::test_autograd_notices_the_step",
    ),
    Mutant(
        "silent_weights_lost",
        f"{BOUNDS}/compiled.py",
        '"young": count <= MEMORY,',
        '"young": False,',
        f"{PASS}::test_a_silent_unit_is_not_lost_in_its_first_steps",
    ),
    Mutant(
        "threads_of_the_parent",
        "src/pondera/kernel/team.py",
        "after_in_child=_state.forget",
        "after_in_child=lambda: None",
        f"{ASKED}::test_a_forked_child_waits_for_no_thread_of_its_parent",
    ),
    Mutant(
        "hooks_of_others_first",
        f"{BOUNDS}/survive.py",
        "move_to_end(behind.id, last=False)",
        "move_to_end(behind.id, last=True)",
        f"{WAYS}::test_hooks_of_others_see_gradients_before_and_weights_after",
    ),
)
