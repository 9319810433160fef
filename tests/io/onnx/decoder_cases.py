"""Nodes of com.microsoft as exporters of language models and quantizers write them, like `contrib_cases`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.io.onnx.contrib_cases import Case, byte, normal, number, whole

HEADS, SHARED, SIZE = 4, 2, 16
PLAIN = {"num_heads": HEADS, "kv_num_heads": SHARED}
THREE = ("y", "keys", "values")
COS, SIN = normal(9, 8), normal(9, 8, seed=5)
Q = normal(2, 3, HEADS * SIZE)
K, V = normal(2, 3, SHARED * SIZE, seed=1), normal(2, 3, SHARED * SIZE, seed=2)
PAST = normal(2, SHARED, 5, SIZE, seed=3), normal(2, SHARED, 5, SIZE, seed=4)


def ints(*values: int) -> np.ndarray:
    return np.int32(values)


def group_query(inputs: tuple[Any, ...], **attributes: Any) -> Case:
    return Case("GroupQueryAttention", inputs, {**PLAIN, **attributes}, THREE, fixed=(6,))


def group_queries() -> list[Case]:
    prompt = (Q, K, V, None, None, ints(2, 2), number(3, np.int32))
    step = (Q[:, :1], K[:, :1], V[:, :1], *PAST, ints(5, 3), number(6, np.int32))
    inside = (*step[:5], ints(3, 2), number(4, np.int32))
    chunk = (Q[:1], K[:1], V[:1], PAST[0][:1], PAST[1][:1], ints(7), number(8, np.int32))
    packed = np.concatenate([Q, K, V], -1)
    bias, sink = normal(1, HEADS, 3, 3, seed=8), normal(HEADS)
    places = np.int64([[3, 4, 5], [3, 4, 5]])
    return [
        group_query(prompt),
        group_query(prompt, scale=0.3, softcap=0.7),
        group_query(prompt, local_window_size=1),
        group_query(prompt, local_window_size=2, softcap=2.0),
        group_query((*prompt, COS, SIN), do_rotary=1),
        group_query((*prompt, COS, SIN), do_rotary=1, rotary_interleaved=1),
        group_query((*prompt, COS, SIN, places), do_rotary=1),
        group_query((packed, None, None, *prompt[3:], COS, SIN), do_rotary=1),
        group_query((*prompt[:5], ints(1, 2), prompt[6]), causal=0),
        group_query((*prompt, None, None, None, bias), softcap=0.5),
        group_query((*prompt, None, None, None, None, sink), local_window_size=2),
        group_query((*prompt, None, None, None, bias, sink), softcap=0.5),
        group_query(prompt, smooth_softmax=1),
        group_query(step),
        group_query((*step, COS, SIN), do_rotary=1, local_window_size=3),
        group_query((*step, COS, SIN, np.int64([[3], [0]])), do_rotary=1),
        group_query((*step, None, None, None, normal(2, HEADS, 1, 6), sink)),
        group_query((packed[:, :1], None, None, *step[3:], COS, SIN), do_rotary=1),
        group_query((*inside, None, None, None, normal(2, 1, 1, 4))),
        group_query(chunk),
        group_query((*chunk, COS, SIN), do_rotary=1, local_window_size=4),
        group_query((*chunk[:5], ints(4), number(5, np.int32), COS, SIN), do_rotary=1),
    ]


def decoders() -> list[Case]:
    """Across to an encoder; on its own past onnxruntime works in place only, which is refused here."""
    op, q = "DecoderMaskedMultiHeadAttention", normal(2, 1, 8)
    turned = normal(2, 2, 5, 4, seed=1), normal(2, 2, 5, 4, seed=2)
    return [
        Case(op, (q, *turned), {"num_heads": 2}),
        Case(op, (q, *turned, np.int32([[1, 0, 1, 1, 1], [1] * 5])), {"num_heads": 2, "scale": 0.4}),
    ]


def quantized_attention() -> list[Case]:
    x, w, bias = whole(2, 5, 8), whole(8, 24, seed=1), normal(24)
    s, t, two = number(0.05), number(0.02), {"num_heads": 2}
    signed = whole(8, 24, low=-128, high=128, dtype=np.int8)
    each = np.abs(normal(24)) * np.float32(0.02)
    tail = (byte(120), byte(110))
    return [
        Case("QAttention", (x, w, bias, s, t, None, *tail), two),
        Case("QAttention", (x, w, bias, s, t), {**two, "scale": 0.01}),
        Case(
            "QAttention",
            (x, signed, bias, s, each, np.int32([3, 5]), byte(120), whole(24, dtype=np.int8)),
            two,
        ),
        Case("QAttention", (x, w, bias, s, t, None, *tail), {**two, "unidirectional": 1}),
        Case("QAttention", (x, w, bias, s, t, None, *tail, normal(2, 2, 2, 3, 4)), two, ("y", "present")),
    ]


EXPERTS, WIDTH, INNER = 4, 32, 48
X, ROUTER = normal(5, WIDTH), normal(5, EXPERTS, seed=1)


def mixtures() -> list[Case]:
    w1, b1 = normal(EXPERTS, INNER, WIDTH, seed=2, scale=0.3), normal(EXPERTS, INNER, seed=3)
    w2, b2 = normal(EXPERTS, WIDTH, INNER, seed=4, scale=0.3), normal(EXPERTS, WIDTH, seed=5)
    twice = normal(EXPERTS, 2 * INNER, WIDTH, seed=6, scale=0.3), normal(EXPERTS, 2 * INNER, seed=7)
    whole_one = (X, ROUTER, w1, b1, w2, b2)
    swiglu = {"k": 2, "activation_type": "swiglu", "swiglu_fusion": 1}
    limits = {"activation_alpha": 1.7, "activation_beta": 1.0, "swiglu_limit": 0.9}
    made = [
        Case("MoE", whole_one),
        Case("MoE", whole_one, {"k": 2, "normalize_routing_weights": 1}),
        Case("MoE", (X.reshape(1, 5, WIDTH), ROUTER, w1, None, w2), {"k": 4}),
        Case("MoE", (X, ROUTER, *twice, w2, b2), swiglu),
        Case("MoE", (X, ROUTER, *twice, w2, b2), {**swiglu, **limits}),
    ]
    made += [Case("MoE", whole_one, {"k": 2, "activation_type": one}) for one in ("gelu", "silu", "identity")]
    return made + _quantized_mixtures(b1, b2, twice[1])


def _quantized_mixtures(b1: np.ndarray, b2: np.ndarray, b_twice: np.ndarray) -> list[Case]:
    def scales(*sizes: int) -> np.ndarray:
        return np.abs(normal(*sizes)) * np.float32(0.02)

    def bits(rows: int, columns: int, width: int) -> np.ndarray:
        return whole(EXPERTS, rows, columns * width // 8, seed=width)

    def node(width: int, inputs: tuple[Any, ...], **attributes: Any) -> Case:
        held = tuple(place for place, one in enumerate(inputs) if place > 1 and one is not None)
        # onnxruntime's kernel for CPUs lets the weights of those chosen have the sum 1 whatever is asked for
        options = {"expert_weight_bits": width, "k": 2, "normalize_routing_weights": 1, **attributes}
        return Case("QMoE", inputs, options, fixed=held, close=5e-3 if width == 8 else 1e-5)

    rows = scales(EXPERTS, INNER), scales(EXPERTS, WIDTH)
    blocks = scales(EXPERTS, 2 * INNER, WIDTH // 16), scales(EXPERTS, WIDTH, INNER // 16)
    zeros = whole(EXPERTS, 2 * INNER, 1, seed=8), whole(EXPERTS, WIDTH, 2, seed=9)
    swiglu = {"activation_type": "swiglu", "swiglu_fusion": 1, "block_size": 16}
    four = bits(2 * INNER, WIDTH, 4), bits(WIDTH, INNER, 4)
    return [
        node(4, (X, ROUTER, bits(INNER, WIDTH, 4), rows[0], b1, bits(WIDTH, INNER, 4), rows[1], b2)),
        node(8, (X, ROUTER, bits(INNER, WIDTH, 8), rows[0], b1, bits(WIDTH, INNER, 8), rows[1], b2)),
        node(4, (X, ROUTER, four[0], blocks[0], b_twice, four[1], blocks[1], b2), **swiglu),
        node(
            4,
            (X, ROUTER, four[0], blocks[0], None, four[1], blocks[1], None, *[None] * 3, *zeros),
            **{**swiglu, "k": 3},
        ),
    ]


def blocks() -> list[Case]:
    rows = np.int64([[0, 6, -1], [3, 2, 2]])
    packed, scales = whole(7, 16), np.abs(normal(7, 2))
    table = {"block_size": 16, "quantize_axis": 1, "gather_axis": 0}
    op, held = "GatherBlockQuantized", (0, 2)
    made = [
        Case(op, (packed, rows, scales), {**table, "bits": 4}, fixed=held),
        Case(op, (packed, rows, scales, whole(7, 1, seed=3)), {**table, "bits": 4}, fixed=(0, 2, 3)),
        Case(op, (whole(7, 32), rows, scales), {**table, "bits": 8}, fixed=held),
        Case(op, (packed, np.int64([9, 1, -8]), scales), {**table, "bits": 4}, fixed=held),
    ]
    codes = whole(5 * 40 // 2)
    for kind in (0, 1):
        four = {"K": 40, "N": 5, "block_size": 32, "quant_type": kind}
        largest = np.abs(normal(-(-200 // 32)))
        made.append(Case("MatMulBnb4", (normal(3, 40), codes, largest), four, fixed=(1, 2), close=1e-5))
    return made


def embeddings() -> list[Case]:
    ids, kinds = whole(2, 4, high=9, dtype=np.int32), whole(2, 4, high=2, dtype=np.int32)
    tables = whole(9, 8), whole(6, 8), whole(2, 8), whole(8), whole(8, seed=1)
    scales = tuple(number(one) for one in (0.1, 0.02, 0.03, 0.01, 0.05))
    zeros = tuple(byte(one) for one in (100, 110, 120, 3, 130))
    mask = np.int32([[1, 1, 0, 0], [1, 1, 1, 1]])
    inputs = (ids, kinds, *tables, mask, *scales, *zeros)
    without = [None if place in (1, 4, 7, 10, 15) else one for place, one in enumerate(inputs)]
    return [
        Case("QEmbedLayerNormalization", inputs, {"epsilon": 1e-5}, ("y", "kept"), close=1e-5),
        Case("QEmbedLayerNormalization", tuple(without), {"epsilon": 1e-5}, ("y", "kept"), close=1e-5),
    ]


def states() -> list[Case]:
    q, k, v = normal(2, 5, 16), normal(2, 5, 8, seed=1, scale=0.3), normal(2, 5, 8, seed=2)
    state, decay, beta = (
        normal(2, 2, 4, 4),
        -np.abs(normal(2, 5, 2)),
        np.abs(np.tanh(normal(2, 5, 2, seed=1))),
    )
    heads, two = {"q_num_heads": 4, "kv_num_heads": 2}, ("y", "state")
    rules = (("linear", ()), ("gated", (decay,)), ("delta", (None, beta)), ("gated_delta", (decay, beta)))
    made = [
        Case("LinearAttention", (q, k, v, state, *more), {**heads, "update_rule": rule}, two, close=1e-5)
        for rule, more in rules
    ]
    x, w = normal(2, 6, 7), normal(6, 1, 3)
    return [
        *made,
        Case("CausalConvWithState", (x, w), outputs=two),
        Case("CausalConvWithState", (x, w, normal(6), normal(2, 6, 2)), {"activation": "silu"}, two),
    ]


def lstms() -> list[Case]:
    """onnxruntime rounds what comes in to 8 bits, so results agree to about a hundredth."""
    x, each = normal(4, 2, 8), np.abs(normal(2, 16)) * np.float32(0.01) + np.float32(0.005)
    w, r = whole(1, 8, 16), whole(1, 4, 16, seed=1)
    s, z = np.float32([0.01]), np.uint8([128])
    three, both = ("y", "last", "cell"), {"hidden_size": 4, "direction": "bidirectional"}
    signed = [whole(2, size, 16, low=-128, high=128, dtype=np.int8) for size in (8, 4)]
    zeros = np.zeros((2, 16), np.int8)
    rest = (normal(2, 32), np.int32([4, 2]), normal(2, 2, 4), normal(2, 2, 4, seed=1), normal(2, 12))
    tables = (each, zeros, each[::-1].copy(), zeros)
    op = "DynamicQuantizeLSTM"
    return [
        Case(
            op,
            (x, w, r, *[None] * 5, s, z, s, z),
            {"hidden_size": 4},
            three,
            (1, 2, 8, 9, 10, 11),
            close=0.02,
        ),
        Case(op, (x, *signed, *rest, *tables), both, three, (1, 2, 8, 9, 10, 11), close=0.05),
    ]


def others() -> list[Case]:
    x = normal(2, 3, 8)
    listed = np.float32([2, 1, 1, 3, 4, 3])
    return [
        Case("GatedRMSNorm", (x, normal(8), normal(2, 3, 8, seed=1)), {"epsilon": 1e-3}),
        Case("GatedRMSNorm", (x, normal(4), normal(2, 3, 8, seed=1)), {"activation": "sigmoid"}),
        Case("ScaledSiLU", (x,), {"alpha": 1.5}),
        Case("ScaledSiLU", (x, number(-0.5))),
        Case("Unique", (listed,), outputs=("y", "places", "counts")),
    ]


def decoder_cases() -> list[Case]:
    """All of them."""
    parts = (
        group_queries,
        decoders,
        quantized_attention,
        mixtures,
        blocks,
        embeddings,
        states,
        lstms,
        others,
    )
    return [case for part in parts for case in part()]
