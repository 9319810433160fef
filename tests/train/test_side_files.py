"""GraphFlow's own files of a run: what they say of a graph, an optimisation, a plan and a profile."""

from __future__ import annotations

import json

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import DTypeError, FileFormatError
from graphflow.optimizer.report_json import read_report
from graphflow.train import side_files


@pytest.fixture
def net():
    x = gf.placeholder("x", ("n", 4))
    with gf.name_scope("head"):
        loss = gf.mean(gf.log(gf.nn.softmax(x @ gf.variable("w", (4, 3)) * 1.0)))
    return x, [loss, gf.train.SGD(0.1).minimize(loss)], gf.Session(backend="numpy")


def content(folder, kind):
    text = (folder / "graphflow" / f"{kind}.json").read_text("utf-8")
    assert text.startswith('{"schema":"graphflow.')
    return json.loads(text)


def test_the_graph(tmp_path, net):
    x, _, _ = net
    with gf.train.SummaryWriter(tmp_path) as writer:
        writer.graph(x.graph)
    found = content(tmp_path, "graph")
    assert (found["schema"], found["version"]) == ("graphflow.graph", 1)
    assert [node["name"] for node in found["nodes"]] == [node.name for node in x.graph.nodes]
    nodes = {node["name"]: node for node in found["nodes"]}
    product = nodes["head/matmul"]
    assert (product["op"], product["scope"], product["inputs"]) == ("matmul", "head", ["x", "head/w"])
    assert product["outputs"] == [{"dtype": "float32", "shape": ["n", 3]}]
    assert product["flops"] == 24 and "test_side_files.py:" in product["line"]
    assert nodes["head/mean"]["attrs"]["axis"]


def test_nodes_of_bodies_have_the_names_of_the_journal(tmp_path):
    x = gf.placeholder("x", (5,))
    y = gf.cond(gf.sum(x) > 0.0, lambda v: gf.exp(v) * 1.0, gf.cos, x)
    report = gf.Session(backend="numpy").explain(y)
    with gf.train.SummaryWriter(tmp_path) as writer:
        writer.explain(report)
    found = content(tmp_path, "journal")
    keys = {node.get("key", node["name"]) for node in found["nodes"]}
    inside = {name for entry in found["entries"] for name in entry["removed"] if ":" in name}
    assert inside and inside <= keys


def test_the_journal_leads_from_the_first_program_to_the_last(tmp_path, net):
    _, fetches, sess = net
    report = sess.explain(fetches)
    with gf.train.SummaryWriter(tmp_path) as writer:
        writer.explain(report)
    found = content(tmp_path, "journal")
    nodes = {node["name"]: node for node in found["nodes"]}
    for step in found["steps"]:
        for name in step["removed"]:
            del nodes[name]
        nodes.update((node["name"], node) for node in step["nodes"])
        reads = {source.partition(":")[0] for node in nodes.values() for source in node["inputs"]}
        assert reads <= set(nodes)
    wanted = {node["name"]: node for node in side_files.node_records(report.optimized.order())}
    assert {name: node["inputs"] for name, node in nodes.items()} == {
        name: node["inputs"] for name, node in wanted.items()
    }
    assert found["steps"][-1]["entries"][1] == len(found["entries"]) > 5
    assert any(entry["rule"] == "log_of_softmax" for entry in found["entries"])
    assert set(found["gone"]) == {name for entry in found["entries"] for name in entry["removed"]}
    saved = read_report((tmp_path / "graphflow" / "journal.json").read_text())
    assert saved.label == report.label and saved.entries == report.to_dict()["entries"]


def test_writing_the_journal_changes_nothing(tmp_path, net):
    _, fetches, sess = net
    report = sess.explain(fetches)
    before = report.to_json()
    with gf.train.SummaryWriter(tmp_path) as writer:
        writer.explain(report)
    assert report.to_json() == before


def test_the_memory_plan(tmp_path, net):
    _, fetches, sess = net
    report = sess.memory(fetches, sizes={"n": 8})
    with gf.train.SummaryWriter(tmp_path) as writer:
        writer.memory(report, report.fit("100"))
    found = content(tmp_path, "memory")
    assert found["arena_bytes"] == report.arena_bytes and found["order"] == [n.name for n in report.order]
    assert len(found["lines"]) == len(found["order"])
    live = [v for v in found["values"] if v["first"] <= found["peak_position"] < v["last"]]
    assert sorted(v["bytes"] for v in live) == sorted(one.bytes for one in report.live)
    assert {v["name"].partition(" (")[0] for v in live} >= {one.name for one in report.live}
    assert max(v["offset"] + v["bytes"] for v in found["values"]) == report.arena_bytes
    assert {v["node"] for v in found["values"]} <= set(found["order"])
    assert found["fit"]["budget_bytes"] == 100


def test_the_profile_is_a_chrome_trace(tmp_path, net):
    x, fetches, sess = net
    profile = sess.profile(fetches, {x: np.ones((2, 4), np.float32)}, repeats=1)
    with gf.train.SummaryWriter(tmp_path) as writer:
        writer.profile(profile)
    found = content(tmp_path, "profile")
    assert [event["name"] for event in found["traceEvents"]] == [row.name for row in profile.rows]
    assert all(event["ph"] == "X" and event["dur"] >= 0 for event in found["traceEvents"])
    assert found["rows"][0].keys() == {"name", "op", "type", "line", "seconds", "bytes", "flops"}


def test_they_are_replaced_as_a_whole(tmp_path, net):
    with gf.train.SummaryWriter(tmp_path) as writer:
        writer.graph(net[0].graph)
        writer.graph(gf.Graph("empty"))
    assert content(tmp_path, "graph")["nodes"] == []
    assert [path.name for path in (tmp_path / "graphflow").iterdir()] == ["graph.json"]


def test_what_is_no_report(tmp_path, net):
    with gf.train.SummaryWriter(tmp_path) as writer:
        for call in (writer.explain, writer.memory, writer.profile):
            with pytest.raises(DTypeError, match="is no") as caught:
                call("report")
            assert "sess." in caught.value.hint


def test_a_folder_in_the_way(tmp_path, net):
    (tmp_path / "graphflow").write_text("in the way")
    with (
        gf.train.SummaryWriter(tmp_path) as writer,
        pytest.raises(FileFormatError, match="cannot be written"),
    ):
        writer.graph(net[0].graph)
