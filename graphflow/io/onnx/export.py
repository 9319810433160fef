"""Models in ONNX form: `gf.onnx.save` and `gf.onnx.to_proto`.

The operators are said by the tables of the `export_...` modules. One that has no place there, or not for its
types and the opset, is expanded as its definition says, and tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from graphflow.errors import AttributeValueError, FileFormatError, GraphFlowError
from graphflow.files import atomic_write, checked_path
from graphflow.io.onnx import (
    export_control,
    export_elementwise,
    export_indexing,
    export_reduction,
    export_shape,
    export_windows,
)
from graphflow.io.onnx.export_control import value_info
from graphflow.io.onnx.export_data import LARGEST_INSIDE, filled_in, outside
from graphflow.io.onnx.export_settle import Settle
from graphflow.io.onnx.export_writer import NoForm, Shared, Writer, kind_or_float, named, number_or_none
from graphflow.ir.attrs import Attrs
from graphflow.ir.body import Body
from graphflow.ir.dims import symbols_of, terms
from graphflow.ir.dtypes import int64
from graphflow.ir.fed_sizes import fed_element
from graphflow.ir.found_sizes import is_found
from graphflow.ir.node import Node, Tensor
from graphflow.model import Model
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract

OPSETS = range(17, 29)
"""The versions of ONNX's own domain that are written."""

EXPORTS: dict[str, Any] = {
    **export_elementwise.TABLE,
    **export_indexing.TABLE,
    **export_reduction.TABLE,
    **export_shape.TABLE,
    **export_windows.TABLE,
}
"""What is said for an operator, by its name: (writer, node, names of values) -> names of values."""

# What hangs on the training flag goes first, so that the draws of dropout are not asked for.
_PIPELINE = "eliminate,fold-constants,settle,control-flow,decompose,bodies"

_REASONS = {
    "random": "ONNX has no draws that depend on a key: feed what is drawn, or draw outside of the model",
    "complex": "ONNX does not compute with complex numbers",
    "fourier": "ONNX does not compute with complex numbers",
    "static_case": "which branch is taken depends on sizes: give the model fixed sizes",
    "session_key": "a random key is made by a session: feed it, or draw outside of the model",
    "assign": "ONNX changes no variables: make the new value an output",
}


def to_proto(model: Model, opset: int = 22, signature: str | None = None) -> onnx.ModelProto:
    """A model as an ONNX model, with its weights.

    Variables and constants become initializers, sizes with symbols parameters of shapes, and nodes keep their
    names with their scopes. Operators that ONNX does not have are written as what they are made of. The
    training flag is False.

    Arguments:
        model: the model; gradients among its outputs are written like any other.
        opset: the version of ONNX's own domain, 17 to 28.
        signature: which function of a model that has several; the default one if left out.

    Returns:
        an onnx.ModelProto.

    Raises:
        FileFormatError: if parts of the model cannot be said in this opset, all of which are listed.
        AttributeValueError: for another opset.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 2))
    >>> proto = gf.onnx.to_proto(gf.Model(inputs=[x], outputs={"y": gf.nn.relu(x)}))
    >>> [node.op_type for node in proto.graph.node]
    ['Relu']
    """
    made, arrays = _written(model, opset, signature)
    filled_in(made, arrays)
    return made


def save(
    model: Model, path: Any, opset: int = 22, *, signature: str | None = None, external: bool | None = None
) -> None:
    """Write a model as an ONNX file.

    Files are written under temporary names first, so that what was there is replaced by what is complete.

    Arguments:
        model, opset, signature: see `to_proto`.
        path: the file.
        external: whether large arrays lie in a file of their own, named `path` and `.data`; by default
            those of models that are too large for one file, which is about 2 GB.

    Raises:
        FileFormatError: if it cannot be written, or parts of it cannot be said in ONNX.

    >>> import tempfile
    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gf.onnx.save(gf.Model(inputs=[x], outputs={"y": gf.sin(x)}), folder + "/sin.onnx")
    ...     gf.onnx.load(folder + "/sin.onnx").run({"x": [[0.0, 0.0]]}, backend="numpy")
    {'y': array([[0., 0.]], dtype=float32)}
    """
    place = checked_path(path)
    made, arrays = _written(model, opset, signature)
    total = sum(array.nbytes for array in arrays.values())
    if external is None:
        external = total > LARGEST_INSIDE
    if not external:
        filled_in(made, arrays)
        with atomic_write(place) as file:
            file.write(made.SerializeToString())
        return
    data = place.with_name(place.name + ".data")
    with atomic_write(place) as file:
        with atomic_write(data) as rest:
            outside(made, arrays, data.name, rest)
        file.write(made.SerializeToString())


