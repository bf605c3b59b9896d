"""Faults of the trace and of the roles read from it, at least one per construction: see `tests/mutants.py`."""

from tests.faults import Mutant

MODEL, ROLES, TRACE = (
    "src/pondera/model",
    "src/pondera/model/roles",
    "src/pondera/torch/trace",
)

FAULTS = (
    # axes
    Mutant(
        "slice_offset_ignored",
        f"{MODEL}/axes.py",
        "offset=first.offset + first.stride * start",
        "offset=first.offset",
        "test_roles.py::test_packed_projections_are_told_apart",
    ),
    Mutant(
        "reshape_factors_in_the_other_order",
        f"{MODEL}/axes.py",
        "            outer, inner = factor.divided(factor.size // missing)\n            taken.append(outer)",
        "            inner, outer = factor.divided(factor.size // missing)\n            taken.append(outer)",
        "test_roles.py::test_packed_projections_are_told_apart",
    ),
    Mutant(
        "split_from_the_first_block",
        f"{TRACE}/views.py",
        "        start += shape[place]",
        "        start += 0",
        "test_roles.py::test_grouped_queries_have_blocks_of_their_own_size",
    ),
    Mutant(
        "chosen_index_lost_with_its_neighbour",
        f"{MODEL}/axes.py",
        "    at = next(own, near)",
        "    at = near",
        "test_roles.py::test_multi_head_attention_of_torch",
    ),
    # fans
    Mutant(
        "transposed_fan_not_divided_by_the_stride",
        f"{ROLES}/uses.py",
        "steps = prod(product.stride)",
        "steps = 1",
        "test_roles_fans.py::test_variance_of_one_over_fan_in_is_kept",
    ),
    Mutant(
        "groups_ignored",
        f"{ROLES}/uses.py",
        "outward // product.groups * window",
        "outward * window",
        "test_roles_fans.py::test_true_fans_of_convolutions",
    ),
    Mutant(
        "groups_of_a_transposed_convolution_ignored",
        f"{ROLES}/uses.py",
        "inward // product.groups * window // steps",
        "inward * window // steps",
        "test_roles_fans.py::test_variance_of_one_over_fan_in_is_kept",
    ),
    Mutant(
        "axes_of_a_transposed_convolution_swapped",
        f"{TRACE}/products.py",
        "out, summed = (1, 0) if transposed else (0, 1)",
        "out, summed = (0, 1)",
        "test_roles_fans.py::test_true_fans_of_convolutions",
    ),
    Mutant(
        "experts_counted_as_outputs",
        f"{ROLES}/experts.py",
        "if _may_stack(walks, use) and",
        "if False and",
        "test_roles.py::test_stacked_experts_have_the_fans_of_one",
    ),
    Mutant(
        "gates_of_a_recurrent_kernel_as_one",
        f"{ROLES}/recurrent.py",
        "    size = shape[0] // len(gates)",
        "    size = shape[0]",
        "test_roles_fans.py::test_true_fans_per_gate",
    ),
    Mutant(
        "sum_of_a_product_is_no_contraction",
        f"{ROLES}/flows.py",
        "            if product.summed:",
        "            if not product.summed:",
        "test_roles_fans.py::test_attention_vectors_of_a_graph_network",
    ),
    # roles
    Mutant(
        "query_and_key_swapped",
        f"{ROLES}/attention.py",
        '("query", product.inputs[-2]), ("key", product.inputs[-1])',
        '("key", product.inputs[-2]), ("query", product.inputs[-1])',
        "test_roles.py::test_separate_projections_of_attention",
    ),
    Mutant(
        "gate_and_up_swapped",
        f"{ROLES}/mixing.py",
        'role: Role = "gate" if gate else "up"',
        'role: Role = "up" if gate else "gate"',
        "test_roles.py::test_a_gated_branch",
    ),
    Mutant(
        "branch_taken_for_the_stream",
        f"{ROLES}/streams.py",
        "            return kept, branch\n",
        "            return branch, kept\n",
        "test_roles.py::test_residual_blocks_are_written_by_their_last_convolution",
    ),
    Mutant(
        "parallel_branch_forgotten",
        f"{ROLES}/streams.py",
        "if member is not None and rival is None and walks.reaches(member, other):",
        "if False:",
        "test_roles.py::test_parallel_branches_are_two_writers_of_one_stream",
    ),
    Mutant(
        "adapter_counted_as_a_branch",
        f"{ROLES}/streams.py",
        "        if operation.outputs[0] in owners:\n            continue",
        "        if operation.outputs[0] in owners:\n            pass",
        "test_roles.py::test_adapters_beside_a_weight_and_inside_one",
    ),
    Mutant(
        "factors_of_an_adapter_swapped",
        f"{ROLES}/making.py",
        '("adapter down", "adapter up") if beside',
        '("adapter up", "adapter down") if beside',
        "test_roles.py::test_adapters_beside_a_weight_and_inside_one",
    ),
    Mutant(
        "one_plus_w_taken_for_w",
        f"{ROLES}/small.py",
        "    for candidate in (wanted, 1.0 - wanted):",
        "    for candidate in (wanted, wanted):",
        "test_roles_small.py::test_scale_and_shift_of_norms_and_their_neutral_values",
    ),
    Mutant(
        "bias_taken_as_weight",
        f"{TRACE}/products.py",
        "        return _matrices(values, place(1), place(2))",
        "        return _matrices(values, place(1), place(0))",
        "test_trace.py::test_compiled_modules_are_seen_through",
    ),
    Mutant(
        "activation_without_its_factor",
        f"{ROLES}/walks.py",
        "            return call(*(_at(functions, entry, z) for entry in values))",
        "            return call(*(_at(functions, entry, z * 0 + 1) for entry in values))",
        "test_roles_small.py::test_the_activation_between_two_weights_is_known_as_a_function",
    ),
    # what is left behind
    Mutant(
        "attributes_not_taken_back",
        f"{TRACE}/kept.py",
        "            _restore(module.__dict__, noted)",
        "            pass",
        "test_trace.py::test_the_model_is_left_as_it_was",
    ),
    Mutant(
        "hooks_left_behind",
        f"{TRACE}/paths.py",
        "            handle.remove()",
        "            pass",
        "test_trace.py::test_the_model_is_left_as_it_was",
    ),
    Mutant(
        "only_one_branch_taken",
        f"{TRACE}/__init__.py",
        "    return replace(graphs[0], further=tuple(graphs[1:]))",
        "    return graphs[0]",
        "test_trace.py::test_both_branches_of_a_condition_are_seen",
    ),
    Mutant(
        "training_never_looked_at",
        f"{TRACE}/__init__.py",
        "        model.train(way.training)",
        "        model.train(False)",
        "test_trace.py::test_parts_of_training_alone_are_seen",
    ),
)
