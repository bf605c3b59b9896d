"""Faults of the plan and its schemes: a noun, a change of text, and the test that must notice it."""

from tests.faults import Mutant

MODEL = "src/pondera/model"

FAULTS = (
    Mutant(
        "writers_not_thinned",
        f"{MODEL}/schemes/rules.py",
        "law, factor = ruling.law, 1 / sqrt(writers)",
        "law, factor = ruling.law, 1.0",
        "test_schemes.py::test_gpt2_divides_the_writers_alone",
    ),
    Mutant(
        "fans_of_the_whole_packed_weight",
        f"{MODEL}/schemes/spread.py",
        'return _drawn(law.name, law.distribution, std)\n    return law',
        "return law\n    return law",
        "test_schemes.py::test_fans_are_the_true_ones_of_groups_stacks_and_transposed_convolutions",
    ),
    Mutant(
        "shortcut_zeroed",
        f"{MODEL}/schemes/survey.py",
        "return any(word.startswith(_SHORTCUTS) for word in words)",
        "return False",
        "test_schemes.py::test_resnet_zeroes_the_last_norm_of_each_branch_and_no_other",
    ),
    Mutant(
        "forgetting_twice",
        f"{MODEL}/schemes/base.py",
        'if "forget" in case.part.label and not _second(case):',
        'if "forget" in case.part.label:',
        "test_schemes.py::test_recurrent_kernels_are_drawn_gate_by_gate_and_forget_nothing",
    ),
    Mutant(
        "norm_offset_overlooked",
        f"{MODEL}/schemes/base.py",
        "number = case.site.neutral\n    if number is None:",
        "number = case.site.neutral or None\n    if number is None:",
        "test_schemes.py::test_a_norm_that_multiplies_by_one_more_begins_at_zero",
    ),
    Mutant(
        "fixup_exponent_of_the_whole",
        f"{MODEL}/schemes/vision.py",
        "factor = blocks ** (-1 / (2 * depth - 2))",
        "factor = blocks ** (-1 / (2 * depth))",
        "test_schemes.py::test_fixup_scales_the_first_convolutions_and_zeroes_the_last",
    ),
    Mutant(
        "mirror_across_a_break",
        f"{MODEL}/schemes/chains.py",
        'if feed.source != "weight" or not feed.exact or feed.weight',
        'if feed.source != "weight" or feed.weight',
        "test_signal.py::test_signal_mirrors_no_chain_that_is_broken[exact]",
    ),
    Mutant(
        "loud_chains",
        f"{MODEL}/schemes/chains.py",
        "if depth * _unequal(survey, activation, label, sqrt(variance)) <= _LOUDEST:",
        "if _unequal(survey, activation, label, sqrt(variance)) <= _LOUDEST:",
        "test_signal.py::test_signal_begins_quietly_where_the_gains_differ",
    ),
    Mutant(
        "copied_words",
        f"{MODEL}/schemes/signal.py",
        "std = min(_SMALL, own / width)",
        "std = _SMALL",
        "test_signal.py::test_signal_gives_no_word_of_a_tied_model_its_own_copy",
    ),
    Mutant(
        "gate_without_gain",
        f"{MODEL}/schemes/ruling.py",
        'if feed.source == "gated" and feed.gate is not None:',
        'if feed.source == "gated" and feed.gate is None:',
        "test_signal.py::test_signal_gives_a_gated_branch_unit_variance",
    ),
    Mutant(
        "mup_rate_of_the_input",
        f"{MODEL}/schemes/mup.py",
        "if _outside(case):",
        "if False:",
        "test_schemes.py::test_mup_is_table_3",
    ),
    Mutant(
        "blocks_of_one_stream",
        f"{MODEL}/plan/build.py",
        "stream=key,",
        "stream=site.name,",
        "test_plan.py::test_a_block_is_drawn_alone_by_its_own_name",
    ),
    Mutant(
        "offset_forgotten",
        "src/pondera/torch/planner.py",
        "view.narrow(axis, first, size)",
        "view.narrow(axis, 0, size)",
        "test_plan.py::test_a_block_is_drawn_alone_by_its_own_name",
    ),
    Mutant(
        "order_without_axes",
        f"{MODEL}/plan/row.py",
        "tuple(order.index(axis % len(shape)) for axis in some)",
        "tuple(some)",
        "test_plan.py::test_an_order_of_axes_gives_the_weight_of_another_framework",
    ),
    Mutant(
        "experts_as_one_matrix",
        f"{MODEL}/plan/row.py",
        "alone = not self.stack or prod(self.stack) == 1 or isinstance(law, AbstractElementwise)",
        "alone = True",
        "test_plan.py::test_stacked_experts_are_orthogonal_each_by_itself",
    ),
    Mutant(
        "drawing_what_has_no_rule",
        f"{MODEL}/plan/document.py",
        "checks.need_rules(self.rows)",
        "checks.need_rules(())",
        "test_plan.py::test_a_parameter_without_a_rule_is_an_error_that_names_it",
    ),
    Mutant(
        "drawing_before_all_is_ready",
        "src/pondera/torch/planner.py",
        "            ready = [_prepared(parameters[each.name], each, seed) for each in fills]\n"
        "            for write in ready:\n"
        "                write()",
        "            for each in fills:\n"
        "                _prepared(parameters[each.name], each, seed)()",
        "test_plan.py::test_nothing_is_drawn_if_one_draw_fails",
    ),
    Mutant(
        "stale_shape_accepted",
        f"{MODEL}/plan/checks.py",
        "if tuple(shapes[name]) != tuple(shape):",
        "if len(shapes[name]) != len(shape):",
        "test_plan.py::test_a_stale_plan_is_an_error_that_names_the_parameter",
    ),
    Mutant(
        "edit_in_halves",
        f"{MODEL}/plan/edits.py",
        "need_streams(made)\n    return made",
        "return made",
        "test_plan.py::test_an_edit_that_does_not_fit_changes_nothing",
    ),
    Mutant(
        "matched_to_a_third",
        f"{MODEL}/plan/decay.py",
        "return lr * blocks[0].rate / (2 * mean_square)",
        "return lr * blocks[0].rate / (3 * mean_square)",
        "test_plan_decay.py::test_matched_decay_has_its_equilibrium_at_the_start",
    ),
    Mutant(
        "independent_of_nothing",
        f"{MODEL}/plan/decay.py",
        "decay = decay / rate if independent and decay else decay",
        "decay = decay / (lr or 1.0) if independent and decay else decay",
        "test_plan_decay.py::test_an_independent_decay_is_what_a_step_takes_off",
    ),
    Mutant(
        "std_of_the_file",
        f"{MODEL}/plan/spelling.py",
        '_OTHERWISE: Final = MappingProxyType({"sigma": "std", "position": "block"})',
        '_OTHERWISE: Final = MappingProxyType({"sigma": "std"})',
        "test_plan_files.py::test_laws_are_written_as_people_write_them",
    ),
    Mutant(
        "rate_not_saved",
        f"{MODEL}/plan/files.py",
        '"rate": None if row.rate == 1 else row.rate,',
        '"rate": None,',
        "test_plan_files.py::test_every_schemes_plan_is_read_as_it_was_written[mup]",
    ),
    Mutant(
        "finding_without_exit_code",
        "src/pondera/cli/plan.py",
        "raise typer.Exit(1)",
        "raise typer.Exit(0)",
        "test_plan_cli.py::test_a_parameter_without_a_rule_is_told_by_the_exit_code",
    ),
)  # fmt: skip
