"""How an operator is said in ONNX: the name, domain and version there, and how attributes correspond.

It is data beside the operator's definition, which whoever writes or reads ONNX models looks up; nothing
here needs the package onnx.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphflow.errors import AttributeValueError

if TYPE_CHECKING:
    from graphflow.ir.opdef import OpDef


@dataclass(frozen=True)
class OnnxForm:
    """An operator's name in ONNX models.

    Attributes:
        op_type, domain: the ONNX operator; "" is ONNX's own domain.
        since_version: the first version of the domain's operator set that means this.
        names: for each of our attributes, the ONNX attribute of the same value.
        write, read: functions between our attributes and ONNX's, both as dicts, in the place of `names`;
            without `read`, models are written only.
    """

    op_type: str
    domain: str = ""
    since_version: int = 1
    names: Mapping[str, str] = field(default_factory=dict)
    write: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    read: Callable[[dict[str, Any]], dict[str, Any]] | None = None

    def written(self, attrs: Mapping[str, Any]) -> dict[str, Any]:
        """The ONNX attributes of a node with these attributes; None, which ONNX has not, is left out."""
        if self.write is not None:
            return dict(self.write(dict(attrs)))
        return {self.names[name]: value for name, value in attrs.items() if value is not None}

    def given(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Our attributes of an ONNX node; those it leaves out keep their defaults.

        Raises:
            AttributeValueError: for an attribute it does not know, or if models are written only.
        """
        if self.read is not None:
            return dict(self.read(dict(attributes)))
        if self.write is not None:
            raise AttributeValueError(
                f"{self.op_type} of ONNX is written but not read", hint="pass read=... where it is declared"
            )
        ours = {theirs: name for name, theirs in self.names.items()}
        unknown = sorted(set(attributes) - set(ours))
        if unknown:
            raise AttributeValueError(
                f"{self.op_type} of ONNX has no attribute {unknown[0]!r}",
                hint="it has " + ", ".join(sorted(ours)),
            )
        return {ours[theirs]: value for theirs, value in attributes.items()}


def onnx_form(
    op: OpDef,
    op_type: Any,
    domain: Any = "",
    since_version: Any = 1,
    attributes: Any = None,
    read: Any = None,
) -> OnnxForm:
    """The form of an operator, once it is known to be one.

    Raises:
        AttributeValueError: if a part of it cannot be so.
    """
    if not isinstance(op_type, str) or not op_type.isidentifier():
        raise AttributeValueError(
            f"ONNX has no operator {op_type!r:.80}", hint='pass a name such as "MyScale"'
        )
    if not isinstance(domain, str) or any(char.isspace() for char in domain):
        raise AttributeValueError(
            f"{domain!r:.80} is no ONNX domain", hint='use a name of your own, such as "com.example"'
        )
    if not isinstance(since_version, int) or isinstance(since_version, bool) or since_version < 1:
        raise AttributeValueError(
            f"versions of ONNX operators are 1, 2, 3 ..., not {since_version!r:.40}",
            hint="leave it out for the first",
        )
    if read is not None and (not callable(read) or not callable(attributes)):
        raise AttributeValueError(
            "read is the way back of a function", hint="pass functions as attributes and as read"
        )
    if callable(attributes):
        return OnnxForm(op_type, domain, since_version, write=attributes, read=read)
    return OnnxForm(op_type, domain, since_version, _names(op, attributes))


def _names(op: OpDef, given: Any) -> dict[str, str]:
    """ONNX names of all attributes: as given, else our own."""
    if given is not None and not isinstance(given, Mapping):
        raise AttributeValueError(
            f"{given!r:.80} does not say how attributes are called in ONNX", hint='pass {"ours": "theirs"}'
        )
    unknown = sorted(str(name) for name in given or {} if name not in op.attributes)
    if unknown:
        raise AttributeValueError(
            f"{op.name} has no attribute {unknown[0]!r}", hint=f"it is called as {op.signature()}"
        )
    names = {name: (given or {}).get(name, name) for name in op.attributes}
    if not all(isinstance(one, str) and one.isidentifier() for one in names.values()):
        raise AttributeValueError(
            f"attributes of ONNX operators have names, unlike some in {names}", hint='as in {"beta": "alpha"}'
        )
    if len(set(names.values())) < len(names):
        raise AttributeValueError(
            f"two attributes of {op.name} have the same ONNX name in {names}", hint="name each differently"
        )
    return names
