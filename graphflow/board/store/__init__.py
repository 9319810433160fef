"""The log store: a folder of event files, read while it grows, and answered from in milliseconds.

    from graphflow.board.store import LogDirectory

    with LogDirectory("logs") as log:              # begins to read in the background
        for run in log.runs():                     # Run: name, tags, points, bytes, side_files, notices
            for tag in log.tags(run.name):         # Tag: name, kind, count, step, wall, changed
                ...
        curve = log.scalars("first", "loss", max_points=1000)      # Curve: step, wall, value, count
        changes = log.poll()                       # Changes: revision, changed, runs, is_complete
        changes = log.poll(changes.revision)       # only what changed since

All of `LogDirectory`, none of which waits for files but `refresh`, `wait` and `close`:

    LogDirectory(path, index="cache", refresh=2.0)  # index: a folder or None; refresh: seconds
    root: Path; revision: int  # the folder, resolved; how often something changed
    runs() -> list[Run]  # by name; "." is the folder itself
    tags(run, kind=None) -> list[Tag]  # kinds are KINDS
    node_tags(run, node) -> list[Tag]  # those that speak of a node of the graph
    poll(since=-1) -> Changes  # tags that changed, by run; names of all runs if those did
    prefer(runs) -> None  # read these first
    notices() -> list[str]  # what of the folder could not be read; runs have their own
    scalars(run, tag, max_points=None, method="minmax") -> Curve  # method: minmax, lttb, last, spread
    histograms(run, tag, max_points=100) -> list[Histogram]  # step, wall, left, right, counts
    pr_curves(run, tag, max_points=100) -> list[PrCurve]  # step, wall, thresholds, ..., precision, recall
    images(run, tag, max_points=100) -> list[Image]  # index, step, wall, width, height, count
    image_file(run, tag, index, which=0) -> tuple[str, bytes]  # MIME type and file, which < count
    texts(run, tag, max_points=100) -> list[Text]  # step, wall, texts
    hparams(run) -> Settings | None  # values, metrics, group, status, started, ended
    graph(run) -> dict | None  # as graph.json has it, made of TensorBoard's form if need be
    side(run, kind) -> dict | None  # kind: graph, journal, memory, profile: see train.side_files
    place(run) -> str  # its folder below root
    refresh() -> bool  # read now, in this thread; whether anything came
    wait(timeout=None) -> bool  # until all that is there has been read once
    close()  # stops, and writes the index; also a context manager

Unknown runs, tags and indexes raise `NotLogged`; damaged side files raise FileFormatError. Both are
GraphFlowErrors with a `hint`. Names, tags and texts come from files and are not to be trusted: they are text,
with what is no UTF-8 replaced by U+FFFD. Nobody gives paths: runs and tags are looked up by name.
`node_of(tag)` is the node in a tag that `gf.train.watch` wrote, or "". The arrays may be read-only.

From below: `wire` takes messages apart, `records` finds them in bytes, `messages` and `layouts` read events
one by one and many at once, `blocks` makes columns of them, `columns` keeps these, `catalog` the tags, `runs`
follows files, `reading` all of them, `index_file` keeps what was read, `places` opens nothing outside of it.
"""

from graphflow.board.store.catalog import Tag
from graphflow.board.store.directory import LogDirectory, NotLogged, node_of
from graphflow.board.store.messages import KINDS
from graphflow.board.store.views import Changes, Curve, Histogram, Image, PrCurve, Run, Settings, Text

__all__ = [
    "KINDS",
    "Changes",
    "Curve",
    "Histogram",
    "Image",
    "LogDirectory",
    "NotLogged",
    "PrCurve",
    "Run",
    "Settings",
    "Tag",
    "Text",
    "node_of",
]
