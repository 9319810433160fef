"""Histograms, images, texts and precision-recall curves of one tag of one run."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from graphflow.board.answers import MOST_BYTES, TooLarge, int_param, json_answer, number, numbers, text_param
from graphflow.board.store import LogDirectory
from graphflow.errors import FileFormatError

SHOWN_TYPES = ("image/png", "image/jpeg", "image/gif", "image/bmp", "image/webp")
MOST_BUCKETS = 500
MOST_TEXT = 100_000


def _asked(request: Request) -> tuple[LogDirectory, str, str]:
    return request.app.state.log, text_param(request, "run"), text_param(request, "tag")


def histograms(request: Request) -> Response:
    """The histograms of a tag: edges and counts."""
    log, run, tag = _asked(request)
    listed = []
    for one in log.histograms(run, tag, int_param(request, "points", 50, 2, 200)):
        # Of wider ones neighbours are added up.
        stride = max(1, -(-one.counts.size // MOST_BUCKETS))
        starts = range(0, one.counts.size, stride)
        counts = one.counts if stride == 1 else [float(one.counts[at : at + stride].sum()) for at in starts]
        ends = [min(at + stride, one.counts.size) - 1 for at in starts]
        listed.append(
            {
                "step": one.step, "wall": number(one.wall), "left": numbers(one.left[list(starts)]),
                "right": numbers(one.right[ends]), "counts": counts,
            }
        )  # fmt: skip
    return json_answer({"run": run, "tag": tag, "histograms": listed})


def images(request: Request) -> Response:
    """Which images a tag has."""
    log, run, tag = _asked(request)
    listed: list[dict[str, Any]] = [
        {
            "index": one.index, "step": one.step, "wall": number(one.wall), "width": one.width,
            "height": one.height, "count": one.count,
        }
        for one in log.images(run, tag, int_param(request, "points", 100, 2, 1000))
    ]  # fmt: skip
    return json_answer({"run": run, "tag": tag, "images": listed})


def image(request: Request) -> Response:
    """One image as it was logged, if it is of a type that browsers draw and do not run."""
    log, run, tag = _asked(request)
    kind, data = log.image_file(
        run, tag, int_param(request, "index", 0, 0, 2**62), int_param(request, "which", 0, 0, 2**31)
    )
    if kind not in SHOWN_TYPES:
        raise FileFormatError(f"{tag[:80]!r} is no image that is shown", hint="log PNG files")
    if len(data) > MOST_BYTES:
        raise TooLarge(f"the image has {len(data)} bytes", hint="log smaller ones")
    # It never changes: a tag's n-th image stays the n-th, unless the run is restarted.
    return Response(data, media_type=kind, headers={"cache-control": "private, max-age=60"})


def texts(request: Request) -> Response:
    """The texts of a tag, each cut after `MOST_TEXT` characters."""
    log, run, tag = _asked(request)
    listed = [
        {
            "step": one.step, "wall": number(one.wall),
            "texts": [text[:MOST_TEXT] for text in one.texts[:100]],
            "cut": len(one.texts) > 100 or any(len(text) > MOST_TEXT for text in one.texts),
        }
        for one in log.texts(run, tag, int_param(request, "points", 50, 2, 1000))
    ]  # fmt: skip
    return json_answer({"run": run, "tag": tag, "texts": listed})


def pr_curves(request: Request) -> Response:
    """The precision-recall curves of a tag."""
    log, run, tag = _asked(request)
    listed = [
        {
            "step": one.step, "wall": number(one.wall),
            **{
                name: numbers(getattr(one, name))
                for name in (
                    "thresholds", "precision", "recall", "true_positives", "false_positives",
                    "true_negatives", "false_negatives",
                )
            },
        }
        for one in log.pr_curves(run, tag, int_param(request, "points", 50, 2, 200))
    ]  # fmt: skip
    return json_answer({"run": run, "tag": tag, "curves": listed})


ROUTES = [
    Route("/api/histograms", histograms),
    Route("/api/images", images),
    Route("/api/image", image),
    Route("/api/texts", texts),
    Route("/api/pr_curves", pr_curves),
]
