"""The log directory: what was logged comes back, whoever wrote it, however it grows, whatever is damaged."""

from __future__ import annotations

import os
import threading
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.board.store import LogDirectory, NotLogged
from graphflow.errors import AttributeValueError, FileFormatError
from graphflow.train import event_encoding as encoding

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.util import tensor_util


def opened(folder) -> LogDirectory:
    log = LogDirectory(folder, index=None, refresh=0)
    log.refresh()
    return log


def put(place: Path, *events: Event) -> None:
    """Append events as protobuf writes them."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place, "ab") as file:
        for event in events:
            file.write(encoding.record(event.SerializeToString()))


def scalar(tag: str, value: float, step: int) -> Event:
    event = Event(wall_time=1.5e9 + step, step=step)
    event.summary.value.add(tag=tag, simple_value=value)
    return event


class TestScalars:
    def test_against_tensorboards_reader(self, tmp_path, rng):
        tags = ["a", "loss/train", "loss/held_out", "größe/損失", "x" * 300]
        with gf.train.SummaryWriter(tmp_path / "run") as writer:
            for step in [0, 1, 127, 128, 300, 20_000, 2**31, 2**40, -5]:
                for tag in tags:
                    writer.scalar(tag, rng.standard_normal(), step)
                writer.scalars("several", {"x": rng.random(), "y": np.nan}, step)
        accumulator = EventAccumulator(str(tmp_path / "run"), {"scalars": 0})
        accumulator.Reload()
        with opened(tmp_path) as log:
            names = [tag.name for tag in log.tags("run", "scalars")]
            assert sorted(names) == sorted(accumulator.Tags()["scalars"])
            for tag in names:
                wanted = accumulator.Scalars(tag)
                curve = log.scalars("run", tag)
                assert curve.step.tolist() == [event.step for event in wanted]
                assert curve.wall.tolist() == [event.wall_time for event in wanted]
                np.testing.assert_array_equal(curve.value, [event.value for event in wanted])
                assert [t.count for t in log.tags("run") if t.name == tag] == [9]

    def test_tensors_of_other_writers(self, tmp_path):
        place = tmp_path / "run" / "events.out.tfevents.1"
        for step in range(5):
            event = Event(wall_time=1.0, step=step)
            for tag, array in (("f4", np.float32(step / 2)), ("f8", np.float64(step / 3))):
                value = event.summary.value.add(tag=tag)
                value.tensor.CopyFrom(tensor_util.make_tensor_proto(array))
                if not step:  # as TensorFlow does it, with the first only
                    value.metadata.plugin_data.plugin_name = "scalars"
            put(place, event)
            alone = Event(wall_time=2.0, step=step)
            value = alone.summary.value.add(tag="content")
            value.tensor.dtype = 1
            value.tensor.tensor_content = np.float32(step).tobytes()
            value.metadata.plugin_data.plugin_name = "scalars"
            put(place, alone)
        with opened(tmp_path) as log:
            assert log.scalars("run", "f4").value.tolist() == [0, 0.5, 1, 1.5, 2]
            assert log.scalars("run", "f8").value.tolist() == [step / 3 for step in range(5)]
            assert log.scalars("run", "content").value.tolist() == [0, 1, 2, 3, 4]

    def test_rows_that_only_look_alike(self, tmp_path):
        """Of one length, but with other fields at the places where another event has tag and value."""
        place = tmp_path / "events.out.tfevents.1"
        text = Event(wall_time=1.0, step=1)
        text.summary.value.add(tag="ab", node_name="xyz")
        unknown = Event(wall_time=1.0, step=1, file_version="0123456789")
        put(place, scalar("abcdef", 1, 1), unknown, scalar("abcdef", 2, 2), text, scalar("ghijkl", 3, 3))
        with opened(tmp_path) as log:
            assert log.scalars(".", "abcdef").value.tolist() == [1, 2]
            assert log.scalars(".", "ghijkl").value.tolist() == [3]
            assert len(log.tags(".")) == 2

    def test_thinned_out(self, tmp_path):
        with gf.train.SummaryWriter(tmp_path) as writer:
            for step in range(500):
                writer.scalar("loss", 100.0 if step == 77 else step % 3, step)
        with opened(tmp_path) as log:
            curve = log.scalars(".", "loss", max_points=50)
            assert curve.count == 500 and curve.step.size <= 50 and 77 in curve.step
            assert log.scalars(".", "loss", 50, "last").step.tolist() == list(range(450, 500))
            with pytest.raises(AttributeValueError, match="no way to thin out"):
                log.scalars(".", "loss", 50, "middle")


class TestOtherKinds:
    def test_what_the_writer_writes(self, tmp_path, rng):
        values, pixels = rng.standard_normal(100), rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        with gf.Graph() as graph:
            gf.exp(gf.placeholder("x", ("n", 2)), name="head/exp")
        with gf.train.SummaryWriter(tmp_path / "run") as writer:
            writer.hparams({"rate": 0.5, "method": "adam", "fast": True}, ["loss"], "group")
            writer.histogram("weights", values, 3, buckets=7)
            writer.image("photo", np.stack([pixels, pixels]), 4, layout="NHWC")
            writer.text("note", "größer", 5)
            writer.pr_curve("pr", [1, 0], [0.9, 0.2], 6, thresholds=3)
            writer.graph(graph)
        with opened(tmp_path) as log:
            [histogram] = log.histograms("run", "weights")
            counts, edges = np.histogram(values, 7)
            np.testing.assert_array_equal(histogram.counts, counts)
            np.testing.assert_allclose(histogram.left, edges[:-1], atol=1e-12)
            [image] = log.images("run", "photo")
            assert (image.step, image.width, image.height, image.count) == (4, 4, 3, 2)
            kind, file = log.image_file("run", "photo", 0, 1)
            assert kind == "image/png" and file.startswith(b"\x89PNG")
            assert log.texts("run", "note")[0].texts == ["größer"]
            [curve] = log.pr_curves("run", "pr")
            assert curve.thresholds.tolist() == [0, 0.5, 1] and curve.recall.tolist() == [1, 1, 0]
            settings = log.hparams("run")
            assert settings.values == {"rate": 0.5, "method": "adam", "fast": True}
            assert (settings.metrics, settings.group, settings.status) == (["loss"], "group", "succeeded")
            own = log.graph("run")
            (tmp_path / "run" / "graphflow" / "graph.json").unlink()
            theirs = log.graph("run")
            for ours, other in zip(own["nodes"], theirs["nodes"], strict=True):
                for key in ("name", "op", "scope", "inputs", "line"):
                    assert ours[key] == other[key]
            assert theirs["nodes"][1]["outputs"] == [{"dtype": "float32", "shape": ["?", 2]}]

    def test_the_older_forms(self, tmp_path):
        event = Event(wall_time=1.0, step=2)
        histo = event.summary.value.add(tag="h").histo
        histo.min, histo.max, histo.num = -0.5, 2.5, 5
        histo.bucket_limit.extend([-1e9, 0.0, 1.0, 3.0, 1e308])
        histo.bucket.extend([0, 1, 0, 4, 0])
        event.summary.value.add(tag="i").image.CopyFrom(
            type(event.summary.value.add().image)(width=3, height=2, encoded_image_string=b"GIF89a")
        )
        put(tmp_path / "events.out.tfevents.1", event)
        with opened(tmp_path) as log:
            [found] = log.histograms(".", "h")
            assert found.left.tolist() == [-0.5, 0, 1] and found.right.tolist() == [0, 1, 2.5]
            assert found.counts.tolist() == [1, 0, 4]
            [image] = log.images(".", "i")
            assert (image.width, image.height, image.count) == (3, 2, 1)
            assert log.image_file(".", "i", 0) == ("image/gif", b"GIF89a")

    def test_what_says_it_is_an_image(self, tmp_path):
        event = Event(wall_time=1.0)
        event.summary.value.add(tag="i").image.encoded_image_string = b"<svg onload='alert(1)'>"
        put(tmp_path / "events.out.tfevents.1", event)
        with opened(tmp_path) as log:
            assert log.image_file(".", "i", 0)[0] == "application/octet-stream"
            for index, which in ((1, 0), (-1, 0), (0, 1)):
                with pytest.raises(NotLogged):
                    log.image_file(".", "i", index, which)


class TestGrowth:
    def test_cut_anywhere_and_continued(self, tmp_path, rng):
        with gf.train.SummaryWriter(tmp_path / "whole") as writer:
            for step in range(40):
                writer.scalar("loss", step, step)
                writer.text("note", str(step), step)
        data = Path(writer.path).read_bytes()
        place = tmp_path / "growing" / "events.out.tfevents.2"
        place.parent.mkdir()
        cuts = [0, *sorted(rng.integers(0, len(data), 25).tolist()), len(data)]
        with LogDirectory(tmp_path / "growing", index=None, refresh=0) as log:
            place.write_bytes(b"")
            for first, last in pairwise(cuts):
                with open(place, "ab") as file:
                    file.write(data[first:last])
                log.refresh()
                assert log.notices() == [] and log.runs()[0].notices == ()
            assert log.scalars(".", "loss").step.tolist() == list(range(40))
            assert [one.texts for one in log.texts(".", "note")] == [[str(step)] for step in range(40)]

    def test_blocks_of_any_size(self, tmp_path, monkeypatch):
        with gf.train.SummaryWriter(tmp_path) as writer:
            for step in range(60):
                writer.scalar("loss", step, step)
                writer.histogram("h", np.arange(step + 1), step)
        for size in (1, 50, 333, 4096):
            monkeypatch.setattr("graphflow.board.store.reading.FIRST_BYTES", size)
            monkeypatch.setattr("graphflow.board.store.reading.BLOCK_BYTES", size)
            with opened(tmp_path) as log:
                assert log.scalars(".", "loss").step.tolist() == list(range(60))
                assert [one.counts.sum() for one in log.histograms(".", "h")] == list(range(1, 61))

    def test_polling(self, tmp_path):
        place = tmp_path / "run" / "events.out.tfevents.1"
        put(place, scalar("a", 1, 0), scalar("b", 1, 0))
        with opened(tmp_path) as log:
            first = log.poll()
            assert first.runs == ["run"] and first.is_complete and first.bytes == first.read_bytes > 0
            assert [tag.name for tag in first.changed["run"]] == ["a", "b"]
            assert log.poll(first.revision).changed == {} and log.poll(first.revision).runs is None
            put(place, scalar("b", 2, 1))
            assert log.refresh() and not log.refresh()
            second = log.poll(first.revision)
            assert [(tag.name, tag.count, tag.step) for tag in second.changed["run"]] == [("b", 2, 1)]
            put(tmp_path / "other" / "events.out.tfevents.1", scalar("c", 1, 0))
            log.refresh()
            assert log.poll(second.revision).runs == ["other", "run"]
            assert log.poll(10**9).runs == ["other", "run"]

    def test_a_run_that_goes_on_from_a_checkpoint(self, tmp_path):
        for start in (None, 3):
            with gf.train.SummaryWriter(tmp_path, purge_step=start) as writer:
                for step in range(start or 0, 5):
                    writer.scalar("loss", 10 * (start or 0) + step, step)
                    writer.text("note", str(start), step)
        with opened(tmp_path) as log:
            curve = log.scalars(".", "loss")
            assert list(zip(curve.step, curve.value)) == [(0, 0), (1, 1), (2, 2), (3, 33), (4, 34)]
            assert [one.texts[0] for one in log.texts(".", "note")] == ["None"] * 3 + ["3"] * 2
            assert [tag.count for tag in log.tags(".")] == [5, 5]

    def test_replaced_and_removed_files(self, tmp_path):
        place = tmp_path / "run" / "events.out.tfevents.1"
        put(place, *[scalar("a", step, step) for step in range(10)])
        with opened(tmp_path) as log:
            place.unlink()
            put(place, scalar("b", 1, 0))
            log.refresh()
            assert [tag.name for tag in log.tags("run")] == ["b"] and "anew" in log.runs()[0].notices[0]
            place.unlink()
            log.refresh()
            assert log.runs() == []
            with pytest.raises(NotLogged, match="no run 'run'"):
                log.tags("run")

    def test_the_background_thread(self, tmp_path):
        place = tmp_path / "run" / "events.out.tfevents.1"
        put(place, scalar("a", 1, 0))
        with LogDirectory(tmp_path, index=None, refresh=0.01) as log:
            assert log.wait(30)
            revision = log.revision
            put(place, scalar("a", 2, 1))
            done = threading.Event()
            for _ in range(3000):
                if log.revision != revision or done.wait(0.01):
                    break
            assert log.scalars("run", "a").value.tolist() == [1, 2]
        assert not [one for one in threading.enumerate() if one.name == "graphflow-board-reader"]
        log.close()


class TestDamage:
    @pytest.mark.parametrize("place", [3, 10, 14, 40])
    def test_what_follows_is_still_read(self, tmp_path, place):
        path = tmp_path / "events.out.tfevents.1"
        put(path, *[scalar("a", step, step) for step in range(20)])
        data = bytearray(path.read_bytes())
        size = len(data) // 20
        data[5 * size + place] ^= 0x10
        path.write_bytes(data)
        with opened(tmp_path) as log:
            steps = log.scalars(".", "a").step.tolist()
            assert set(range(20)) - set(steps) <= {4, 5, 6} and len(steps) >= 18
            assert log.runs()[0].notices and "events.out.tfevents.1" in log.runs()[0].notices[0]

    def test_noise_is_passed_over_once_it_ends(self, tmp_path, rng):
        path = tmp_path / "events.out.tfevents.1"
        put(path, scalar("a", 0, 0))
        with open(path, "ab") as file:
            file.write(rng.integers(0, 256, 10_000, dtype=np.uint8).tobytes())
        with opened(tmp_path) as log:
            assert "no other follows yet" in log.runs()[0].notices[0]
            put(path, scalar("a", 1, 1))
            log.refresh()
            assert log.scalars(".", "a").step.tolist() == [0, 1]

    def test_a_hole_that_is_filled_later(self, tmp_path):
        """As network file systems show a file before all of it has arrived."""
        path = tmp_path / "events.out.tfevents.1"
        put(path, *[scalar("a", step, step) for step in range(4)])
        data = path.read_bytes()
        half = len(data) // 2
        path.write_bytes(data[:half] + bytes(len(data) - half))
        with opened(tmp_path) as log:
            assert log.scalars(".", "a").step.tolist() == [0, 1]
            path.write_bytes(data)
            put(path, scalar("a", 4, 4))
            log.refresh()
            assert log.scalars(".", "a").step.tolist()[-1] == 4

    def test_long_records_are_passed_over(self, tmp_path, monkeypatch):
        monkeypatch.setattr("graphflow.board.store.runs.RECORD_LIMIT", 1000)
        monkeypatch.setattr("graphflow.board.store.reading.FIRST_BYTES", 500)
        monkeypatch.setattr("graphflow.board.store.reading.BLOCK_BYTES", 500)
        path = tmp_path / "events.out.tfevents.1"
        put(path, scalar("a", 0, 0), Event(file_version="x" * 5000), scalar("a", 1, 1))
        with opened(tmp_path) as log:
            assert log.scalars(".", "a").step.tolist() == [0, 1]
            assert "too much" in log.runs()[0].notices[0]

    def test_too_many_tags(self, tmp_path, monkeypatch):
        monkeypatch.setattr("graphflow.board.store.catalog.MOST_TAGS", 10)
        put(tmp_path / "events.out.tfevents.1", *[scalar(f"tag{k:02}", k, 0) for k in range(30)])
        with opened(tmp_path) as log:
            assert len(log.tags(".")) == 10 and "too many tags" in log.runs()[0].notices[0]

    def test_empty_and_foreign_files(self, tmp_path):
        (tmp_path / "events.out.tfevents.0").write_bytes(b"")
        (tmp_path / "events.out.tfevents.1").write_bytes(b"a tfevents file, it says")
        (tmp_path / "thesis.txt").write_text("precious")
        put(tmp_path / "events.out.tfevents.2", scalar("a", 0, 0))
        with opened(tmp_path) as log:
            assert log.scalars(".", "a").count == 1 and len(log.runs()[0].notices) == 1

    def test_what_is_no_folder(self, tmp_path):
        (tmp_path / "file").write_text("")
        for place in ("file", "nowhere"):
            with pytest.raises(FileFormatError, match="no folder") as caught:
                LogDirectory(tmp_path / place)
            assert "SummaryWriter" in caught.value.hint

    def test_a_tag_that_is_not_there(self, tmp_path):
        put(tmp_path / "events.out.tfevents.2", scalar("a", 0, 0))
        with opened(tmp_path) as log:
            with pytest.raises(NotLogged, match="has no scalars 'b'"):
                log.scalars(".", "b")
            with pytest.raises(NotLogged, match="has no images 'a'"):
                log.images(".", "a")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "[" * 100_000, '{"schema":"x"}', '{"schema":"graphflow.graph","version":2}'],
)
def test_damaged_side_files(tmp_path, content):
    put(tmp_path / "events.out.tfevents.2", scalar("a", 0, 0))
    os.mkdir(tmp_path / "graphflow")
    (tmp_path / "graphflow" / "graph.json").write_text(content)
    with opened(tmp_path) as log:
        assert log.runs()[0].side_files == ("graph",)
        with pytest.raises(FileFormatError) as caught:
            log.side(".", "graph")
        assert caught.value.hint
        assert log.side(".", "journal") is None
        with pytest.raises(FileFormatError, match="no side file"):
            log.side(".", "../../etc/passwd")


def test_nodes_of_side_files_always_have_their_form(tmp_path):
    put(tmp_path / "events.out.tfevents.2", scalar("a", 0, 0))
    os.mkdir(tmp_path / "graphflow")
    node = '{"name":5,"inputs":"x","outputs":[1,{"shape":[{}]}],"attrs":[],"flops":NaN}'
    text = f'{{"schema":"graphflow.graph","version":1,"nodes":[3,{node}]}}'
    (tmp_path / "graphflow" / "graph.json").write_text(text)
    with opened(tmp_path) as log:
        assert log.side(".", "graph")["nodes"] == [
            {
                "name": "5", "op": "", "scope": "", "line": "", "inputs": [], "attrs": {},
                "flops": 0, "bytes": 0, "outputs": [{"dtype": "", "shape": ["{}"]}],
            }
        ]  # fmt: skip
