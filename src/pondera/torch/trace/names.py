"""Which of PyTorch's operations is of which kind, by the names that reach the dispatcher."""

from __future__ import annotations

from typing import Any, Final

import torch

from pondera.model.trace import Kind

SILENT: Final = frozenset(
    "device is_pinned size stride storage_offset numel dim layout sym_size sym_stride sym_numel "
    "sym_storage_offset is_contiguous is_strides_like_format is_non_overlapping_and_dense "
    "set_ resize_ record_stream _has_compatible_shallow_copy_type profiler".split()
)
SAME: Final = frozenset(  # the same elements at the same places
    "alias clone contiguous detach dropout lift lift_fresh lift_fresh_copy native_dropout _to_copy "
    "_conj resolve_conj _fake_quantize_per_tensor_affine_cachemask_tensor_qparams".split()
)
VIEWS: Final = frozenset(
    "_reshape_alias _unsafe_view expand permute select slice split split_with_sizes squeeze t "
    "transpose unbind unsafe_split unsqueeze view unsafe_split_with_sizes reshape narrow".split()
)
MOVES: Final = frozenset(
    "_index_put_impl as_strided cat constant_pad_nd cummax cumprod cumsum diagonal diag_embed flip gather "
    "im2col col2im index index_add index_copy index_fill index_put index_reduce index_select masked_scatter "
    "masked_select pixel_shuffle pixel_unshuffle reflection_pad1d reflection_pad2d reflection_pad3d repeat "
    "repeat_interleave replication_pad1d replication_pad2d replication_pad3d roll rot90 scatter "
    "scatter_add scatter_reduce select_scatter slice_scatter sort stack topk tril triu unfold copy "
    "upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d "
    "upsample_nearest3d upsample_trilinear3d _upsample_bicubic2d_aa _upsample_bilinear2d_aa "
    "grid_sampler_2d view_as_real view_as_complex channel_shuffle native_channel_shuffle".split()
)
REDUCES: Final = frozenset(
    "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d adaptive_max_pool2d adaptive_max_pool3d "
    "adaptive_max_pool1d all amax amin any argmax argmin avg_pool1d avg_pool2d avg_pool3d linalg_vector_norm "
    "logsumexp max max_pool1d max_pool2d_with_indices max_pool3d_with_indices max_pool2d mean median min norm "
    "prod std std_mean sum var var_mean".split()
)
POOLS: Final = frozenset(name for name in REDUCES if "pool" in name)
NORMS: Final = frozenset(
    "_batch_norm_no_update _batch_norm_with_update _fused_rms_norm _native_batch_norm_legit "
    "_native_batch_norm_legit_no_training cudnn_batch_norm native_batch_norm native_group_norm "
    "native_layer_norm rms_norm".split()
)
SOFTMAXES: Final = frozenset("_log_softmax _safe_softmax _softmax".split())
LOOKUPS: Final = frozenset("_embedding_bag _embedding_bag_forward_only embedding".split())
POINTWISE: Final = frozenset(  # those that PyTorch does not mark in every overload
    "_prelu_kernel fake_quantize floor_divide fmod fmod_ hardsigmoid hardswish hardtanh leaky_relu "
    "log_sigmoid_forward masked_fill mish prelu remainder rrelu_with_noise softplus threshold "
    "where".split()
)
WRITTEN_OUT: Final = frozenset("addcdiv addcmul addr glu lerp".split())  # as what they are made of
CREATED: Final = frozenset(
    "arange empty empty_like empty_strided eye full full_like linspace new_empty new_full new_ones "
    "new_zeros ones ones_like rand rand_like randint randn randn_like randperm scalar_tensor zeros "
    "zeros_like bernoulli normal uniform new_empty_strided _cdist_none".split()
)
FILLED: Final = {
    "ones": 1.0,
    "ones_like": 1.0,
    "new_ones": 1.0,
    "zeros": 0.0,
    "zeros_like": 0.0,
    "new_zeros": 0.0,
}


def plain_name(func: Any) -> str:
    """The dispatcher's name without name space, overload and the mark of writing in place.

    >>> plain_name(torch.ops.aten.add_.Tensor)
    'add'
    """
    name = func._schema.name.rpartition("::")[2]
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def is_pointwise(func: Any) -> bool:
    """Whether PyTorch marks the operation as pointwise."""
    return torch.Tag.pointwise in func.tags or plain_name(func) in POINTWISE


def kind_of(func: Any, name: str, tensors: int) -> Kind:
    """The kind of an operation by its name, its tag, and how many tensors it reads."""
    if name in SAME or name in VIEWS:
        return "view"
    tables: tuple[tuple[frozenset[str], Kind], ...] = (
        (NORMS, "normalise"),
        (SOFTMAXES, "softmax"),
        (LOOKUPS, "lookup"),
        (MOVES, "move"),
        (REDUCES, "reduce"),
    )
    for table, kind in tables:
        if name in table:
            return kind
    if name == "_weight_norm_interface":
        return "combine"
    if name.startswith("_scaled_dot_product"):
        return "softmax"
    if is_pointwise(func):
        return "pointwise" if tensors == 1 else "combine"
    return "opaque"
