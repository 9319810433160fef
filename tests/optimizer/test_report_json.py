"""Reports as JSON: the schema, and the way there and back."""

from __future__ import annotations

import json

import pytest

import graphflow as gf
from graphflow.errors import FileFormatError
from graphflow.optimizer.report_json import SCHEMA, VERSION, read_report

TOP = {
    "schema", "version", "label", "seconds", "before", "after", "passes", "rules", "entries", "declined"
}  # fmt: skip
TOTALS = {"nodes", "inside", "flops", "bytes", "weight_bytes", "peak_bytes"}
RULE = {
    "pass_name", "rule", "fired", "declined", "nodes", "inside", "flops", "bytes", "peak_bytes",
    "seconds", "evidence", "algebra",
}  # fmt: skip
ENTRY = {
    "sequence", "pass_name", "rule", "kind", "removed", "added", "into", "reason", "flops", "bytes"
}  # fmt: skip


def text() -> str:
    x = gf.placeholder("x", ("batch", 10))
    e = gf.exp(x)
    with gf.Session(backend="numpy") as sess:
        return sess.explain([gf.log(gf.nn.softmax(x * 1.0)), e - 1.0, e]).to_json()


def test_the_schema_is_what_it_says() -> None:
    data = json.loads(text())
    assert set(data) == TOP and (data["schema"], data["version"]) == (SCHEMA, VERSION)
    assert set(data["before"]) == set(data["after"]) == TOTALS
    assert all(set(rule) == RULE for rule in data["rules"])
    assert all(set(entry) == ENTRY for entry in data["entries"]) and data["entries"]
    assert set(data["declined"][0]) == {"pass_name", "rule", "node", "reason", "origin"}
    for record in data["passes"]:
        assert set(record) == {"name", "seconds", "before", "after", "changed", "note", "cost"}
        assert set(record["cost"]["before"]) == {"nodes", "flops", "bytes", "peak_bytes"}


def test_there_and_back() -> None:
    written = text()
    saved = read_report(written)
    assert saved.to_json() == written and saved.label == "O2" and saved.further == {}
    assert saved.entries[0]["sequence"] == 0


def test_a_report_that_was_not_measured_says_null() -> None:
    x = gf.placeholder("x", (3,))
    report = gf.optimize(gf.Model(inputs=[x], outputs={"y": gf.exp(x) * 1.0})).report
    data = json.loads(report.to_json())
    assert data["passes"][0]["cost"] is None and data["rules"][0]["seconds"] is None


def test_keys_of_later_minor_versions_are_kept() -> None:
    data = {**json.loads(text()), "mood": "good"}
    saved = read_report(json.dumps(data))
    assert saved.further == {"mood": "good"} and json.loads(saved.to_json()) == data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no", "no JSON"),
        ("[]", "schema is not"),
        ('{"schema": "x"}', "schema is not"),
        ('{"schema": "graphflow.explain", "version": 2}', "version 2"),
        ('{"schema": "graphflow.explain", "version": 1}', "has no 'label'"),
    ],
)
def test_other_texts_are_refused(change: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read_report(change)
