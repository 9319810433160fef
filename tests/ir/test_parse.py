"""Reading the text form: every fault is a ParseError that points at its place; hostile text stays text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graphflow.errors import GraphFlowError, ParseError
from graphflow.ir.dims import Dim
from graphflow.ir.graph import Graph, name_scope
from graphflow.ir.opdef import registry
from graphflow.ir.parse import parse_graph
from graphflow.ir.text import print_graph
from graphflow.ir.tokens import Line
from graphflow.ir.verify import verify
from graphflow.ops import initializers
from graphflow.ops.declare import assign, constant, placeholder, training, variable


def graph_text(*body: str) -> str:
    return "\n".join(["graphflow-text 1", 'graph "g" {', *body, "}", ""])


def refused(text: str, arrays: dict | None = None) -> str:
    with pytest.raises(ParseError) as caught:
        parse_graph(text, arrays)
    assert caught.value.hint, "an error says what to do"
    return caught.value.message


X = "%x: float32[2] = placeholder()"


def test_what_a_person_may_write() -> None:
    g = parse_graph(
        """
        graphflow-text 1

        graph "by hand" {   # a comment
          symbol n in 1..
          %x : float32 [ 2*n+1 , 3 ]=placeholder( )
          %half: float32[] = constant(value=float32[]{0.5})
          %y: float32[1 + n*2, 3] = multiply(%x, %half:0) @ "f.py":3
          outputs %y
        }
        """.strip("\n")
    )
    assert g.name == "by hand"
    assert g.outputs[0].shape == (2 * Dim("n") + 1, 3)
    assert g.nodes[1].attrs.value == 0.5
    assert g.nodes[2].origin.line == 3


def test_the_attributes_of_the_written_type() -> None:
    g = parse_graph(graph_text("symbol n", "%x: int8[n, 4] = placeholder()"))
    assert g.nodes[0].attrs["shape"] == (Dim("n"), 4) and g.nodes[0].attrs["dtype"].name == "int8"


def test_names_stay_unique_after_reading() -> None:
    g = parse_graph(graph_text(X, "%add: float32[2] = add(%x, %x)"))
    with g:
        assert registry["add"](g.placeholders["x"], g.placeholders["x"]).name == "add_1:0"
        with pytest.raises(GraphFlowError, match="taken"):
            placeholder("x", (2,))


def test_an_error_shows_line_column_and_mark() -> None:
    with pytest.raises(ParseError) as caught:
        parse_graph(graph_text(X, "  %y: float32[2] = add(%x, %z)"))
    assert caught.value.message == (
        "line 4, column 30: there is no node 'z' above this line\n"
        "      %y: float32[2] = add(%x, %z)\n"
        "                                 ^"
    )


def test_a_long_line_is_cut_around_the_fault() -> None:
    message = refused(graph_text(X, "%y: float32[2] = add(" + "%x, " * 500 + "!)"))
    shown, mark = message.splitlines()[1:]
    assert len(shown) <= 104 and shown[mark.index("^")] == "!"


WRONG = {
    "": "empty",
    "\n\n": "empty",
    "graphflow-text 2\n": "version 1",
    "graphflow-text": "version",
    "graph": "expected 'graphflow'",
    "graphflow-text 1\n": "no graph",
    "graphflow-text 1\nnonsense": "expected file",
    'graphflow-text 1\ngraph "g" {': "closing",
    'graphflow-text 1\ngraph "g" {\n}\nmore': "end after the graph",
    'graphflow-text 1\ngraph "g {\n}': "means nothing",
    'graphflow-text 1\ngraph "\\q" {\n}': "escape",
    'graphflow-text 1\ngraph "g" {}': "should end",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_wrong_frames(text: str) -> None:
    assert WRONG[text] in refused(text)


BAD_LINES = {
    "nonsense": "expected a node",
    "%x: float32[2] = placeholder": "expected '('",
    "%x: float31[2] = placeholder()": "element type",
    "%x: float32[-2] = placeholder()": "cannot be -2",
    "%x: float32[n] = placeholder()": "not declared",
    "%x: float32[1 // 0] = placeholder()": "divided by zero",
    "%x: float32[99999999999999999999] = placeholder()": "the most is",
    "%x: float32[9223372036854775807 * 2] = placeholder()": "64 bits",
    "%x: float32[(1] = placeholder()": "expected ')'",
    "%x: float32[1)] = placeholder()": "expected ','",
    "%x: float32[max(1)] = placeholder()": "takes two",
    "%x: float32[max(1, 2, 3)] = placeholder()": "expected ')'",
    "%x: float32[(1, 2)] = placeholder()": "expected ')'",
    "%x: float32[1 +] = placeholder()": "expected a size",
    "%x: float32[" + "(" * 1001 + "1": "more than 1000 parts",
    "%x: float32[" + "1, " * 70 + "1] = placeholder()": "at most 64 axes",
    "%x: float32[2] = placeholders()": "no operator",
    "%x: float32[2] = placeholder@2()": "has version 1 here, not version 2",
    "%x: float32[2] = placeholder(%x)": "no node 'x' above",
    "%x: float32[2] = placeholder(color=1)": "no argument 'color'",
    "%x: float32[2] = placeholder(shape=[3])": "recorded as float32[2]",
    '%x: float32[2] = placeholder(shape="[3]")': "cannot name a size",
    "%x: float32[2] = placeholder() trailing": "should end before 'trailing'",
    '%x: float32[2] = placeholder() @ "f.py"': "expected ':'",
    "%x: float32[2] = placeholder() @ f.py:1": "in double quotes",
    "%x: (float32[2], float32[2]) = placeholder()": "needs the argument 'dtype'",
    "%v: float32[2] = variable(trainable=true)": "needs the argument 'initializer'",
    "%v: float32[2] = variable(initializer=3, trainable=true)": "starts from an initializer",
    "%v: float32[2] = variable(initializer=init.nothing(), trainable=true)": "no initializer 'nothing'",
    "%v: float32[2] = variable(initializer=init.uniform(low=1.0, high=0.0), trainable=true)": "low <= high",
    "%v: float32[2] = variable(initializer=init.uniform(gain=1.0), trainable=true)": "cannot be made",
    "%v: float32[2] = variable(initializer=os.system(), trainable=true)": "no records 'os'",
    "%v: int8[2] = variable(initializer=init.value(array=int8[3]{0, 0, 0}), trainable=true)": "shape [3]",
    "%v: int8[2] = variable(initializer=init.glorot_uniform(gain=1.0), trainable=true)": "dtype int8",
    "%c: float32[] = constant(value=float32[]{})": "has 1 elements, but there are 0",
    "%c: float32[] = constant(value=float32[1]{1.0})": "recorded as float32[]",
    "%c: float32[] = constant(value=float32[]{x})": "expected a number",
    "%c: float32[] = constant(value=float32[]{0.1})": "not a value of float32",
    "%c: float32[] = constant(value=float32[]{0x1p+999999999999})": "is not a float",
    "%c: bfloat16[] = constant(value=bfloat16[]{0x1.01p+0})": "not a value of bfloat16",
    "%c: int8[] = constant(value=int8[]{300})": "do not make int8[]",
    "%c: uint8[] = constant(value=uint8[]{-1})": "do not make uint8[]",
    "%c: bool[] = constant(value=bool[]{1})": "true or false",
    "%c: float32[0, 99999999999999999] = constant(value=float32[0, 9223372036854775807]{})": "",
    '%c: float32[100] = constant(value=float32[100]@weights["big"])': "was not given",
    "%c: float32[100] = constant(value=float32[100]@weights[big])": "was not given",
    "%c: float32[] = constant(value=3)": "a constant is an array",
    "%c: float32[] = constant(value=[[[[1]]]])": "a constant is an array",
    "%c: float32[] = constant(value=" + "[" * 70 + "]" * 70 + ")": "nested more than 64",
    "%c: float32[] = constant(value=" + "1" * 5000 + ")": "too many digits",
    "%c: float32[] = constant(value=graph {": "the symbol 'graph' is not declared",
    '%c: float32[] = constant(value=graph "b" { 1': "the line should end",
    "%c: float32[] = constant(value=1, value=2)": "given twice",
    '%"": float32[] = constant(value=float32[]{1.0})': "cannot name a node",
    "symbol n in 5..2": "cannot lie between",
    "symbol": "name of a symbol",
    "symbol " + "n" * 300: "name of a symbol",
    "outputs %y": "no node 'y'",
    "statistics %y -> %z": "no node 'y'",
    "require 1 == 2": "expected 'by'",
}


@pytest.mark.parametrize("line", BAD_LINES, ids=range(len(BAD_LINES)))
def test_wrong_lines(line: str) -> None:
    message = refused(graph_text(line))
    assert message.startswith("line 3, column ")
    assert BAD_LINES[line] in message


def test_what_is_wrong_only_beside_other_lines() -> None:
    y = "%y: float32[2] = add(%x, %x)"
    assert "taken" in refused(graph_text(X, X))
    assert "declared twice" in refused(graph_text("symbol n", "symbol n in 1..2"))
    assert "recorded as float32[3]" in refused(graph_text(X, "%y: float32[3] = add(%x, %x)"))
    assert "1 inputs" in refused(graph_text(X, "%y: float32[2] = add(%x)"))
    assert "no output 1" in refused(graph_text(X, y, "outputs %y:1"))
    assert "dtypes float32, int8" in refused(
        graph_text(X, "%i: int8[2] = placeholder()", y.replace("%x)", "%i)"))
    )
    assert "statistic" in refused(graph_text(X, y, "statistics %x -> %y"))
    assert "no node 'y' above" in refused(graph_text(X, "%z: float32[2] = add(%x, %y)", y))
    with pytest.raises(ParseError, match="should be float32"):
        parse_graph(
            graph_text('%c: float32[100] = constant(value=float32[100]@weights["c"])'),
            {"c": np.zeros(100, np.int8)},
        )
    with pytest.raises(ParseError, match="not bytes"):
        parse_graph(b"graphflow-text 1")


def test_sizes_taken_to_be_equal_are_always_among_the_constraints() -> None:
    """A text cannot hide the assumption that a node makes, so a session still checks it."""
    lines = ["symbol m", "symbol n", "%x: float32[n] = placeholder()", "%y: float32[m] = placeholder()"]
    g = parse_graph(graph_text(*lines, "%z: float32[n] = add(%x, %y)"))
    assert [(left, right, node.name) for left, right, node in g.constraints] == [(Dim("n"), Dim("m"), "z")]
    g = parse_graph(graph_text(*lines, "%z: float32[m] = add(%x, %y)", "require n == m by %z"))
    assert g.nodes[-1].outputs[0].shape == (Dim("m"),) and len(g.constraints) == 1
    assert "recorded as float32[m]" in refused(graph_text(*lines, "%z: float32[m] = add(%x, %y)"))


def test_products_of_sums_are_refused_as_they_would_explode() -> None:
    factors = "*".join(["(a + b + c + 1)"] * 40)
    text = graph_text("symbol a", "symbol b", "symbol c", f"%x: float32[{factors}] = placeholder()")
    assert "multiplied" in refused(text)


def test_long_and_deep_texts_take_linear_time() -> None:
    """Twice the text takes twice the tokens, whatever is nested in it; nothing recurses."""
    for body in ("(" * 100_000, "[" * 100_000, "-" * 100_000, "1+" * 100_000, "init." * 100_000):
        refused(graph_text(f"%x: float32[2] = placeholder(shape={body}"))
        refused(graph_text(f"%x: float32[{body}"))


def test_the_example_of_the_manual_is_what_is_printed() -> None:
    manual = Path(__file__).parents[2] / "docs" / "text-form.md"
    shown = manual.read_text("utf-8").split("```\n")[1]
    assert print_graph(parse_graph(shown)) == shown


def test_every_token_is_read_once() -> None:
    line = Line("  %a: (float32[n], int8[]) = f(x=-0x1.8p-3, y='nan' % 2) # end", 1)
    kinds = []
    while line.kind != "end":
        kinds.append(line.kind)
        line.advance()
    assert " ".join(kinds) == (
        "node sign sign word sign word sign sign word sign sign sign sign "
        "word sign word sign sign float sign word sign symbol sign int sign"
    )


# Fuzzing


def sample_graph() -> Graph:
    with Graph("sample") as g:
        x = placeholder("x", (Dim("batch", 1, 64), (Dim("h") + 1) // 2))
        y = placeholder("y/odd-name", ("n", "m"))
        w = variable("w", (2, 3))
        v = variable("v", initializer=np.array([0.5, np.nan]))
        with name_scope("scope"):
            z = registry["add"](x, y, name='strange"name')
            registry["multiply"](w, constant([1.0, 2.0, 3.0]))
        c = constant(np.arange(80), name="big")
        constant(np.array([1 + 2j]))
        variable("u", (4, 4), initializers.uniform(-1.0, 1.0))
        flag = training()
        update = assign(v, v)
        g.statistics.append((z, update.assigns[0]))
        g.outputs = [z, c, flag]
    return g


ARRAYS: dict[str, np.ndarray] = {}
TEXT = print_graph(sample_graph(), ARRAYS)
PIECES = [
    "", " ", "\n", "0", "-", "-1", "(", ")", "[", "]", "{", "}", ",", "%", "%x", ":", "=", '"', "'", "\\",
    "nan", "inf", "99999999999999999999", "0x1p+9999", "max(", "//", "None", "true", "float32", "int8[2]",
    "symbol ", "init.", "@", "@weights[", "..", "graph", "\x00", "\ud800", "é", "add", "batch", "e",
    ".", "#", "via ", "*",
]  # fmt: skip


def check(text: str) -> None:
    """Either the text is refused, or it is a graph that verifies and prints stably."""
    try:
        g = parse_graph(text, ARRAYS)
    except GraphFlowError as error:
        assert str(error)
        return
    verify(g)
    arrays: dict[str, np.ndarray] = {}
    once = print_graph(g, arrays)
    again: dict[str, np.ndarray] = {}
    assert print_graph(parse_graph(once, arrays), again) == once


def test_the_sample_itself_is_valid() -> None:
    arrays: dict[str, np.ndarray] = {}
    assert print_graph(parse_graph(TEXT, ARRAYS), arrays) == TEXT and arrays.keys() == ARRAYS.keys()


@given(
    st.lists(st.tuples(st.integers(0, len(TEXT)), st.integers(0, 30), st.sampled_from(PIECES)), max_size=4)
)
def test_mutated_texts_are_refused_or_valid(edits: list[tuple[int, int, str]]) -> None:
    text = TEXT
    for place, length, piece in edits:
        text = text[:place] + piece + text[place + length :]
    check(text)


def test_many_small_mutations(rng: np.random.Generator) -> None:
    for _ in range(400):
        place, length = int(rng.integers(len(TEXT))), int(rng.integers(4))
        piece = PIECES[int(rng.integers(len(PIECES)))]
        check(TEXT[:place] + piece + TEXT[place + length :])


def test_swapped_values_are_refused_or_valid(rng: np.random.Generator) -> None:
    """Values of the wrong kind in the right places reach every operator's inference."""
    from graphflow.ir.builder import Builder
    from tests.samples import all_samples

    values = [
        "None",
        "true",
        "-1",
        "7",
        "0x1p-1",
        "nan",
        '"s"',
        "[]",
        "[0]",
        "[0, 0]",
        "[[1, 2]]",
        "int8",
        "n",
    ]
    for name, samples in sorted(all_samples().items()):
        with Graph() as g:
            inputs = [placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(samples[0].inputs)]
            Builder(g).apply(registry[name], inputs, dict(samples[0].attrs))
        text = print_graph(g, origins=False).replace("{\n", "{\n  symbol n\n", 1)
        line = text.splitlines()[-2]
        starts = [place for place, c in enumerate(line) if c == "=" and place > line.find("(")]
        for start in starts:
            end = min([place for place in (line.find(", ", start), line.rfind(")")) if place > 0])
            value = values[int(rng.integers(len(values)))]
            check(text.replace(line, line[: start + 1] + value + line[end:]))


