"""Points in columns: what goes in comes out, in memory, sealed, purged, and with a full disk."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.board.store.columns import SCALARS, ColumnFile, Series, read


def points(rng, count, tags=5, first=0):
    ids = rng.integers(0, tags, count)
    return ids, np.arange(first, first + count), rng.random(count), rng.random(count)


@pytest.mark.parametrize("file", ["temporary", "memory", "failing"])
def test_what_goes_in_comes_out(rng, file):
    full = open("/dev/full", "r+b", buffering=0) if file == "failing" else None  # noqa: SIM115
    kept = ColumnFile(full)
    kept.is_failed = file == "memory"
    series, parts = Series(SCALARS), []
    for number in range(6):
        parts.append(points(rng, 100, first=100 * number))
        series.add(*parts[-1])
        if number % 2:
            series.seal(kept)
    assert kept.is_failed == (file != "temporary")
    together = [np.concatenate(column) for column in zip(*parts)]
    for id in range(7):
        chosen = together[0] == id
        for found, wanted in zip(read(kept, series.snapshot(), SCALARS, id), together[1:]):
            np.testing.assert_array_equal(found, wanted[chosen])
    counts, steps, _ = series.totals(kept, 7)
    np.testing.assert_array_equal(counts, np.bincount(together[0], minlength=7))
    assert steps[0] == together[1][together[0] == 0][-1]
    kept.close()


@pytest.fixture
def kept():
    file = ColumnFile()
    yield file
    file.close()


def test_small_segments_become_one(rng, kept):
    series = Series(SCALARS)
    for number in range(5):
        series.add(*points(rng, 10, first=10 * number))
        series.seal(kept)
    assert len(series.segments) == 1 and series.segments[0].points == 50


def test_purging(rng, kept):
    series = Series(SCALARS)
    series.add(*points(rng, 100, tags=1))
    series.seal(kept)
    series.add(*points(rng, 100, tags=1, first=100))
    series.purge(150)
    assert read(kept, series.snapshot(), SCALARS, 0)[0].tolist() == list(range(150))
    series.purge(60)
    series.add(*points(rng, 10, tags=1, first=60))
    series.seal(kept)
    series.add(*points(rng, 1, tags=1, first=500))
    found = read(kept, series.snapshot(), SCALARS, 0)[0].tolist()
    assert found == [*range(60), *range(60, 70), 500]
    assert series.totals(kept, 1)[0].tolist() == [71]


def test_float32_takes_half_the_place_and_float64_stays_exact(kept):
    series = Series(SCALARS)
    narrow = np.array([0.5, np.nan, np.inf, 2.0**-149, -0.0])
    series.add(np.zeros(5, int), np.arange(5), np.full(5, 1.7e9 + 0.1), narrow)
    series.seal(kept)
    assert series.segments[0].dtypes == ["<i8", "<f8", "<f4"]
    np.testing.assert_array_equal(read(kept, series.snapshot(), SCALARS, 0)[2], narrow)
    assert np.signbit(read(kept, series.snapshot(), SCALARS, 0)[2][4])
    wide = Series(SCALARS)
    wide.add(np.zeros(1, int), np.zeros(1, int), np.zeros(1), np.array([0.1]))
    wide.seal(kept)
    assert read(kept, wide.snapshot(), SCALARS, 0)[2].tolist() == [0.1]


def test_a_file_that_was_cut(rng, tmp_path):
    path = tmp_path / "columns"
    kept = ColumnFile(open(path, "x+b", buffering=0))  # noqa: SIM115
    series = Series(SCALARS)
    series.add(*points(rng, 100))
    series.seal(kept)
    path.write_bytes(b"")
    with pytest.raises(OSError, match="cut"):
        read(kept, series.snapshot(), SCALARS, 0)
    kept.close()
