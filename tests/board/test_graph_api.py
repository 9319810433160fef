"""What the board answers about graphs, journals, memory, profiles, chips and nodes, and to hostile files."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from graphflow.board import graph_tree, plan_view, server, side_cache
from graphflow.board.chip_view import ChipView
from graphflow.board.graph_groups import WIDE
from graphflow.board.graph_layout import lay_out_tree
from graphflow.board.graph_text import short_type
from graphflow.board.graph_tree import Tree
from graphflow.board.graph_view import MOST_BOXES, GraphView
from graphflow.board.journal_view import JournalView
from graphflow.board.plan_view import memory_view, profile_view
from graphflow.board.security import own_hosts
from graphflow.board.store import LogDirectory, side
from graphflow.errors import FileFormatError, GraphFlowError
from graphflow.runtime.bm1684 import bmodel
from tests.board.fuzz_graph import fuzz
from tests.board.graph_logs import chain, node, write_graph_logs, write_side
from tests.board.logs import HOSTILE

TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_graph_logs(tmp_path_factory.mktemp("graphs"))


def opened(log: LogDirectory) -> TestClient:
    app = server.application(log, own_hosts("127.0.0.1", 6060), TOKEN)
    made = TestClient(app, base_url="http://127.0.0.1:6060", raise_server_exceptions=False)
    assert made.get("/", params={"token": TOKEN}).status_code == 200
    return made


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with LogDirectory(folder, index=None, refresh=0) as log:
        log.refresh()
        yield opened(log)


def asked(client: TestClient, path: str, status: int = 200, **params: Any) -> Any:
    answer = client.get(f"/api/{path}", params=params)
    assert answer.status_code == status, answer.text[:500]
    return answer.json()


# Views of graphs


def test_info_names_what_there_is(client: TestClient) -> None:
    found = asked(client, "info")
    assert found["graphs"] == ["good", "odd"] and found["chips"] == ["good"]
    assert {"graph", "memory", "profile", "chip"} <= set(found["pages"])


def test_a_view_has_collapsed_scopes_and_bundled_edges(client: TestClient) -> None:
    view = asked(client, "graph", run="good", open="[]")
    by_key = {box["key"]: box for box in view["boxes"]}
    assert by_key["run:0:"]["times"] == 5 and by_key["run:0:"]["title"] == "layer0 … layer4"
    assert sum(box["nodes"] for box in view["boxes"]) == view["nodes"]
    names = {number: box["key"] for number, box in enumerate(view["boxes"])}
    arrows = {(names[one["from"]], names[one["to"]]): one for one in view["arrows"]}
    assert arrows["node:x", "run:0:"]["label"] == "f32 4×8"
    # every edge between boxes is in one arrow
    assert sum(one["count"] for one in view["arrows"]) <= view["edges"]


def test_opening_a_scope_shows_what_is_inside_and_sums_stay(client: TestClient) -> None:
    closed = asked(client, "graph", run="good", open="[]")
    view = asked(client, "graph", run="good", open=json.dumps(["run:0:", "layer1/"]))
    boxes = {box["key"]: box for box in view["boxes"]}
    assert view["open"] == ["run:0:", "layer1/"] and boxes["layer1/"]["open"]
    inside = [box for box in view["boxes"] if box["parent"] == list(boxes).index("layer1/")]
    assert {box["op"] for box in inside} >= {"matmul", "tanh", "variable"}
    x, y, width, height = boxes["layer1/"]["rect"]
    for box in inside:
        left, top, wide, high = box["rect"]
        assert x <= left and left + wide <= x + width and y <= top and top + high <= y + height
    assert sum(box["flops"] for box in inside) == boxes["layer1/"]["flops"]
    assert view["totals"] == closed["totals"]


def test_revealing_opens_the_scopes_around(client: TestClient) -> None:
    view = asked(client, "graph", run="good", open="[]", reveal="layer2/matmul")
    assert set(view["open"]) == {"run:0:", "layer2/"}
    assert view["boxes"][view["revealed"]]["name"] == "layer2/matmul"
    assert asked(client, "graph", run="good", open="[]", reveal="layer9/none")["revealed"] == -1
    assert "no node" in asked(client, "graph/trace", 404, run="good", node="layer9/none")["error"]


def test_trace_counts_what_a_node_depends_on(client: TestClient) -> None:
    found = asked(client, "graph/trace", run="good", node="layer1/w", direction="outputs", open='["run:0:"]')
    assert "layer0/" not in found["items"] and found["items"]["layer2/"] > 0
    before = asked(client, "graph/trace", run="good", node="layer1/w", direction="inputs", open='["run:0:"]')
    assert before["nodes"] == 0


def test_names_and_bad_parameters(client: TestClient) -> None:
    found = asked(client, "graph/names", run="good")
    assert "layer0/w" in found["names"] and found["left_out"] == 0
    assert len(found["names"]) == len(found["ops"])
    for open_ in ("{", "[1]", "3", '{"a": 1}', "[" * 5000):
        asked(client, "graph", 400, run="good", open=open_)
    assert asked(client, "graph", run="good", open='["no such", "", "node:x"]')["open"] == []
    asked(client, "graph", 400)
    asked(client, "graph", 404, run="nowhere")
    asked(client, "graph", 400, run="good", position="1", shown="sideways")


def test_twenty_thousand_nodes_are_few_boxes() -> None:
    view = GraphView(chain(20_000, scopes=50))
    seen = view.view(None)
    assert seen["nodes"] == 20_000 and len(seen["boxes"]) <= 60
    revealed = view.view([], "scope7/n3000")
    assert len(revealed["boxes"]) < 200 and revealed["boxes"][revealed["revealed"]]["name"] == "scope7/n3000"
    assert len(json.dumps(revealed)) < 200_000
    flat = GraphView(chain(20_000)).view(None)
    assert (
        len(flat["boxes"]) <= 2 * WIDE
        and sum(box["nodes"] for box in flat["boxes"] if not box.get("open")) == 20_000
    )


def test_no_scope_shows_more_than_can_be_read() -> None:
    tree = Tree([node("hub"), *[node(f"a/n{number}", "hub") for number in range(5000)]])
    assert max(len(item.children) for item in tree.items) <= WIDE
    everything = {place for place, item in enumerate(tree.items) if item.node < 0}
    opened_keys = [tree.items[place].key for place in everything]
    view = GraphView(tree.records).view(opened_keys)
    assert len(view["boxes"]) <= MOST_BOXES and view["left_closed"] > 0


def test_groups_hang_together_and_alike_ones_are_one() -> None:
    records = [node("rate")]
    for number in range(20):
        steps = [f"u/{letter}{number}" for letter in "abcd"]
        records += [node(name, source) for name, source in zip(steps, ["rate", *steps])]
    tree = Tree(records)
    groups = [item for item in tree.items if item.kind == "group"]
    assert len(groups) == 20 and {item.high - item.low for item in groups} == {4}
    assert not any(item.kind == "part" for item in tree.items)


def test_arrows_follow_an_edge_through_open_scopes() -> None:
    tree = Tree([node("a/b/x"), node("c/y", "a/b/x")])
    places = {item.key: place for place, item in enumerate(tree.items)}
    scene = lay_out_tree(tree, {places["a/"], places["a/b/"], places["c/"]})
    ways = {(arrow.segment.source, arrow.segment.target) for arrow in scene.arrows}
    x, y = places["node:a/b/x"], places["node:c/y"]
    assert ways == {(places["a/"], places["c/"]), (places["a/b/"], -1), (x, -1), (-1, y)}
    crossing = next(arrow for arrow in scene.arrows if arrow.segment.port is None)
    inner = next(arrow for arrow in scene.arrows if arrow.segment.target == y)
    assert crossing.points[-1] == pytest.approx(inner.points[0])


def test_cycles_loops_and_unknown_inputs_are_drawn() -> None:
    records = [
        node("a", "b"),
        node("b", "a", "b", "nothing", ":", "a:99999999"),
        node("s/a", "t/b"),
        node("t/b", "s/a"),
    ]
    view = GraphView(records).view([])
    assert {box["key"] for box in view["boxes"]} == {"node:a", "node:b", "s/", "t/"}
    assert GraphView(records).node("b")["inputs"][2]["missing"]
    assert GraphView([]).view(None)["boxes"] == []


NAMES = st.text(alphabet="ab/:\x00<é\ud800", max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=3)), max_size=30), st.lists(NAMES, max_size=5))
def test_any_records_make_a_view(pairs: list[tuple[str, list[str]]], keys: list[str]) -> None:
    records = [node(name, *inputs) for name, inputs in pairs]
    view = GraphView(records)
    everything = [item.key for item in view.tree.items]
    for wanted in (None, keys, everything):
        seen = view.view(wanted)
        shown = sum(box["nodes"] for box in seen["boxes"] if not box.get("open"))
        assert shown == len(records)
    for name, _ in pairs:
        assert view.node(name)["name"] == name


def test_limits_of_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = Tree([node("/".join(["s"] * 100_000))])
    assert len(deep.items) <= graph_tree.MOST_LEVELS + 2
    monkeypatch.setattr(graph_tree, "MOST_NODES", 10)
    with pytest.raises(FileFormatError, match="11 nodes"):
        Tree(chain(11))
    monkeypatch.setattr(graph_tree, "MOST_EDGES", 3)
    with pytest.raises(FileFormatError, match="edges"):
        Tree(chain(9))


def test_numbers_of_any_size_are_summed() -> None:
    view = GraphView([node("a", flops=10**400, bytes=-5), node("b", flops=2, bytes=3)]).view([])
    assert view["totals"]["bytes"] == 3 and np.isfinite(view["totals"]["flops"])


def test_short_types() -> None:
    assert short_type({"dtype": "uint8", "shape": [3, "n", 4]}) == "u8 3×n×4"
    assert short_type({"dtype": "x" * 100, "shape": ["y" * 100] * 100}) < "y"


# The journal


def test_the_slider_has_every_pass_and_its_edits(client: TestClient) -> None:
    found = asked(client, "journal", run="good")
    names = [place["name"] for place in found["places"]]
    assert names[0] == "" and "eliminate" in names
    with_edits = [place for place in found["places"] if place["step"] >= 0]
    assert sum(place["entries"][1] - place["entries"][0] for place in with_edits) == found["edits"] > 0
    place = names.index(with_edits[0]["name"])
    edits = asked(client, "journal/edits", run="good", position=place)
    first = edits["edits"][0]
    assert edits["count"] >= 1 and first["rule"] and (first["removed"] or first["added"])
    some = asked(client, "journal/edits", run="good", position=place, words=first["removed"][0])
    assert 0 < some["count"] <= edits["count"]
    asked(client, "journal/edits", 400, run="good", position=900)


def test_before_both_and_after_a_pass(client: TestClient) -> None:
    found = asked(client, "journal", run="good")
    place = next(number for number, one in enumerate(found["places"]) if one["step"] >= 0)
    views = {
        shown: asked(client, "graph", run="good", position=place, shown=shown)
        for shown in ("before", "both", "after")
    }
    assert views["before"]["nodes"] == asked(client, "graph", run="good", position=0)["nodes"]
    assert views["before"]["nodes"] > views["after"]["nodes"]
    assert views["both"]["nodes"] >= views["before"]["nodes"]
    marks: dict[str, int] = {}
    for box in views["both"]["boxes"]:
        for mark, count in ({} if box.get("open") else box.get("marks", {})).items():
            marks[mark] = marks.get(mark, 0) + count
    assert marks["removed"] - marks.get("added", 0) == views["before"]["nodes"] - views["after"]["nodes"]
    assert {one.get("mark") for one in views["both"]["arrows"]} & {"removed", "added"}


def test_declines_are_listed(client: TestClient) -> None:
    found = asked(client, "journal/edits", run="good", position=0, kind="declined")
    assert found["count"] == len(found["declined"])
    assert all(one["reason"] and one["rule"] for one in found["declined"])


def test_journal_of_hand_made_steps() -> None:
    before = [node("a"), node("b", "a"), node("c", "b")]
    steps = [
        {"pass_name": "p", "entries": [0, 1], "removed": ["b"], "nodes": [node("d", "a"), node("c", "d")]}
    ]
    content = {
        "nodes": before, "steps": steps, "passes": [{"name": "q"}, {"name": "p"}],
        "entries": [{"sequence": 0, "rule": "r", "kind": "replace", "removed": ["b"], "added": ["d"]}],
        "declined": [{"pass_name": "q", "rule": "s", "node": "a", "reason": "why"}],
        "gone": {"b": {"text": "b = exp(a)"}},
    }  # fmt: skip
    journal = JournalView(content)
    boxes = {box["name"]: box.get("marks") for box in journal.graph(2, "both").view([])["boxes"]}
    assert boxes == {"a": None, "b": {"removed": 1}, "d": {"added": 1}, "c": {"changed": 1}}
    view = journal.graph(2, "both").view([])
    names = [box["name"] for box in view["boxes"]]
    arrows = {(names[one["from"]], names[one["to"]]): one.get("mark") for one in view["arrows"]}
    assert arrows == {("a", "b"): "removed", ("b", "c"): "removed", ("a", "d"): "added", ("d", "c"): "added"}
    assert journal.edits(2, 0)["edits"][0]["text"] == "b = exp(a)"
    assert journal.declines(1, 0)["count"] == 1 and journal.declines(2, 0)["count"] == 0
    assert journal.of_node("d")["edits"][0]["rule"] == "r" and journal.of_node("a")["declined"]


# Memory, profile, nodes


def test_memory_has_places_lives_and_what_would_fit(client: TestClient) -> None:
    plan = asked(client, "memory", run="good")
    values = plan["values"]
    assert len({len(column) for column in values.values()}) == 1 and plan["arena_bytes"] > 0
    assert max(plan["live"]["bytes"]) == plan["lower_bound_bytes"]
    assert plan["live"]["bytes"][plan["peak"]["position"]] == plan["lower_bound_bytes"]
    assert all(one <= plan["arena_bytes"] - size for one, size in zip(values["offset"], values["bytes"]))
    assert plan["fit"]["ways"][0]["code"]


def test_profile_rows_follow_one_another(client: TestClient) -> None:
    found = asked(client, "profile", run="good")
    rows = found["rows"]
    assert sum(rows["seconds"]) == pytest.approx(found["seconds"]) and found["backend"] == "numpy"
    assert rows["start"][1:] == pytest.approx(np.cumsum(rows["seconds"])[:-1])


def test_one_name_joins_all(client: TestClient) -> None:
    found = asked(client, "node", run="good", node="layer0/w")
    tags = {one["tag"]: one for one in found["curves"]}
    assert tags["gradients.norm/layer0/w"]["step"] == [0, 1, 2]
    assert tags["gradients/layer0/w"]["kind"] == "histograms"
    assert tags["quantization.error/layer0/w"]["value"] == [0.25]
    assert found["graph"]["line"].startswith("graph_logs.py:") and found["graph"]["reader_count"] >= 2
    made = asked(client, "memory", run="good")["values"]["node"]
    timed = asked(client, "profile", run="good")["rows"]["name"]
    both = asked(client, "node", run="good", node=next(name for name in made if name in timed))
    assert both["memory"] and both["time"]["place"] >= 1 and 0 <= both["time"]["share"] <= 1
    removed = asked(client, "journal/edits", run="good", position=1)["edits"]
    if removed:
        history = asked(client, "node", run="good", node=removed[0]["removed"][0])["history"]
        assert history["edits"][0]["rule"] == removed[0]["rule"]
    assert not asked(client, "node", run="good", node="no such node")["known"] and found["known"]


def test_names_come_back_as_they_are(client: TestClient) -> None:
    boxes = asked(client, "graph", run="odd")["boxes"]
    assert any(HOSTILE in box["title"] or HOSTILE in box.get("op", "") for box in boxes)
    assert asked(client, "profile", run="odd")["rows"]["op"] == [HOSTILE]


# Hostile and damaged files

ODD = (None, {}, "x", -1, 10**40, True, [None], [[["deep"]]], float("nan"))
ODD_FILES = {
    "graph": ("nodes",),
    "memory": ("values", "order", "lines", "fit", "peak", "arena_bytes", "peak_position", "gap"),
    "profile": ("rows", "traceEvents", "backend"),
    "journal": ("nodes", "steps", "entries", "passes", "declined", "gone", "rules", "before", "label"),
}
ODD_RECORDS = (
    {"name": [1], "op": {}, "inputs": [3, None], "outputs": [None, {"shape": [None, -1, "n"]}], "attrs": [1]},
    {"name": "v", "bytes": 10**30, "offset": -4, "first": 5, "last": 2, "node": {}},
    {"name": "v", "bytes": "9", "first": 1e308, "last": None, "seconds": "long", "flops": [1]},
    {"pass_name": 3, "entries": [-5, 10**9], "removed": [None], "nodes": [{}], "cost": [1], "name": None},
    {"pass_name": [], "entries": ["a", None], "removed": "abc", "nodes": 3, "into": 4, "added": {}},
)  # fmt: skip


@pytest.mark.parametrize("kind", ODD_FILES)
def test_odd_side_files_are_shown_or_refused(kind: str, tmp_path: Path) -> None:
    write_side(tmp_path / "r", kind, {})
    paths = {
        "graph": ["graph", "graph/names", "node"],
        "memory": ["memory", "node"],
        "profile": ["profile", "node", "graph"],
        "journal": ["journal", "journal/edits", "graph", "node"],
    }[kind]
    with LogDirectory(tmp_path, index=None, refresh=0) as log:
        log.refresh()
        client = opened(log)
        assert client.get(f"/api/{paths[0]}", params={"run": "r"}).status_code in (200, 404)
        for key in ODD_FILES[kind]:
            for value in (*ODD, list(ODD_RECORDS)):
                write_side(tmp_path / "r", kind, {key: value})
                for path in paths:
                    params = {"run": "r", "node": "v", **({"position": 1} if kind == "journal" else {})}
                    answer = client.get(f"/api/{path}", params=params)
                    assert answer.status_code in (200, 400, 404, 422), (key, value, path, answer.text)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"schema": 1}', "[" * 100_000, "\x00\xff", '{"a": NaN}']
)
def test_damaged_side_files_are_refused_in_words(text: str, tmp_path: Path) -> None:
    write_side(tmp_path / "r", "memory", text)
    with LogDirectory(tmp_path, index=None, refresh=0) as log:
        log.refresh()
        assert asked(opened(log), "memory", 422, run="r")["hint"]


def test_side_files_outside_or_too_large_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_side(tmp_path / "secret", "memory", {"arena_bytes": 77})
    write_side(tmp_path / "logs" / "r", "memory", {})
    place = tmp_path / "logs" / "r" / "graphflow" / "memory.json"
    place.unlink()
    os.symlink(tmp_path / "secret" / "graphflow" / "memory.json", place)
    with LogDirectory(tmp_path / "logs", index=None, refresh=0) as log:
        log.refresh()
        client = opened(log)
        assert client.get("/api/memory", params={"run": "r"}).status_code == 422
        os.unlink(place)
        shutil.copy(tmp_path / "secret" / "graphflow" / "memory.json", place)
        assert asked(client, "memory", run="r")["arena_bytes"] == 77
        monkeypatch.setattr(side, "MOST_BYTES", 10)
        place.write_text(place.read_text() + " ")
        assert "bytes" in asked(client, "memory", 422, run="r")["error"]


def test_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    write_side(tmp_path / "r", "graph", {"nodes": chain(3)})
    with LogDirectory(tmp_path, index=None, refresh=0) as log:
        log.refresh()
        client = opened(log)
        assert asked(client, "graph", run="r")["nodes"] == 3
        write_side(tmp_path / "r", "graph", {"nodes": chain(5)})
        assert asked(client, "graph", run="r")["nodes"] == 5


def test_the_cache_keeps_few_things(folder: Path) -> None:
    with LogDirectory(folder, index=None, refresh=0) as log:
        cache = side_cache.SideCache(log)
        calls: list[int] = []
        for number in (*range(side_cache.MOST_KEPT + 1), 0, 0):
            cache.made((number,), 1, lambda: calls.append(1))
        assert len(calls) == side_cache.MOST_KEPT + 2


def test_columns_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_view, "MOST_VALUES", 4)
    monkeypatch.setattr(plan_view, "MOST_ROWS", 4)
    monkeypatch.setattr(plan_view, "MOST_POINTS", 3)
    values = [{"name": str(size), "bytes": size, "first": 0, "last": 9} for size in range(1, 10)]
    plan = memory_view({"values": values, "order": [str(place) for place in range(10)]})
    assert plan["values"]["name"] == ["6", "7", "8", "9"] and plan["left_out"] == 5
    assert plan["live"]["bytes"] == [45, 45, 45] and len(plan["live"]["position"]) == 3
    profile = profile_view({"rows": [{"name": str(one), "seconds": one} for one in range(9)]})
    assert profile["rows"]["name"] == ["5", "6", "7", "8"] and profile["seconds"] == 36
    assert profile["rows"]["start"] == [10, 15, 21, 28]


# Chips


def test_a_compiled_model_has_timelines(client: TestClient) -> None:
    found = asked(client, "chip", run="good")
    assert found["models"] == ["small.bmodel"] and found["stages"][0]["net"] == "chip"
    assert found["busy"]["tiu"] > 0 and found["seconds"] >= found["bound"] > 0
    spans = asked(client, "chip/spans", run="good")["spans"]
    assert sum(spans["commands"]) == found["commands"] and set(spans["engine"]) == {0, 1}
    assert max(spans["end"]) == pytest.approx(1e6 * found["seconds"], rel=1e-3)
    half = asked(client, "chip/spans", run="good", start=0, end=round(found["seconds"] * 0.5e9))["spans"]
    assert sum(half["commands"]) < found["commands"]
    memory = asked(client, "chip/memory", run="good")
    cells = np.frombuffer(base64.b64decode(memory["cells"]), np.uint8)
    assert cells.size == memory["rows"] * memory["columns"]
    assert set(np.unique(cells).tolist()) - {0} <= {int(bit) for bit in memory["meaning"]} and cells.any()


def test_models_that_are_none_or_elsewhere(folder: Path, tmp_path: Path) -> None:
    write_side(tmp_path / "r", "graph", {"nodes": []})
    good = (folder / "good" / "small.bmodel").read_bytes()
    (tmp_path / "r" / "b.bmodel").write_bytes(good[: len(good) // 2])
    os.symlink(folder / "good" / "small.bmodel", tmp_path / "r" / "link.bmodel")
    (tmp_path / "r" / "folder.bmodel").mkdir()
    with LogDirectory(tmp_path, index=None, refresh=0) as log:
        log.refresh()
        client = opened(log)
        asked(client, "chip", 422, run="r")
        for name in ("link.bmodel", "folder.bmodel", "../good/small.bmodel", "/etc/passwd", ""):
            asked(client, "chip", 404, run="r", model=name)
        (tmp_path / "r" / "b.bmodel").write_bytes(good)
        assert asked(client, "chip", run="r")["commands"] > 0
        asked(client, "chip", 422, run="r", stage=7)


def test_mutated_models_are_shown_or_refused(folder: Path, tmp_path: Path) -> None:
    good = bmodel.load(folder / "good" / "small.bmodel")
    stage = good.nets[0].stages[0]
    random = np.random.default_rng(0)
    outcomes = set()
    for number in range(120):
        groups = [
            dataclasses.replace(one, tiu=_mutated(one.tiu, random), gdma=_mutated(one.gdma, random))
            for one in stage.groups
        ]
        mutated = dataclasses.replace(stage, groups=tuple(groups))
        place = tmp_path / "m.bmodel"
        bmodel.save(bmodel.BModel((bmodel.Net("m", (mutated,)),)), place)
        if number % 4 == 0:  # the others are sealed anew, so that they pass its checksum
            place.write_bytes(_mutated(place.read_bytes(), random))
        try:
            view = ChipView(tmp_path.resolve(), "", "m.bmodel")
            outcomes.add(view.summary(0)["commands"] > 0)
            view.spans(0, 0.0, 1e-3)
            view.memory(0, 0.0, 1e-3)
        except GraphFlowError as error:
            outcomes.add(error.message != "")
    assert outcomes == {True}


def _mutated(data: bytes, random: np.random.Generator) -> bytes:
    made = bytearray(data)
    for _ in range(int(random.integers(0, 3)) if made else 0):
        made[int(random.integers(len(made)))] ^= 1 << int(random.integers(8))
    return bytes(made)


def test_damaged_files_are_shown_or_refused() -> None:
    outcomes = fuzz(250)
    assert outcomes[True] > 50 and outcomes[False] > 20