def _written(model: Any, opset: Any, signature: str | None) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The model without its initializers, and their values."""
    if not isinstance(model, Model):
        raise FileFormatError(
            f"{model!r:.80} is no Model", hint="gf.Model(inputs=[x], outputs={'y': y}, session=sess)"
        )
    if isinstance(opset, bool) or not isinstance(opset, int) or opset not in OPSETS:
        raise AttributeValueError(f"models are not written for opset {opset!r:.40}", hint="use 17 to 28")
    chosen = model._signature(signature)
    return Exporter(opset, model.graph.name, chosen.inputs, chosen.outputs).model()


class Exporter:
    """Writes one signature of a model.

    Attributes:
        missing: what could not be said: one line for each node.
    """

    def __init__(self, opset: int, name: str, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> None:
        self.opset, self.name = opset, name
        self.missing: list[str] = []
        self.inputs, self.outputs = list(inputs), list(outputs)
        program = extract(list(outputs.values()), (), list(inputs.values()), training=False)
        self.program: Program = optimize(
            program, "O1", _PIPELINE, Journal("off"), refusal=self.refusal, passes=[Settle]
        )
        self.shared = Shared(opset, self._symbol)
        self.root = Writer(self.shared)
        self.names: dict[Tensor, str] = {}
        self.found: dict[str, str] = {}

    # Whether an operator has a form

    def refusal(self, node: Node) -> str | None:
        """Why a node is not said in this opset, or None."""
        if node.op.name in export_control.TABLE or node.op.name in ("constant", "variable", "placeholder"):
            return None
        trial = Shared(self.opset, lambda name: trial.same["size"])
        writer = Writer(trial)
        try:
            trial.same["size"] = writer.ints([1])
            values = [writer.fresh("x", number_or_none(tensor.dtype)) for tensor in node.inputs]
            self._say(writer, node, values)
        except NoForm as error:
            return str(error)
        return None

    def _say(self, w: Writer, node: Node, values: Sequence[str]) -> Any:
        form = node.op.onnx_form
        if form is not None:
            return self._custom(w, node, values)
        say = EXPORTS.get(node.op.name)
        if say is None:
            reason = _REASONS.get(node.op.name) or _REASONS.get(node.op.family)
            raise NoForm(reason or "ONNX has no such operator")
        return say(w, node, *values)

    def _custom(self, w: Writer, node: Node, values: Sequence[str]) -> Any:
        """A user's operator, as `onnx_form` said."""
        form = node.op.onnx_form
        assert form is not None
        attributes = form.written(Attrs(node.attrs))
        if not form.domain:
            made = w.emit(
                form.op_type, *values, outputs=len(node.outputs),
                kinds=[number_or_none(tensor.dtype) for tensor in node.outputs], **attributes,
            )  # fmt: skip
            return made
        known = w.shared.domains
        known[form.domain] = max(known.get(form.domain, 1), form.since_version)
        names = [w.fresh(form.op_type, number_or_none(tensor.dtype)) for tensor in node.outputs]
        w.add(helper.make_node(form.op_type, list(values), names, domain=form.domain, **attributes))
        return names

    # Sizes

    def _symbol(self, name: str) -> str:
        """The value of a symbol: from the size of an input that has it, or the element that was fed."""
        if name in self.found:
            return self.found[name]
        fed = fed_element(name)
        for tensor in self.program.feeds:
            if fed is not None and tensor.node.name == fed[0]:
                made = self.root.emit("Reshape", self.names[tensor], self.root.ints([-1]))
                if tensor.shape and tensor.size != 1:
                    made = self.root.emit("Gather", made, self.root.ints([fed[1]]), axis=0)
                return self._known(name, self.root.cast(made, int64))
        for tensor, value in [*zip(self.program.feeds, map(self.names.get, self.program.feeds))]:
            for axis, size in enumerate(tensor.shape):
                split = dict(terms(size))
                rest = split.pop((), 0)
                if len(split) == 1 and symbols_of([size]) == {name} and value is not None:
                    ((monomial, factor),) = split.items()
                    if len(monomial) == 1 and getattr(monomial[0], "name", None) == name:
                        return self._known(name, self._solved(value, axis, rest, factor))
        raise NoForm(f"the size {name} is not that of an input")

    def _known(self, name: str, value: str) -> str:
        self.found[name] = value
        return value

    def _solved(self, value: str, axis: int, rest: int, factor: int) -> str:
        root = self.root
        made = root.emit("Gather", root.emit("Shape", value), root.ints([axis]), axis=0)
        made = root.emit("Sub", made, root.ints([rest])) if rest else made
        return str(root.emit("Div", made, root.ints([factor])) if factor != 1 else made)

    # Graphs

    def model(self) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
        """The model, and its arrays by name.

        Raises:
            FileFormatError: for what cannot be said.
        """
        root = self.root
        wanted: dict[Tensor, str] = {}
        for name, tensor in zip(self.inputs, self.program.feeds):
            self.names[tensor] = self._declare(name, tensor)
        self.shared.used.update(self.outputs)
        for name, tensor in zip(self.outputs, self.program.outputs):
            if tensor.node.op.name not in ("constant", "variable", "placeholder"):
                wanted.setdefault(tensor, name)
        self.write(root, self.program.order(), self.names, wanted)
        if self.missing:
            listed = "; ".join(self.missing[:20]) + (" ..." if len(self.missing) > 20 else "")
            raise FileFormatError(
                f"the model has {len(self.missing)} node{'s' * (len(self.missing) != 1)} that "
                f"opset {self.opset} of ONNX cannot say: {listed}",
                hint="leave them out, or try a higher opset; docs/onnx-export.md says what is written",
            )
        for name, tensor in zip(self.outputs, self.program.outputs):
            if self.names[tensor] != name:
                made = root.emit("Identity", self.names[tensor])
                root.nodes[-1].output[0] = root.nodes[-1].name = name
                self.shared.kinds[name] = self.shared.kinds[made]
        return self._assembled()

    def _declare(self, name: str, tensor: Tensor) -> str:
        self.shared.used.add(name)
        try:
            self.shared.kinds[name] = number_or_none(tensor.dtype)
        except NoForm as error:
            self._miss(tensor.node, error)
            self.shared.kinds[name] = 1
        return name

    def _assembled(self) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
        inputs = [value_info(name, tensor.type) for name, tensor in zip(self.inputs, self.program.feeds)]
        outputs = [value_info(name, tensor.type) for name, tensor in zip(self.outputs, self.program.outputs)]
        graph = helper.make_graph(self.root.nodes, self.name, inputs, outputs)
        versions = {"": self.opset, **self.shared.domains}
        imports = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
        made = helper.make_model(
            graph, opset_imports=imports, ir_version=13 if self.opset > 23 else 10,
            producer_name="graphflow",
        )  # fmt: skip
        return made, self.shared.arrays

    def write(
        self, w: Writer, nodes: Sequence[Node], names: dict[Tensor, str], wanted: dict[Tensor, str]
    ) -> None:
        """Write nodes, in order; `names` gets the values of their results."""
        for node in nodes:
            if all(tensor in names for tensor in node.outputs):
                continue
            w.label, start = node.name, len(w.nodes)
            try:
                made = self._node(w, node, [names[tensor] for tensor in node.inputs])
                values = [made] if isinstance(made, str) else list(made)
                values = named(w, node, values, start, wanted)
            except (NoForm, GraphFlowError) as error:
                self._miss(node, error)
                values = [w.fresh("missing", kind_or_float(tensor)) for tensor in node.outputs]
            names.update(zip(node.outputs, values))
            for tensor, value in zip(node.outputs, values):
                self._note_found(w, tensor, value)
        w.label = ""

    def _note_found(self, w: Writer, tensor: Tensor, value: str) -> None:
        """Sizes that a result of the model's graph has first."""
        for axis, size in enumerate(tensor.shape if w is self.root else ()):
            symbol = None if isinstance(size, int) else size.symbol
            if symbol is not None and is_found(symbol.name) and symbol.name not in self.found:
                self.found[symbol.name] = self._solved(value, axis, 0, 1)

    def _node(self, w: Writer, node: Node, values: list[str]) -> Any:
        name = node.op.name
        if name in ("constant", "variable"):
            value = node.attrs["value"] if name == "constant" else node.attrs["initializer"].array
            return self.root.constant(value, name=node.name)
        control = export_control.TABLE.get(name)
        if control is not None:
            return control(w, node, self.inline, *values)
        return self._say(w, node, values)

    def inline(self, w: Writer, body: Body, values: Sequence[str]) -> list[str]:
        """Write the nodes of a body; the values of its results."""
        names = dict(zip(body.parameters, values))
        label = w.label
        self.write(w, body.order(), names, {})
        w.label = label
        return [names[tensor] for tensor in body.outputs]

    def _miss(self, node: Node, error: Exception) -> None:
        reason = error.message if isinstance(error, GraphFlowError) else str(error)
        where = f" ({node.origin})" if node.origin is not None else ""
        self.missing.append(f"{node.op.name} {node.name!r}{where}: {reason}")


__all__ = ["EXPORTS", "OPSETS", "Exporter", "save", "to_proto"]
