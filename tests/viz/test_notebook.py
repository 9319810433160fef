"""What notebooks show: well-formed, bounded whatever the size, and names as text."""

from __future__ import annotations

from html.parser import HTMLParser
from xml.etree import ElementTree

import graphflow as gf
from graphflow.ir.graph import Graph
from tests.viz.graphs import tangle, training
from tests.viz.test_repeats import tower


class Tags(HTMLParser):
    """Collects tags; the ones without an end are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags(text: str) -> set[str]:
    parser = Tags()
    parser.feed(text)
    assert parser.open == []
    return parser.seen


def test_graphs_and_programs_are_pictures() -> None:
    y = tower(6)
    assert ElementTree.fromstring(y.graph._repr_svg_()).tag == "{http://www.w3.org/2000/svg}svg"
    report = gf.Session(y.graph, backend="numpy").explain(y)
    assert report.optimized._repr_svg_().startswith("<svg")


def test_they_are_bounded() -> None:
    with Graph():
        flat = tangle(4000)
    assert len(flat.graph._repr_svg_()) < 150_000
    assert len(flat._repr_html_()) < 10_000


def test_a_tensor_is_a_tree_in_which_names_are_text() -> None:
    y = gf.exp(gf.placeholder("x", (2,)), name="<script>alert(1)</script>&")
    shown = y._repr_html_()
    assert tags(shown) == {"b", "pre"} and "&lt;script&gt;" in shown


def test_a_model_has_a_table_and_a_picture() -> None:
    x = gf.placeholder("x", ("batch", 4))
    model = gf.Model(inputs=[x], outputs={"y": gf.layers.dense(x, 3)})
    assert {"table", "svg", "p"} <= tags(model._repr_html_())
    assert model.summary().total.parameters == 15


def test_reports_are_tables() -> None:
    fetches = training(3)
    sess = gf.Session(backend="numpy")
    shown = sess.explain(fetches)._repr_html_()
    assert {"table", "p"} <= tags(shown) and "as built" in shown and len(shown) < 30_000
    ElementTree.fromstring(sess.memory(fetches, sizes={"batch": 4})._repr_svg_())


def test_a_large_memory_plan_shows_its_largest_buffers() -> None:
    with Graph():
        y = tangle(2500)
    report = gf.Session(y.graph, backend="numpy", level="O0").memory(y)
    from graphflow.optimizer.memory.picture import memory_svg

    plan = report.plan
    whole = memory_svg(plan.buffers(), plan.allocation())
    few = memory_svg(plan.buffers(), plan.allocation(), most=50)
    assert few.count('class="buffer"') == 50 < whole.count('class="buffer"')
    assert "the 50 largest are drawn" in few and "largest are drawn" not in whole
    assert report._repr_svg_().count('class="buffer"') <= 600
