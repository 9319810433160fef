"""Writing graphs as text: every value exactly, every name, and reading it back gives the same text."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow.errors import GraphError
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Dim, maximum, minimum
from graphflow.ir.dtypes import DTYPES
from graphflow.ir.graph import Graph, name_scope
from graphflow.ir.opdef import registry
from graphflow.ir.parse import parse_graph
from graphflow.ir.provenance import Origin
from graphflow.ir.text import float_text, print_graph, quoted
from graphflow.ir.verify import verify
from graphflow.ops import initializers
from graphflow.ops.declare import assign, constant, placeholder, training, variable
from graphflow.optimizer.program import extract
from tests.samples import all_samples


def round_trip(graph: Graph, **options: bool) -> tuple[str, Graph]:
    """The text, and the graph it gives, which prints the same."""
    arrays: dict[str, np.ndarray] = {}
    text = print_graph(graph, arrays, **options)
    again = parse_graph(text, arrays)
    collected: dict[str, np.ndarray] = {}
    assert print_graph(again, collected, **options) == text
    assert collected.keys() == arrays.keys()
    for name, array in arrays.items():
        assert collected[name].tobytes() == array.tobytes() and collected[name].dtype == array.dtype
    verify(again)
    return text, again


def test_a_small_graph_reads_like_a_program() -> None:
    with Graph("head") as g:
        x = placeholder("x", (Dim("batch", 1, 512), 3))
        w = variable("layer/w", (3, 2), initializer=initializers.uniform(-0.5, 0.5))
        with name_scope("layer"):
            y = registry["multiply"](x, 2.0, name="twice")
        g.outputs = [y, w]
    assert print_graph(g, origins=False) == (
        "graphflow-text 1\n"
        'graph "head" {\n'
        "  symbol batch in 1..512\n"
        "  %x: float32[batch, 3] = placeholder()\n"
        "  %layer/w: float32[3, 2] = variable(initializer=init.uniform(high=0x1p-1, low=-0x1p-1), "
        "trainable=true)\n"
        "  %layer/constant: float32[] = constant(value=float32[]{0x1p+1})\n"
        "  %layer/twice: float32[batch, 3] = multiply(%x, %layer/constant)\n"
        "  outputs %layer/twice, %layer/w\n"
        "}\n"
    )
    round_trip(g)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_floats_are_exact(value: float) -> None:
    text = float_text(value)
    back = float.fromhex(text)
    assert (math.isnan(value) and math.isnan(back)) or np.float64(back).tobytes() == np.float64(
        value
    ).tobytes()


AWKWARD = {
    "bool": [True, False],
    "uint": [0, 1],
    "int": [0, -1, 1],
    "float": [0.0, -0.0, 1.0, 1 / 3, float("nan"), float("inf"), float("-inf")],
    "complex": [0j, complex(-0.0, 1 / 3), complex(float("nan"), float("-inf"))],
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (64,), (65,)], ids=str)
def test_constants_of_every_dtype(dtype, shape) -> None:
    values = list(AWKWARD[dtype.kind])
    if dtype.is_integer:
        limits = np.iinfo(dtype.numpy)
        values += [int(limits.min), int(limits.max)]
    elif dtype.kind == "float":
        limits = ml_dtypes.finfo(dtype.numpy)
        values += [float(limits.max), float(limits.tiny), float(limits.smallest_subnormal)]
    size = math.prod(shape)
    with np.errstate(all="ignore"):
        array = np.array((values * (size // len(values) + 1))[:size], dtype=dtype.numpy).reshape(shape)
    with Graph() as g:
        constant(array, allow_nan=True, name="c")
    text, again = round_trip(g)
    back = again.nodes[0].attrs.value
    assert back.dtype == array.dtype and back.shape == shape
    is_nan = np.isnan(array.astype(np.complex128))
    kept = np.where(is_nan, np.zeros_like(array), array)
    assert np.where(is_nan, np.zeros_like(back), back).tobytes() == kept.tobytes()
    np.testing.assert_array_equal(np.isnan(back.astype(np.complex128)), is_nan)
    assert ("@weights" in text) == (size > 64)


def test_sixty_four_elements_are_the_most_inside_the_text() -> None:
    with Graph() as g:
        constant(np.zeros(64), name="small")
        constant(np.zeros(65), name="large")
        variable("w", initializer=np.ones(2))
    assert list(_arrays(g)) == ["large:value", "w"]
    assert '@weights["large:value"]' in print_graph(g)
    assert "init.value(array=float64[2]{0x1p+0, 0x1p+0})" in print_graph(g)


def _arrays(graph: Graph) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    print_graph(graph, arrays)
    return arrays


@pytest.mark.parametrize(
    "name",
    ["a", "0", "a/b.c-d", "ünïcode", "a,b=(c)", 'quote"s', "back\\slash", "%", "\u200b", "-"],
)
def test_odd_names(name: str) -> None:
    with Graph(name) as g:
        x = Builder(g, origin=Origin(f"/dir/{name}.py", 3, name)).constant(value=np.zeros(()), name=name)
        g.outputs = [x]
    _, again = round_trip(g)
    assert again.nodes[0].name == name and again.name == name
    assert again.nodes[0].origin == Origin(f"/dir/{name}.py", 3, name)


def test_text_is_utf8_whatever_the_names() -> None:
    with Graph("\U0001f600é") as g:
        constant(1.0, name="日本")
    assert print_graph(g).encode("utf-8").decode("utf-8") == print_graph(g)
    assert "日本" in print_graph(g) and "\U0001f600é" in print_graph(g)


@pytest.mark.parametrize("text", ["", "a", '"', "\\", "\n", "\x00", "\x7f", "\u200b", "\ud83d"])
def test_quoted_is_one_line_of_json(text: str) -> None:
    import json

    assert json.loads(quoted(text)) == text and len(quoted(text).splitlines()) == 1


def test_origins_keep_file_and_folder_and_can_be_left_out() -> None:
    with Graph() as g:
        for file in ("/a/train.py", "/b/train.py", "/a/net.py", "<stdin>"):
            Builder(g, origin=Origin(file, 7)).constant(value=np.zeros(()))
        Builder(g, origin=Origin("/a/net.py", 8, "Conv_3")).constant(value=np.zeros(()))
    text, again = round_trip(g)
    assert 'file "net.py" = "/a/net.py"' in text and '@ "net.py":8 "Conv_3"' in text
    assert [node.origin for node in again.nodes] == [node.origin for node in g.nodes]
    short, again = round_trip(g, folders=False)
    assert "/a/" not in short and again.nodes[0].origin == Origin("train.py", 7)
    bare, again = round_trip(g, origins=False)
    assert "@" not in bare and again.nodes[0].origin is None


def test_lineage_is_kept() -> None:
    with Graph() as g:
        b = Builder(g)
        b.lineage = ("fold batch norm", ("conv", 'b"n'))
        b.constant(value=np.zeros(()))
    text, again = round_trip(g)
    assert 'via "fold batch norm"("conv", "b\\"n")' in text
    assert again.nodes[0].lineage == g.nodes[0].lineage


SIZES = [
    Dim("n"),
    2 * Dim("n") + 1,
    (Dim("h") + 1) // 2,
    Dim("h") % 3,
    -(Dim("h") // 2) + 7,
    maximum(Dim("a"), Dim("b") - 1) * Dim("c"),
    minimum(4, Dim("a")),
    Dim("nan") * Dim("float32") + Dim("None"),
    Dim("größe") // Dim("max"),
    9 // Dim("n"),
]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_symbolic_sizes(size) -> None:
    with Graph() as g:
        x = placeholder("x", (size, 2))
        Builder(g).dimension(size=size, dtype=x.dtype)
    _, again = round_trip(g)
    assert again.nodes[0].outputs[0].shape == (size, 2)
    assert again.nodes[1].attrs["size"] == size


def test_a_deep_expression_of_sizes() -> None:
    size = Dim("h")
    for _ in range(150):
        size = (size + 1) // 2
    with Graph() as g:
        placeholder("x", (size,))
    _, again = round_trip(g)
    assert again.placeholders["x"].shape == (size,)


@given(st.data())
def test_random_sizes(data: st.DataObject) -> None:
    size = Dim("a")
    for _ in range(data.draw(st.integers(0, 8))):
        other = data.draw(st.sampled_from([1, 2, 7, Dim("a"), Dim("b", 1, 9)]))
        action = data.draw(st.sampled_from(["+", "-", "*", "//", "%", "max", "min", "neg"]))
        if not isinstance(size, Dim):
            break
        if action == "*" and isinstance(other, Dim) and len(size.terms) > 1:
            continue
        size = {
            "+": lambda size=size, other=other: size + other,
            "-": lambda size=size, other=other: size - other,
            "*": lambda size=size, other=other: size * other,
            "//": lambda size=size, other=other: size // other,
            "%": lambda size=size, other=other: size % other,
            "max": lambda size=size, other=other: maximum(size, other),
            "min": lambda size=size, other=other: minimum(size, other),
            "neg": lambda size=size: -size,
        }[action]()
    with Graph() as g:
        Builder(g).dimension(size=size, dtype=DTYPES[6])
    _, again = round_trip(g)
    assert again.nodes[0].attrs["size"] == size


def test_bounds_of_symbols_are_kept_whatever_other_graphs_say() -> None:
    with Graph() as first:
        placeholder("x", ("shared",))
    with Graph() as second:
        placeholder("x", (Dim("shared", 2, 8),))
    assert "symbol shared\n" in round_trip(first)[0]
    text, again = round_trip(second)
    assert "symbol shared in 2..8\n" in text
    assert again.placeholders["x"].shape[0].symbol.max == 8
    assert "symbol shared\n" in round_trip(first)[0]


def test_constraints_statistics_and_builtins() -> None:
    with Graph() as g:
        x, y = placeholder("x", ("n",)), placeholder("y", ("m",))
        total = registry["add"](x, y)
        registry["multiply"](x, y)
        mean = variable("mean", (3,))
        update = assign(mean, registry["multiply"](mean, 0.5))
        g.statistics.append((total, update.assigns[0]))
        flag = training()
    text, again = round_trip(g)
    assert "require n == m by %add\n" in text and "require n == m by %multiply\n" in text
    assert "statistics %add -> %assign_mean" in text
    assert [(left, right, node.name) for left, right, node in again.constraints] == [
        (left, right, node.name) for left, right, node in g.constraints
    ]
    assert again.builtins["training_flag"].name == flag.name
    assert again.statistics[0][1].inputs[0] is again.variables["mean"]


def test_programs_are_written_in_an_order_in_which_they_can_run() -> None:
    with Graph():
        x = placeholder("x", (2,))
        y = registry["add"](x, 1.0)
    program = extract([y], feeds=[x])
    program.nodes.reverse()
    _, again = round_trip(program)
    assert [node.op.name for node in again.nodes] == ["placeholder", "constant", "add"]


def test_initializers_of_every_kind() -> None:
    made = [
        initializers.zeros(), initializers.ones(), initializers.constant(0.1), initializers.constant(3),
        initializers.constant(float("nan")), initializers.uniform(-1.0, 2.0), initializers.normal(),
        initializers.truncated_normal(0.5, 0.25), initializers.glorot_uniform(),
        initializers.glorot_normal(2.0), initializers.he_uniform(), initializers.he_normal(),
        initializers.lecun_uniform(),
        initializers.lecun_normal(), initializers.orthogonal(), initializers.identity(-0.0),
        initializers.value(np.arange(9, dtype=np.float32).reshape(3, 3)),
    ]  # fmt: skip
    with Graph() as g:
        for index, initializer in enumerate(made):
            variable(f"v{index}", (3, 3), initializer)
    _, again = round_trip(g)
    assert [tensor.node.attrs.initializer for tensor in again.variables.values()] == made
    with Graph() as g:
        variable("truth", initializer=initializers.constant(True), shape=(2,), dtype=bool)
    round_trip(g)


@pytest.mark.parametrize("name", sorted(all_samples()))
def test_every_operator_round_trips(name: str) -> None:
    for index, one in enumerate(all_samples()[name]):
        with Graph(f"sample {index}") as g:
            inputs = [placeholder(f"x{i}", array.shape, array.dtype) for i, array in enumerate(one.inputs)]
            Builder(g).apply(registry[name], inputs, dict(one.attrs))
            g.outputs = list(g.nodes[-1].outputs)
        _, again = round_trip(g)
        assert [node.attrs.key for node in again.nodes] == [node.attrs.key for node in g.nodes]
        assert [t.type for node in again for t in node.outputs] == [
            t.type for node in g for t in node.outputs
        ]


def test_a_graph_that_is_no_body_has_no_text_form_as_an_attribute() -> None:
    with Graph() as g:
        x = placeholder("x", ())
    x.node.attrs = type(x.node.attrs)(x.node.attrs, body=Graph("inner"))
    with pytest.raises(GraphError, match="has no text form"):
        print_graph(g)


def test_printing_is_linear_in_nodes() -> None:
    """A long chain is printed and read without recursion."""
    with Graph() as g:
        x = placeholder("x", ("n",))
        b = Builder(g, origin=Origin("f.py", 1))
        for _ in range(3000):
            x = b.add(x, x)
    text, again = round_trip(g)
    assert text.count("\n") == 3000 + 6 and len(again.nodes) == 3001