@given(st.text(max_size=60))
@example('graphflow-text 1\ngraph "g" {\n}\n')
def test_any_text_is_refused_or_valid(text: str) -> None:
    check(text)


BODY = """graphflow-text 1
graph "loop" {
  symbol n
  %x: float32[n] = placeholder()
  %start: float32[] = constant(value=float32[]{0x0p+0})
  %scan: (float32[], float32[n]) = scan(%start, %x, body=graph "step" {
    %carry: float32[] = placeholder()
    %x: float32[] = placeholder()
    %add: float32[] = add(%carry, %x)
    outputs %add, %carry
  }, carries=1, length=n, reverse=false, sequences=1)
  outputs %scan:0
}
"""


def test_a_graph_as_an_attribute() -> None:
    g = parse_graph(BODY)
    assert print_graph(g) == BODY
    body = g.find("scan").attrs.body
    assert body.frozen and [tensor.node.name for tensor in body.parameters] == ["carry", "x"]
    verify(g)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("%add: float32[]", "%add: float32[2]", "recorded as float32[2]"),
        ("add(%carry, %x)", "add(%carry, %start)", "no node 'start'"),
        ("outputs %add, %carry\n", "outputs %add\n", "inference gives 1"),
        ("    outputs %add, %carry\n", "", "gives 0 results"),
        ("  }, carries=1", "  carries=1", "expected"),
        ("%x: float32[] = placeholder()", "%x: int8[] = placeholder()", "dtypes"),
        ("sequences=1", "sequences=2", "operands"),
        ("  outputs %scan:0\n}\n", "", "the text ends before"),
    ],
)
def test_wrong_bodies(old: str, new: str, message: str) -> None:
    assert message in refused(BODY.replace(old, new))


def test_bodies_nested_too_deep() -> None:
    start = '%c: float32[] = call(body=graph "b" {\n' * 70
    assert "nested more than 64 deep" in refused(graph_text(*start.split("\n")))


def test_arrays_in_bodies_are_kept_apart_by_their_path() -> None:
    import graphflow as gf

    with Graph("g") as g:
        x = placeholder("x", (100,))
        g.outputs = [gf.cond(True, lambda: x + np.ones(2000, np.float32)[:100], lambda: x)]
    arrays: dict[str, np.ndarray] = {}
    text = print_graph(g, arrays)
    assert list(arrays) == ["cond:branches.1/cond/constant:value"]
    assert print_graph(parse_graph(text, arrays), {}) == text
