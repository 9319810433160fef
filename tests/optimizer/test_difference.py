"""The difference of graphs: what corresponds to what, what changed, and the page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import GraphError
from graphflow.ops.normalization import batch_normalization
from graphflow.optimizer.difference import Difference
from graphflow.prove import diff


def net(scale: float = 2.0, axis: int = 0, extra: bool = False, name: str = "y") -> gf.Tensor:
    with gf.Graph("net"):
        x = gf.placeholder("x", ("batch", 4))
        y = gf.sum(gf.exp(x * scale), axis=axis, name=name)
        return gf.sin(y) if extra else y


def kinds(found: Difference) -> dict[str, int]:
    return {kind: number for kind, number in found.counts().items() if number}


def test_a_graph_is_the_same_as_itself_and_its_text() -> None:
    graph = net().graph
    assert diff(graph, graph).same and kinds(diff(graph, graph)) == {"same": 5}
    assert diff(graph, gf.parse_graph(gf.print_graph(graph))).same
    assert str(diff(graph, graph)).endswith("5 same")


def test_names_alone_make_no_difference() -> None:
    found = diff(net(), net(name="z"))
    assert found.same and kinds(found) == {"same": 4, "renamed": 1}


def test_attributes_types_and_operators_are_named() -> None:
    (value,) = [change for change in diff(net(), net(scale=3.0)).changes if change.kind != "same"]
    assert value.what == ("value 2.0 -> 3.0",) and value.origin.startswith("test_difference.py:")
    (axis,) = [change for change in diff(net(), net(axis=1)).changes if change.kind != "same"]
    assert axis.what == ("type float32[4] -> float32[batch]", "axis (0,) -> (1,)")


def test_what_is_only_on_one_side() -> None:
    found = diff(net(), net(extra=True))
    assert kinds(found) == {"same": 5, "added": 1} and not found.same
    assert "\n+ sin = sin(y) : float32[4]" in str(found)
    assert "\n- sin = sin(y) : float32[4]" in str(diff(net(extra=True), net()))


def test_operands_may_be_exchanged_only_where_that_is_allowed() -> None:
    def pair(op: object, swapped: bool) -> gf.Tensor:
        with gf.Graph():
            x, y = gf.placeholder("x", (2,)), gf.placeholder("y", (2,))
            return op(y, x, name="z") if swapped else op(x, y, name="z")

    assert diff(pair(gf.add, False), pair(gf.add, True)).same
    found = diff(pair(gf.subtract, False), pair(gf.subtract, True))
    assert not found.same and found.changes[-1].what == ("inputs",)


def test_the_optimizer_is_followed_by_lineage() -> None:
    x = gf.placeholder("x", (3, 4))
    model = gf.Model(inputs=[x], outputs={"y": gf.log(gf.nn.softmax(x * 1.0))})
    found = diff(model, gf.optimize(model))
    (changed,) = [change for change in found.changes if change.rule]
    assert changed.rule == "log_of_softmax" and changed.what[0] == "operator log -> log_softmax"
    assert kinds(found) == {"same": 1, "changed": 1, "removed": 3}


def test_bodies_are_compared_inside() -> None:
    def loop(scale: float) -> gf.Tensor:
        with gf.Graph():
            return gf.map(lambda z: gf.exp(z * scale), gf.placeholder("x", (3,)))

    found = diff(loop(1.0), loop(2.0))
    inside = [change for change in found.changes if change.path]
    assert any(change.what == ("value 1.0 -> 2.0",) for change in inside)
    assert {change.path.partition(":")[2] for change in inside} == {"body/"}


def test_weights_and_outputs_count() -> None:
    def model(weight: float, both: bool) -> gf.Model:
        with gf.Graph("m"):
            x = gf.placeholder("x", (2,))
            w = gf.variable("w", initializer=np.full((2,), weight, np.float32))
            y = x * w
            return gf.Model(inputs=[x], outputs={"y": y, "z": gf.exp(y)} if both else {"z": gf.exp(y)})

    assert diff(model(1.0, True), model(1.0, True)).same
    assert not diff(model(1.0, True), model(2.0, True)).same
    assert diff(model(1.0, True), model(1.0, False)).outputs == (
        "there are 2 outputs on the left and 1 on the right",
    )


def test_long_graphs_are_compared_without_recursion() -> None:
    def chain(length: int) -> gf.Tensor:
        with gf.Graph():
            x = gf.placeholder("x", (2,))
            for _ in range(length):
                x = gf.sin(x)
            return x

    assert kinds(diff(chain(3000), chain(3001))) == {"same": 3001, "added": 1}


class Page(HTMLParser):
    """Collects tags, and fails for what is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict]] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    found = diff(net(name="<b>&amp;"), net(scale=3.0, extra=True, name="<b>&amp;"))
    path = found.save_html(tmp_path / "d.html")
    text = Path(path).read_text("utf-8")
    page = Page()
    page.feed(text)
    assert page.open == [] and "<b>&amp;" not in text.replace("&lt;b&gt;", "")
    assert not any("src" in attrs or "href" in attrs for _, attrs in page.seen)
    assert "http" not in text and "url(" not in text and "@import" not in text
    assert text.count('class="second added"') == 1


def test_long_runs_are_folded_away(tmp_path: Path) -> None:
    with gf.Graph():
        x = gf.placeholder("x", (2,))
        for _ in range(30):
            x = gf.sin(x)
        longer = gf.cos(x)
    text = Path(diff(x, longer).save_html(tmp_path / "d.html")).read_text("utf-8")
    assert "<summary>28 equal nodes</summary>" in text


def test_the_difference_is_json() -> None:
    data = json.loads(json.dumps(diff(net(), net(scale=3.0)).to_dict()))
    assert data["counts"]["changed"] == 1 and len(data["changes"]) == 1 and data["same"] is False


@pytest.mark.parametrize("wrong", [None, 3, "text", [], [1]])
def test_only_graphs_can_be_compared(wrong: object) -> None:
    with pytest.raises(GraphError, match="is no graph"):
        diff(wrong, net())


def test_what_stands_for_a_node_is_what_gives_its_value_and_no_part_of_that() -> None:
    with gf.Graph("net"):
        x, w = gf.placeholder("x", (2, 3, 8, 8)), gf.constant(np.ones((4, 3, 3, 3), np.float32))
        c = gf.constant(np.arange(4, dtype=np.float32) + 1)
        model = gf.Model(
            inputs=[x], outputs={"y": batch_normalization(gf.nn.conv(x, w), c, c, c, c, name="y")}
        )
    (said,) = [
        change for change in diff(model, gf.optimize(model)).changes if change.before.startswith("y =")
    ]
    assert said.what[0] == "operator batch_normalization -> add" and said.after.endswith(
        ": float32[2, 4, 6, 6]"
    )
