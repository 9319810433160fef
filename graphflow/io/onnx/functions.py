"""Functions of ONNX: those a model brings along, and the bodies that operators themselves have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import AttributeProto, TypeProto, defs, helper

from graphflow.errors import FileFormatError
from graphflow.io.onnx.reading import domain_of, label
from graphflow.io.onnx.tensors import number_of
from graphflow.ir.node import Tensor


def instantiated(function: onnx.FunctionProto, node: onnx.NodeProto) -> onnx.FunctionProto:
    """A function with the attributes of a call in the places that refer to them."""
    given = {attribute.name: attribute for attribute in function.attribute_proto}
    given |= {attribute.name: attribute for attribute in node.attribute}
    if not given and not function.attribute:
        return function
    made = onnx.FunctionProto()
    made.CopyFrom(function)
    pending = list(made.node)
    while pending:
        inner = pending.pop()
        kept = []
        for attribute in inner.attribute:
            if not attribute.ref_attr_name:
                kept.append(attribute)
                pending += attribute.g.node if attribute.type == AttributeProto.GRAPH else []
            elif attribute.ref_attr_name in given:
                copy = AttributeProto()
                copy.CopyFrom(given[attribute.ref_attr_name])
                copy.name = attribute.name
                kept.append(copy)
        copies = [AttributeProto.FromString(attribute.SerializeToString()) for attribute in kept]
        graphs = [copy for copy in copies if copy.type == AttributeProto.GRAPH]
        del inner.attribute[:]
        inner.attribute.extend(copies)
        if graphs:
            pending += [
                one for attribute in inner.attribute if attribute.type == AttributeProto.GRAPH
                for one in attribute.g.node
            ]  # fmt: skip
    return made


def expanded(node: onnx.NodeProto, given: Sequence[Any], versions: Mapping[str, int]) -> onnx.FunctionProto:
    """What ONNX says that an operator is made of.

    Raises:
        FileFormatError: if it says nothing.
    """
    domain, version = domain_of(node), versions.get(domain_of(node), 1)
    try:
        schema: Any = defs.get_schema(node.op_type, version, domain)
    except defs.SchemaError:
        schema = None
    if schema is not None and schema.has_context_dependent_function:
        types = [_type(value).SerializeToString() for value in given]
        content = node.SerializeToString()
        known = [one for one in schema.context_dependent_function_opset_versions if one <= versions[""]]
        body = schema.get_context_dependent_function_with_opset_version(max(known), content, types)
        return instantiated(onnx.FunctionProto.FromString(body), node)
    if schema is not None and schema.has_function:
        known = [one for one in schema.function_opset_versions if one <= versions[""]]
        body = schema.get_function_with_opset_version(max(known)) if known else schema.function_body
        if not isinstance(body, onnx.FunctionProto):
            body = onnx.FunctionProto.FromString(body)
        return instantiated(body, node)
    raise FileFormatError(
        f"{node.op_type} of {domain or 'ai.onnx'} {version} is not supported, at {label(node)!r:.80}",
        hint="gf.onnx.unsupported(model) lists all that is not",
    )


def _type(value: Any) -> TypeProto:
    """The type of a value as ONNX says it."""
    if isinstance(value, Tensor):
        sizes = [size if isinstance(size, int) else str(size) for size in value.shape]
        return helper.make_tensor_type_proto(number_of(value.dtype), sizes)
    if isinstance(value, list) and value:
        return helper.make_sequence_type_proto(_type(value[0]))
    return TypeProto()
