"""Why the chip cannot run the operators that it cannot run, and what to do."""

from __future__ import annotations

from graphflow.runtime.bm1684.compiler.legalize import comparison
from graphflow.runtime.bm1684.compiler.legalize.context import REASONS, TRUTHS

_ON_HOST = "run this part of the model on the host"

_INDEX = ("it gives places, and no command finds where an element is", f"{_ON_HOST}, or fetch the scores")
_INTEGERS = ("it works on integers, and the chip computes in float32", _ON_HOST)
_COMPLEX = ("it works on complex numbers", f"{_ON_HOST}, or keep both parts as float32")
_SORTS = ("it sorts, and no command moves an element by its value", _ON_HOST)
_SOLVES = ("its steps depend on one another element by element", _ON_HOST)
_RANDOM = ("it draws random numbers", "draw them on the host and feed them")
_TEXT = ("it works on strings or files", _ON_HOST)
_LOOPS = ("its steps are known only when it runs", "give the number of steps, so that the loop is unrolled")
_STATE = ("it needs the state of a session", "train on backend='jax', and run what was trained on the chip")
_ANGLE = ("there is no recipe for it", "express it by exp, log, sin and cos where its input lies")
_BITS = ("no command tells NaN or infinities apart", "test what is fed on the host")
_RUNNING = ("each of its elements depends on the one before", "multiply by a triangular matrix of ones")
_REMAINDER = (
    "its quotient would have to be exact, and the chip's reciprocal is within 3e-7",
    "say x - y * gf.floor(x / y) where x / y is small",
)
_SCATTERS = (
    "it gathers or scatters along axes in a way for which there is no layer",
    "express it by take, concat, pad and multiplications with a constant mask",
)
_TRAINING = ("it is part of a gradient", "train on backend='jax', and run what was trained on the chip")

_GROUPS = {
    _INDEX: "argmax argmin argwhere",
    _INTEGERS: "bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor "
    "bitcast quantize_linear dequantize_linear matmul_integer astype_float8 shape_of iota",
    _COMPLEX: "complex conj imag real complex_dft inverse_real_dft real_dft",
    _SORTS: "argsort sort top_k searchsorted slice_ranks unique_all non_max_suppression",
    _SOLVES: "adjugate cholesky det eig eigh eigvals eigvalsh inv pinv qr slogdet solve svd svdvals "
    "triangular_solve",
    _RANDOM: "random_binomial random_bits random_fold_in random_gamma random_gamma_slope random_key "
    "random_normal random_permutation random_poisson random_uniform",
    _TEXT: "decode_image regex_full_match string_concat string_normalizer string_split tf_idf_vectorizer",
    _LOOPS: "scan static_case switch_case while_loop",
    _STATE: "assign dimension session_key training_flag after",
    _ANGLE: "acos acosh asin asinh atan atan2 atanh cosh sinh tan hypot",
    _BITS: "is_finite is_inf is_nan nextafter copysign",
    _RUNNING: "cumulative_prod cumulative_sum",
    _REMAINDER: "floor_divide fmod remainder",
    _TRAINING: "avg_pool_gradient max_pool_gradient max_pool_select max_unpool_gradient resample_gradient "
    "conv_weight_gradient",
    _SCATTERS: "add_along_axis col2im diagonal diagonal_matrix im2col index_add max_unpool one_hot "
    "scatter_nd scatter_nd_add",
}
for _reason, _names in _GROUPS.items():
    REASONS.update(dict.fromkeys(_names.split(), _reason))

TRUTHS.update(comparison.RECIPES)
TRUTHS.update(("all", "any", "astype"))
_MOVES = "broadcast_to concat expand_dims flatten identity permute_dims reshape slice squeeze tile"
TRUTHS.update(_MOVES.split())
