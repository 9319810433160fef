"""The ONNX form of an operator, as whoever writes and reads ONNX models uses it; `gf.op` tests the rest."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.ir.onnx_form import OnnxForm, onnx_form


def test_every_attribute_has_a_name() -> None:
    form = onnx_form(gf.registry["sum"], "ReduceSum", attributes={"keepdims": "keep"})
    assert form == OnnxForm("ReduceSum", names={"axis": "axis", "keepdims": "keep"})
    assert form.written({"axis": (0, 1), "keepdims": True}) == {"axis": (0, 1), "keep": True}
    assert form.given(form.written({"axis": None, "keepdims": False})) == {"keepdims": False}


def test_an_operator_without_attributes() -> None:
    form = onnx_form(gf.registry["exp"], "Exp", since_version=13)
    assert form.written({}) == {} == form.given({}) and form.since_version == 13
    with pytest.raises(gf.AttributeValueError, match="no attribute 'alpha'"):
        form.given({"alpha": 1.0})
