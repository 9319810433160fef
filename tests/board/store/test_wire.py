"""Messages taken apart, against protobuf's own writer, and malformed ones."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.board.store import wire

pb = pytest.importorskip("tensorboard.compat.proto.summary_pb2")


def test_fields_of_a_message():
    message = pb.HistogramProto(min=-1.5, max=2.5, bucket_limit=[1.0, 2.0], bucket=[3.0, 4.0])
    data = message.SerializeToString()
    found = list(wire.fields(data))
    assert [one[0] for one in found] == [1, 2, 6, 7]
    assert wire.double(data, found[0][2]) == -1.5
    assert wire.numbers(data, [found[2]], "<f8").tolist() == [1.0, 2.0]


@pytest.mark.parametrize("value", [0, 1, 127, 128, 2**31, 2**63 - 1, -1, -(2**63)])
def test_integers(value):
    from tensorboard.compat.proto.event_pb2 import Event

    data = Event(step=value).SerializeToString()
    [(number, kind, found, _)] = list(wire.fields(data)) or [(2, 0, 0, 0)]
    assert (number, kind, wire.signed(found)) == (2, 0, value)


@pytest.mark.parametrize(
    "data",
    [
        "08",
        "0880",
        "08" + "ff" * 10 + "01",
        "0a05aa",
        "0affffffffffffffffff01",
        "090000",
        "0d0000",
        "0b",
        "0f",
    ],
)
def test_malformed_messages(data):
    with pytest.raises(wire.Malformed):
        list(wire.fields(bytes.fromhex(data)))


def test_numbers_that_are_not_packed():
    data = b"\x09" + np.float64(1.0).tobytes() + b"\x09" + np.float64(2.0).tobytes()
    assert wire.numbers(data, list(wire.fields(data)), "<f8").tolist() == [1.0, 2.0]
