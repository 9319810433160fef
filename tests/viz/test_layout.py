"""The package's own layout: nothing overlaps, rows stay rows, edges end where boxes are."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from graphflow.viz.layout import lay_out


@st.composite
def layered(draw: st.DrawFn) -> tuple[list, list, list]:
    rows = draw(st.lists(st.integers(0, 5), min_size=1, max_size=25))
    sizes = [(draw(st.sampled_from([10.0, 40.0, 120.0])), draw(st.sampled_from([12.0, 30.0]))) for _ in rows]
    places = st.integers(0, len(rows) - 1)
    pairs = draw(st.lists(st.tuples(places, places), max_size=30))
    return sizes, rows, list(dict.fromkeys((a, b) for a, b in pairs if rows[a] < rows[b]))


@given(layered())
def test_boxes_do_not_overlap_and_paths_join_them(given: tuple[list, list, list]) -> None:
    sizes, rows, edges = given
    layout = lay_out(sizes, rows, edges)
    assert layout == lay_out(sizes, rows, edges)
    sides = []
    for (x, y), (width, height), row in zip(layout.places, sizes, rows):
        sides.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2, row))
    for one, other in itertools.combinations(sides, 2):
        if one[4] == other[4]:
            assert one[2] <= other[0] + 1e-6 or other[2] <= one[0] + 1e-6
        else:
            upper, lower = sorted((one, other), key=lambda side: side[4])
            assert upper[3] < lower[1]
    assert min(side[0] for side in sides) >= -1e-6 and max(side[2] for side in sides) <= layout.width + 1e-6
    assert max(side[3] for side in sides) <= layout.height
    for (source, target), path in zip(edges, layout.paths):
        assert sides[source][0] <= path[0][0] <= sides[source][2] and path[0][1] == sides[source][3]
        assert sides[target][0] <= path[-1][0] <= sides[target][2] and path[-1][1] == sides[target][1]
        assert all(upper[1] <= lower[1] for upper, lower in itertools.pairwise(path))


def test_crossings_that_need_not_be_are_undone() -> None:
    rows = [0, 0, 0, 1, 1, 1]
    layout = lay_out([(20, 10)] * 6, rows, [(0, 5), (1, 4), (2, 3)])
    order = [sorted(some, key=lambda box: layout.places[box][0]) for some in ((0, 1, 2), (5, 4, 3))]
    assert [(0, 1, 2).index(box) for box in order[0]] == [(5, 4, 3).index(box) for box in order[1]]


def test_a_long_edge_is_straight_and_passes_beside_the_boxes() -> None:
    rows = [0, 1, 2, 3]
    layout = lay_out([(60, 20)] * 4, rows, [(0, 1), (1, 2), (2, 3), (0, 3)])
    points = layout.paths[3][1:-1]
    assert max(x for x, _ in points) - min(x for x, _ in points) < 2
    for box in (1, 2):
        assert abs(points[0][0] - layout.places[box][0]) >= 30


def test_nothing_to_lay_out() -> None:
    layout = lay_out([], [], [])
    assert (layout.places, layout.paths, layout.width, layout.height) == ([], [], 0.0, 0.0)


@given(layered(), st.sets(st.integers(0, 24)))
def test_what_is_light_overlaps_nothing_either(given: tuple[list, list, list], light: set[int]) -> None:
    sizes, rows, edges = given
    layout = lay_out(sizes, rows, edges, light)
    by_row: dict[int, list[tuple[float, float]]] = {}
    for (x, _), (width, _), row in zip(layout.places, sizes, rows):
        by_row.setdefault(row, []).append((x - width / 2, x + width / 2))
    for spans in by_row.values():
        spans.sort()
        assert all(one[1] <= other[0] + 1e-6 for one, other in itertools.pairwise(spans))


def test_light_boxes_move_no_others() -> None:
    rows = [0, 1, 2, 3, 1, 1, 2]
    chain = [(0, 1), (1, 2), (2, 3)]
    layout = lay_out([(60, 20)] * 7, rows, [*chain, (0, 4), (0, 5), (1, 6)], {4, 5, 6})
    middles = [layout.places[box][0] for box in range(4)]
    assert max(middles) - min(middles) < 4 and abs(layout.places[4][0] - middles[1]) > 60
