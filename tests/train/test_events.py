"""Event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import io
import os
import re
import struct
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, DTypeError, FileFormatError, GraphFlowError
from graphflow.ir.body import nested_nodes
from graphflow.train import event_encoding
from graphflow.train.checksum import crc32c
from graphflow.train.events import SummaryWriter

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader, RawEventFileLoader
    from tensorboard.util import tensor_util


def reader(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), {"scalars": 0, "histograms": 0, "tensors": 0, "graph": 1})
    accumulator.Reload()
    return accumulator


def modern_values(path: str) -> dict[str, list]:
    """Values by tag as the present TensorBoard sees them: every kind converted to a tensor."""
    found: dict[str, list] = {}
    for event in EventFileLoader(path).Load():
        for value in event.summary.value:
            array = tensor_util.make_ndarray(value.tensor)
            found.setdefault(value.tag, []).append((value.metadata, array))
    return found


def test_record_framing():
    record = event_encoding.record(b"hello")
    length, check, message, _ = struct.unpack("<QI5sI", record)
    assert (length, message) == (5, b"hello")
    rotated = crc32c(record[:8])
    assert check == ((rotated >> 15 | rotated << 17) + 0xA282EAD8) % 2**32


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**31, 2**63 - 1, -1, -(2**63)])
def test_varints_as_protobuf_reads_them(value):
    from tensorboard.compat.proto.event_pb2 import Event

    event = Event.FromString(event_encoding.integer_field(2, value))
    assert event.step == value


class TestScalars:
    def test_values_steps_and_times(self, tmp_path):
        values = [0.5, np.float32(1.25), np.float64(-3e-5), np.int64(7), True, np.array([[2.0]]), 10**30]
        with SummaryWriter(tmp_path) as writer:
            for step, value in enumerate(values):
                writer.scalar("train/loss", value, step)
        events = reader(tmp_path).Scalars("train/loss")
        assert [event.step for event in events] == list(range(len(values)))
        wanted = [float(np.float32(np.asarray(value, np.float64).reshape(()))) for value in values]
        assert [event.value for event in events] == wanted
        times = [event.wall_time for event in events]
        assert times == sorted(times) and abs(times[0] - os.stat(writer.path).st_mtime) < 3600

    def test_nan_infinity_and_minus_zero(self, tmp_path):
        with SummaryWriter(tmp_path) as writer:
            for step, value in enumerate([np.nan, np.inf, -np.inf, -0.0, 1e300]):
                writer.scalar("loss", value, step)
        values = [event.value for event in reader(tmp_path).Scalars("loss")]
        np.testing.assert_array_equal(values, [np.nan, np.inf, -np.inf, 0.0, np.inf])
        assert np.signbit(values[3])

    def test_the_widest_steps(self, tmp_path):
        steps = [0, 2**31, 2**63 - 1, np.uint8(3), np.int64(-5)]
        with SummaryWriter(tmp_path) as writer:
            for step in steps:
                writer.scalar("loss", 0, step)
        assert [event.step for event in raw_events(writer.path)][1:] == [int(step) for step in steps]

    def test_awkward_tags(self, tmp_path):
        tags = ["a/b c", "größe/損失", "x" * 5000]
        with SummaryWriter(tmp_path) as writer:
            for tag in tags:
                writer.scalar(tag, 1, 0)
        assert sorted(reader(tmp_path).Tags()["scalars"]) == sorted(tags)

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ([1.0, 2.0], r"shape \[2\]"),
            (np.zeros((0,)), r"shape \[0\]"),
            ("0.5", "got '0.5'"),
            (1j, "no real numbers"),
            (None, "got None"),
            (b"1", "no real numbers"),
        ],
    )
    def test_what_is_no_scalar(self, tmp_path, value, words):
        with SummaryWriter(tmp_path) as writer, pytest.raises(DTypeError, match=words):
            writer.scalar("loss", value, 0)

    @pytest.mark.parametrize(
        ("tag", "step", "words"),
        [("", 0, "is no tag"), (3, 0, "is no tag"), ("a", 0.5, "0.5 is no step"), ("a", 2**63, "64 bits")],
    )
    def test_bad_tags_and_steps(self, tmp_path, tag, step, words):
        with SummaryWriter(tmp_path) as writer, pytest.raises(AttributeValueError, match=words):
            writer.scalar(tag, 0.0, step)

    def test_a_tensor_is_refused_with_a_way_out(self, tmp_path):
        with (
            SummaryWriter(tmp_path) as writer,
            pytest.raises(GraphFlowError, match="fetch it with a Session"),
        ):
            writer.scalar("loss", gf.constant(1.0), 0)


def raw_events(path: str) -> list:
    """The events as they are in the file."""
    from tensorboard.compat.proto.event_pb2 import Event

    return [Event.FromString(raw) for raw in RawEventFileLoader(path).Load()]


class TestHistograms:
    def test_counts_and_edges(self, tmp_path, rng):
        values = rng.standard_normal((40, 25)) * 3 + 1
        with SummaryWriter(tmp_path) as writer:
            writer.histogram("weights", values.astype(np.float32), 3)
        accumulator = reader(tmp_path)
        [event] = accumulator.Tensors("weights")
        assert accumulator.SummaryMetadata("weights").plugin_data.plugin_name == "histograms"
        table = tensor_util.make_ndarray(event.tensor_proto)
        counts, edges = np.histogram(values.astype(np.float32).astype(np.float64), 30)
        assert event.step == 3
        np.testing.assert_array_equal(table[:, 2], counts)
        np.testing.assert_allclose(table[:, 0], edges[:-1], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(table[:, 1], edges[1:], rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize(
        "values",
        [
            [],
            [3.0],
            [0, 0, 0],
            [-0.0],
            [5e-324, 0],
            [1.0, 1 + 2e-16],
            [True, False],
            [2**62],
        ],
        ids=str,
    )
    def test_awkward_values_keep_their_count(self, tmp_path, values):
        with SummaryWriter(tmp_path) as writer:
            writer.histogram("h", values, 0)
        [[metadata, table]] = modern_values(writer.path)["h"]
        assert metadata.plugin_data.plugin_name == "histograms"
        assert table[:, 2].sum() == len(values) and np.isfinite(table).all()
        assert (table[:, 0] <= table[:, 1]).all()

    def test_the_widest_range_there_is(self, tmp_path):
        with SummaryWriter(tmp_path) as writer:
            writer.histogram("h", [-1.7e308, 1.7e308, 0], 0, buckets=3)
        [[_, table]] = modern_values(writer.path)["h"]
        np.testing.assert_array_equal(table[:, 2], [1, 1, 1])
        np.testing.assert_allclose(table[:, 1], [-1.7e308 / 3, 1.7e308 / 3, 1.7e308])

    def test_the_number_of_buckets(self, tmp_path):
        with SummaryWriter(tmp_path) as writer:
            writer.histogram("h", np.arange(10), 0, buckets=5)
            with pytest.raises(AttributeValueError, match="0 buckets"):
                writer.histogram("h", np.arange(10), 0, buckets=0)
        [[_, table]] = modern_values(writer.path)["h"]
        assert table[:, 2].tolist() == [2.0] * 5

    def test_values_in_no_bucket_are_refused(self, tmp_path):
        with SummaryWriter(tmp_path) as writer:
            with pytest.raises(
                DTypeError, match=r"'grads' got 2 of 4 values that are NaN or infinite"
            ) as caught:
                writer.histogram("grads", [1.0, np.nan, -np.inf, 2.0], 0)
            assert "isfinite" in caught.value.hint and caught.value.origin.file == __file__
        assert reader(tmp_path).Tags()["tensors"] == []


def test_scalars_of_one_step(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.scalars("loss", {"train": 0.5, "held_out": np.float32(0.75)}, 3)
        writer.scalars("loss", {}, 4)
        with pytest.raises(DTypeError, match="shape"):
            writer.scalars("loss", {"train": 1.0, "held_out": [1.0, 2.0]}, 5)
        with pytest.raises(DTypeError, match="dict from names"):
            writer.scalars("loss", 3.0, 5)
    accumulator = reader(tmp_path)
    assert [(e.step, e.value) for e in accumulator.Scalars("loss/train")] == [(3, 0.5)]
    assert [(e.step, e.value) for e in accumulator.Scalars("loss/held_out")] == [(3, 0.75)]
    assert len(raw_events(writer.path)) == 2


class TestImages:
    def test_as_tensorboard_and_another_decoder_read_them(self, tmp_path, rng):
        pillow = pytest.importorskip("PIL.Image")
        pixels = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        with SummaryWriter(tmp_path) as writer:
            writer.image("photo", pixels, 2)
            writer.image("photo", np.stack([pixels, 255 - pixels]).transpose(0, 3, 1, 2), 3, layout="NCHW")
        first, second = modern_values(writer.path)["photo"]
        assert first[0].plugin_data.plugin_name == "images"
        assert first[1][:2].tolist() == [b"7", b"5"] and len(second[1]) == 4
        np.testing.assert_array_equal(np.asarray(pillow.open(io.BytesIO(first[1][2]))), pixels)
        np.testing.assert_array_equal(np.asarray(pillow.open(io.BytesIO(second[1][3]))), 255 - pixels)


class TestCurves:
    def test_as_tensorboard_counts_them(self, tmp_path, rng):
        from tensorboard.plugins.pr_curve import metadata as pr_metadata

        labels, scores = rng.random(200) < 0.4, rng.random(200)
        weights = rng.random(200)
        with SummaryWriter(tmp_path) as writer:
            writer.pr_curve("digit", labels, scores, 4, thresholds=11, weights=weights)
        [[metadata, table]] = modern_values(writer.path)["digit"]
        assert metadata.plugin_data.plugin_name == "pr_curves"
        assert pr_metadata.parse_plugin_metadata(metadata.plugin_data.content).num_thresholds == 11
        assert table.dtype == np.float32
        np.testing.assert_allclose(table, _counts(labels, scores, weights, 11), rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize(
        ("labels", "scores", "words"),
        [
            ([1, 0], [0.5], "shape"),
            ([1, 2], [0.5, 0.5], "1 of 2 labels"),
            ([1, 0], [0.5, 1.5], "1 of 2 scores"),
            ([1, 0], [0.5, np.nan], "1 of 2 scores"),
            (["a"], ["b"], "labels of"),
        ],
    )
    def test_what_is_no_curve(self, tmp_path, labels, scores, words):
        with SummaryWriter(tmp_path) as writer, pytest.raises(GraphFlowError, match=words):
            writer.pr_curve("digit", labels, scores, 0)

    def test_no_examples(self, tmp_path):
        with SummaryWriter(tmp_path) as writer:
            writer.pr_curve("digit", [], [], 0, thresholds=3)
        [[_, table]] = modern_values(writer.path)["digit"]
        assert not table.any()


def _counts(labels, scores, weights, thresholds):
    """By definition: true and false positives, true and false negatives, precision and recall."""
    rows = []
    for threshold in np.arange(thresholds) / (thresholds - 1):
        called = np.floor(scores * (thresholds - 1)) / (thresholds - 1) >= threshold - 1e-9
        counts = [weights[c & t].sum() for c, t in ((called, labels), (called, ~labels))]
        counts += [weights[~called & ~labels].sum(), weights[~called & labels].sum()]
        hits, alarms, _, missed = counts
        rows.append([*counts, hits / max(hits + alarms, 1e-7), hits / max(hits + missed, 1e-7)])
    return np.array(rows).T


class TestSettings:
    def test_as_the_plugin_reads_them(self, tmp_path):
        from tensorboard.plugins.hparams import metadata as hparams_metadata

        with SummaryWriter(tmp_path) as writer:
            writer.hparams(
                {"rate": 1e-3, "method": "adam", "fast": True, "n": np.int64(3)}, ["loss"], "group"
            )
        found = {tag: parts[0][0].plugin_data for tag, parts in modern_values(writer.path).items()}
        assert {one.plugin_name for one in found.values()} == {"hparams"}
        experiment = hparams_metadata.parse_experiment_plugin_data(found["_hparams_/experiment"].content)
        assert [info.name for info in experiment.hparam_infos] == ["rate", "method", "fast", "n"]
        assert [info.type for info in experiment.hparam_infos] == [3, 1, 2, 3]
        assert [info.name.tag for info in experiment.metric_infos] == ["loss"]
        start = hparams_metadata.parse_session_start_info_plugin_data(
            found["_hparams_/session_start_info"].content
        )
        assert start.hparams["rate"].number_value == 1e-3 and start.hparams["n"].number_value == 3
        assert start.hparams["method"].string_value == "adam" and start.hparams["fast"].bool_value is True
        assert start.group_name == "group" and start.start_time_secs > 0
        end = hparams_metadata.parse_session_end_info_plugin_data(found["_hparams_/session_end_info"].content)
        assert end.status == 1 and end.end_time_secs >= start.start_time_secs

    def test_an_exception_marks_the_run_as_failed(self, tmp_path):
        from tensorboard.plugins.hparams import metadata as hparams_metadata

        with pytest.raises(ZeroDivisionError), SummaryWriter(tmp_path) as writer:
            writer.hparams({"rate": 1.0})
            raise ZeroDivisionError
        [[metadata, _]] = modern_values(writer.path)["_hparams_/session_end_info"]
        assert hparams_metadata.parse_session_end_info_plugin_data(metadata.plugin_data.content).status == 2

    def test_what_is_no_setting(self, tmp_path):
        with SummaryWriter(tmp_path) as writer, pytest.raises(DTypeError, match="'layers' is a list"):
            writer.hparams({"layers": [1, 2]})


def test_texts(tmp_path):
    texts = ["rate **1e-3**", "", "zwei\nZeilen, 損失", "x" * 100_000]
    with SummaryWriter(tmp_path) as writer:
        for step, text in enumerate(texts):
            writer.text("settings", text, step)
        with pytest.raises(DTypeError, match="got a int"):
            writer.text("settings", 3, 0)
    found = modern_values(writer.path)["settings"]
    assert {metadata.plugin_data.plugin_name for metadata, _ in found} == {"text"}
    assert [array.reshape(-1)[0].decode() for _, array in found] == texts


class TestGraphs:
    def test_nodes_inputs_and_shapes(self, tmp_path):
        with gf.Graph() as graph:
            x = gf.placeholder("x", ("batch", 6))
            with gf.name_scope("head"):
                _, right = gf.split(x, (2, 4), axis=1)
                gf.sum(gf.exp(right), axis=1)
            gf.assign(gf.variable("w", (), dtype=gf.int32), 1)
        with SummaryWriter(tmp_path) as writer:
            writer.graph(graph)
        found = {node.name: node for node in reader(tmp_path).Graph().node}
        assert list(found) == [node.name for node in graph.nodes]
        assert found["head/exp"].op == "exp" and list(found["head/exp"].input) == ["head/split:1"]
        assert list(found["head/split"].input) == ["x"]
        shapes = [
            [size.size for size in shape.dim]
            for shape in found["head/split"].attr["_output_shapes"].list.shape
        ]
        assert shapes == [[-1, 2], [-1, 4]]
        assert found["x"].attr["dtype"].type == 1 and found["w"].attr["dtype"].type == 3
        assert found["head/sum"].attr["axis"].s == b"(1,)"
        assert re.match(rb"test_events.py:\d+", found["head/exp"].attr["origin"].s)

    def test_bodies_lie_below_their_nodes(self, tmp_path):
        """Under the names that TensorBoard makes scopes of; a parameter reads the operand it stands for."""
        with gf.Graph() as graph:
            x = gf.placeholder("x", (5, 3))
            w = gf.variable("w", (3,))
            step = gf.function(lambda v: gf.cond(gf.sum(v) > 0.0, gf.sin, gf.cos, v), name="choose")
            _, rows = gf.scan(lambda c, r: (c + r, step(c * w)), gf.zeros((3,)), x)
            again = gf.function(lambda v: gf.exp(v), name="twice")
            again(again(rows))
        with SummaryWriter(tmp_path) as writer:
            writer.graph(graph)
        nodes = list(reader(tmp_path).Graph().node)
        found = {node.name: node for node in nodes}
        assert len(found) == len(nodes) == len(list(nested_nodes(graph.nodes)))
        reads = {given.partition(":")[0] for node in nodes for given in node.input}
        assert reads <= set(found)
        product = next(node for name, node in found.items() if node.op == "multiply")
        assert product.name.startswith("scan/body/")
        assert [found[name].input[0] for name in product.input] == ["broadcast_to", "w"]
        inner = [name for name, node in found.items() if node.op in ("sin", "cos")]
        assert (
            all(re.match(r"scan/body/.*/body/.*/branches\.[01]/", name) for name in inner) and len(inner) == 2
        )

    def test_large_attributes_are_shortened(self, tmp_path):
        with gf.Graph() as graph:
            gf.constant(np.zeros((100, 100), np.float32), name="big")
        with SummaryWriter(tmp_path) as writer:
            writer.graph(graph)
        [node] = reader(tmp_path).Graph().node
        assert node.attr["value"].s == b"float32[100, 100]" and os.path.getsize(writer.path) < 1000

    def test_an_empty_graph(self, tmp_path):
        with SummaryWriter(tmp_path) as writer:
            writer.graph(gf.Graph())
        assert list(reader(tmp_path).Graph().node) == []

    def test_every_dtype_has_its_number(self):
        from tensorboard.compat.proto import types_pb2

        from graphflow.ir.dtypes import ALL_DTYPES
        from graphflow.train.event_graph import TYPE_NUMBERS

        others = {"float32": "FLOAT", "float64": "DOUBLE", "float16": "HALF"}
        unknown = ("float8_e8m0fnu", "float6_e2m3fn", "float6_e3m2fn")
        assert {
            dtype.name: getattr(types_pb2, "DT_" + others.get(dtype.name, dtype.name.upper()))
            for dtype in ALL_DTYPES
            if dtype.name not in unknown
        } == TYPE_NUMBERS

    def test_what_is_no_graph(self, tmp_path):
        with SummaryWriter(tmp_path) as writer, pytest.raises(DTypeError, match="no graph"):
            writer.graph("graph")


class TestFiles:
    def test_name_and_first_event(self, tmp_path):
        writer = SummaryWriter(tmp_path / "deep" / "run")
        writer.close()
        [path] = (tmp_path / "deep" / "run").iterdir()
        assert str(path) == writer.path and re.fullmatch(r"events\.out\.tfevents\.\d{10}\..*", path.name)
        [event] = raw_events(writer.path)
        assert event.file_version == "brain.Event:2"

    def test_two_writers_in_one_folder_do_not_clash(self, tmp_path):
        with SummaryWriter(tmp_path) as first, SummaryWriter(tmp_path) as second:
            first.scalar("a", 1, 0)
            second.scalar("b", 2, 0)
        assert first.path != second.path
        assert {event.summary.value[0].tag for event in raw_events(first.path)[1:]} == {"a"}

    def test_flush_makes_events_visible_while_the_file_is_open(self, tmp_path):
        writer = SummaryWriter(tmp_path)
        writer.scalar("loss", 1.0, 0)
        writer.flush()
        assert len(raw_events(writer.path)) == 2
        writer.close()

    def test_old_events_are_flushed_by_new_ones(self, tmp_path):
        with SummaryWriter(tmp_path, flush_seconds=0) as writer:
            writer.scalar("loss", 1.0, 0)
            assert len(raw_events(writer.path)) == 2

    def test_what_a_crash_leaves_can_be_read(self, tmp_path):
        with SummaryWriter(tmp_path) as writer:
            for step in range(5):
                writer.scalar("loss", step, step)
        whole = Path(writer.path).read_bytes()
        Path(writer.path).write_bytes(whole[:-3])
        assert [event.step for event in reader(tmp_path).Scalars("loss")] == [0, 1, 2, 3]

    def test_a_closed_writer_says_so(self, tmp_path):
        writer = SummaryWriter(tmp_path)
        writer.close()
        writer.close()
        for call in (lambda: writer.scalar("loss", 1, 0), lambda: writer.text("t", "", 0), writer.flush):
            with pytest.raises(GraphFlowError, match="is closed") as caught:
                call()
            assert "gf.train.SummaryWriter" in caught.value.hint
        assert "closed" in repr(writer)

    def test_an_unwritable_folder(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(FileFormatError, match="no event file can be written to") as caught:
            SummaryWriter(tmp_path / "file" / "run")
        assert caught.value.origin.file == __file__

    def test_the_file_is_closed_after_an_error(self, tmp_path):
        with pytest.raises(ZeroDivisionError), SummaryWriter(tmp_path) as writer:
            writer.scalar("loss", 1.0, 0)
            raise ZeroDivisionError
        assert len(raw_events(writer.path)) == 2

    def test_purging_what_a_resumed_run_repeats(self, tmp_path):
        for purge_step in (None, 3):
            with SummaryWriter(tmp_path, purge_step=purge_step) as writer:
                for step in range(purge_step or 0, 5):
                    writer.scalar("loss", 10 * (purge_step or 0) + step, step)
        accumulator = EventAccumulator(str(tmp_path), {"scalars": 0}, purge_orphaned_data=True)
        accumulator.Reload()
        found = [(event.step, event.value) for event in accumulator.Scalars("loss")]
        assert found == [(0, 0), (1, 1), (2, 2), (3, 33), (4, 34)]

    def test_a_timer_flushes_when_nothing_further_comes(self, tmp_path):
        writer = SummaryWriter(tmp_path, flush_seconds=0.05)
        writer.scalar("loss", 1.0, 0)
        for _ in range(200):
            if len(raw_events(writer.path)) == 2:
                break
            time.sleep(0.05)
        assert len(raw_events(writer.path)) == 2
        writer.close()

    def test_a_failed_write_leaves_whole_records_and_is_tried_again(self, tmp_path, monkeypatch):
        writer = SummaryWriter(tmp_path)
        writer.scalar("loss", 1.0, 0)
        write = os.write

        def half(handle, data):
            if len(data) < 20:
                raise OSError(28, "No space left on device")
            return write(handle, bytes(data)[: len(data) - 10])

        monkeypatch.setattr(os, "write", half)
        with pytest.raises(FileFormatError, match="No space left"):
            writer.flush()
        assert len(raw_events(writer.path)) == 1
        monkeypatch.setattr(os, "write", write)
        writer.scalar("loss", 2.0, 1)
        writer.close()
        assert [event.value for event in reader(tmp_path).Scalars("loss")] == [1.0, 2.0]

    def test_threads_do_not_mix_records(self, tmp_path):
        with SummaryWriter(tmp_path, flush_seconds=0) as writer:

            def work(number):
                for step in range(50):
                    writer.scalar(f"thread{number}", step, step)

            threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        accumulator = reader(tmp_path)
        for number in range(4):
            assert [event.value for event in accumulator.Scalars(f"thread{number}")] == list(range(50))
