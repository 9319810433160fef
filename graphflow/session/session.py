"""The Session: runs parts of one graph and keeps the values of its variables in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphflow.errors import FeedError, SessionError
from graphflow.ir.graph import Graph
from graphflow.ir.node import Tensor
from graphflow.optimizer.explain import Report
from graphflow.optimizer.memory.report import MemoryReport
from graphflow.optimizer.pass_manager import Pass
from graphflow.optimizer.rule import Rule
from graphflow.runtime.backend import SEGMENT_NODES, Backend, CompileOptions, Executable
from graphflow.session import arguments, checkpoint, reports, restoring
from graphflow.session.cache import Compile, Plan, ProgramCache
from graphflow.session.call import Call
from graphflow.session.callable import Binding, make_step
from graphflow.session.choices import checked_choices
from graphflow.session.debug import Debug
from graphflow.session.feeds import LARGE, needed_placeholders, to_array
from graphflow.session.fetches import fetch_key, parse_fetches
from graphflow.session.growth import GrowthWatch
from graphflow.session.profile import Profile, profile_program
from graphflow.session.restoring import Restored
from graphflow.session.signature import (
    NameIndex,
    Signature,
    listed_keys,
    parse_feed_keys,
    signature_of,
    training_value,
)
from graphflow.session.step import Runner, make_runner
from graphflow.session.value_feeds import NO_VALUE_FEEDS
from graphflow.session.variables import Variables


class _NoArray:
    """The type of nothing that is fed."""


class Session:
    """Runs a graph.

    Arguments:
        graph: the graph; the current one by default.
        backend: "jax", "numpy", another installed backend's name, or a Backend.
        seed: from which variables start and random operators draw; below 2**64.
        level: how much to optimise, "O0" to "O3".
        donate: let a run take over the memory of the variables that it updates. A run that fails
            half-way then loses them; with False it never does, at the price of a second copy.
        cache_dir: a folder that keeps compiled programs between processes, or None.
        segment_nodes: a program of more nodes is compiled in segments, so that it compiles in good time;
            None never does that. See docs/big-graphs.md.
        pipeline: optimizer passes in string form, instead of the level's.
        precision: "bfloat16" or "float16" computes products, and what stands it, in 16 bits; see
            docs/precision.md.
        rules, passes: of your own; rules are tried after those of the package, passes are named by
            `pipeline` or `include`.
        include, exclude: names of rules, tags of rules, and passes.
        check_values: compare what each rule replaces on the values of the first run, and go on without
            a rule that is wrong, with a warning; see `session.debug`.
        nan_guard: raise NonFiniteError where a result has NaN or infinity, naming the node that makes it.
        memory_budget: the most that intermediate values may take, in bytes or as text such as "512MB";
            what is too much is computed again instead of kept. See docs/recomputation.md.

    Attributes:
        variables: their values, as a mapping; see `Variables`.
        compiles: a `Compile` record, with its cause, for each compilation so far.

    Raises:
        SessionError: without a graph in a thread that never built one, or for a bad argument.
        BackendError: if the backend is not available.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("n",))
    >>> with gf.Session(backend="numpy") as sess:
    ...     sess.run([x + 1.0, x * 2.0], {x: [1.0, 2.0]})
    [array([2., 3.], dtype=float32), array([2., 4.], dtype=float32)]
    """

    def __init__(
        self,
        graph: Graph | None = None,
        backend: str | Backend = "jax",
        seed: int = 0,
        level: str = "O2",
        donate: bool = True,
        cache_dir: str | Path | None = None,
        *,
        segment_nodes: int | None = SEGMENT_NODES,
        pipeline: str = "",
        precision: str | None = None,
        rules: Sequence[Rule] = (),
        passes: Sequence[type[Pass]] = (),
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        check_values: bool = False,
        nan_guard: bool = False,
        memory_budget: int | str | None = None,
    ) -> None:
        self.graph = arguments.graph_or_current(graph)
        self.backend = arguments.checked_backend(backend)
        self.level = arguments.checked_level(level)
        self.donate = bool(donate) and not nan_guard  # who guards has to be able to take a run back
        folder = None if cache_dir is None else str(cache_dir)
        options = CompileOptions(self.donate, folder, arguments.checked_segment_nodes(segment_nodes))
        self.variables = Variables(self.graph, self.backend, arguments.checked_seed(seed))
        budget = arguments.checked_memory_budget(memory_budget)
        choices = checked_choices(self.level, pipeline, rules, passes, include, exclude, budget, precision)
        debug = Debug(check_values, nan_guard, self.variables) if check_values or nan_guard else None
        self._cache = ProgramCache(self.backend, choices, options, self._bind, debug)
        self._calls: dict[Any, Call] = {}
        self._names = NameIndex(self.graph)
        self._growth = GrowthWatch(self.graph)
        self._nodes = self.graph.nodes
        self._lock = threading.Lock()
        self._closed = False
        placed = type(self.backend.put(np.zeros(1, np.float32)))
        # Arrays of this type are on the device already, and immutable; a host backend has none such.
        self._device_type: type = _NoArray if placed is np.ndarray else placed

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self.compiles)} programs compiled, step {self.step}"
        return f"<session of {self.graph.name!r} on {self.backend.name}: {state}>"

    @property
    def compiles(self) -> list[Compile]:
        """A record, with its cause, of each compilation so far."""
        return self._cache.compiles

    @property
    def seed(self) -> int:
        """The seed."""
        return self.variables.seed

    @property
    def step(self) -> int:
        """How many runs with an Update have succeeded; random operators draw anew at each step."""
        return self.variables.step

    def close(self) -> None:
        """Release the variables and programs; the session cannot be used any more."""
        with self._lock:
            self._closed = True
            self._calls.clear()
            self._cache.clear()
            self.variables.clear()

    # Running

    def run(self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None, *, to_numpy: bool = True) -> Any:
        """Compute fetches, and apply the updates among them when all is done.

        Arguments:
            fetches: a nest (list, tuple, namedtuple, dict) of tensors, updates and names.
            feed_dict: arrays, numbers or lists by tensor or name. Feeding a tensor in the middle of
                the graph cuts the graph there. `gf.training` takes True or False; it is False by
                default and True when what `minimize` returned is fetched. Arrays are copied.
            to_numpy: give NumPy arrays; with False results stay on the device.

        Returns:
            the same nest with arrays in place of tensors, and None in place of updates.

        Raises:
            FetchError, FeedError: for what cannot be fetched or fed; nothing has been changed.
            BackendError: if compiling or running failed; nothing has been changed.
            SessionError: if the session is closed, or a failure has cost it its variables.

        >>> import graphflow as gf
        >>> count = gf.variable("count", (), dtype=gf.int32)
        >>> increment = gf.assign(count, count + 1)
        >>> with gf.Session(backend="numpy") as sess:
        ...     before, _ = sess.run([count, increment])
        ...     print(before, sess.run(count))
        0 1
        """
        given: Mapping[Any, Any] = {} if feed_dict is None else feed_dict
        try:
            call = self._calls[fetches if type(fetches) is Tensor else fetch_key(fetches), tuple(given)]
        except (KeyError, TypeError):
            call = self._prepare(fetches, feed_dict)
        if len(self._nodes) != self._growth.seen:
            self._growth.look()
        plan = call.plan or self._plan(call, feed_dict)
        feeds, shapes = [], []
        device_type = self._device_type
        for key, dtype, tensor in call.slots:
            value = given[key]
            kind = type(value)
            if kind is np.ndarray and (value.dtype is dtype or value.dtype == dtype):
                value = value.copy() if value.nbytes < LARGE else to_array(value, tensor)
            elif kind is not device_type or value.dtype != dtype:
                value = to_array(value, tensor)
            feeds.append(value)
            shapes.append(value.shape)
        sizes = tuple(shapes) if plan.valued is NO_VALUE_FEEDS else plan.key(feeds)
        variant = plan.variants.get(sizes) or self._cache.variant(plan, sizes)
        return variant.run(feeds, call.to_host if to_numpy else call.to_device)

    def make_callable(
        self, fetches: Any, feeds: Sequence[Any] = (), training: bool | None = None
    ) -> Callable[..., Any]:
        """A function of the feeds that computes the fetches with the least overhead.

        Arguments:
            fetches: a nest of tensors, updates and names.
            feeds: the tensors or names whose values are passed, in this order.
            training: the training flag; by default True if the fetches train, else False.

        Returns:
            `step(*arrays)`, which gives the nest with device arrays: new ones, never the memory of a
            variable. Device arrays of the right dtype are passed on as they are, all else is copied.
            It returns once the work is under way; new sizes compile anew, as in `run`.

        Raises:
            as `run` does; `step` raises FeedError for a wrong number of arrays.

        >>> import graphflow as gf
        >>> x = gf.placeholder("x", (2,))
        >>> sess = gf.Session(backend="numpy")
        >>> double = sess.make_callable(x * 2.0, [x])
        >>> double([1.0, 2.0])
        array([2., 4.], dtype=float32)
        """
        fetch_key(self._require_open(fetches))
        parsed = parse_fetches(fetches, self.graph, self._names.find)
        fed, flag = parse_feed_keys(listed_keys(feeds), self.graph, self._names)
        if flag is not None:
            raise FeedError(
                "the training flag is no argument of a callable", hint="pass training=True or False"
            )
        chosen = parsed.training if training is None else training_value(training)
        plan = self._cache.plan(signature_of(parsed, fed, chosen))
        binding = Binding(self._cache, self.variables, plan, parsed, self._device_type)
        return make_step(binding, list(fed))

    def _prepare(self, fetches: Any, feed_dict: Mapping[Any, Any] | None) -> Call:
        """Find out, and remember, what fetches and feed keys mean."""
        key = fetch_key(self._require_open(fetches))
        if not isinstance(feed_dict, Mapping | None):
            raise FeedError(
                f"feed_dict is a {type(feed_dict).__name__}", hint="pass a dict of tensors or names to arrays"
            )
        keys = tuple(feed_dict or ())
        parsed = parse_fetches(fetches, self.graph, self._names.find)
        fed, flag = parse_feed_keys(keys, self.graph, self._names)
        call = Call(parsed, fed, flag, self.backend.get)
        if flag is None:
            call.plan = self._cache.plan(signature_of(parsed, fed, parsed.training))
        return self._calls.setdefault((key, keys), call)

    def _bind(self, executable: Executable) -> Runner:
        """The runner of a new executable, after its variables have their first values."""
        self.variables.ensure((*executable.updated, *executable.kept))
        return make_runner(executable, self.variables, self.donate)

    def _plan(self, call: Call, feed_dict: Any) -> Plan:
        """The plan of a call whose training flag is fed."""
        training = training_value(feed_dict[call.flag])
        plan = call.plans.get(training)
        if plan is None:
            tensors = [tensor for _, _, tensor in call.slots]
            plan = call.plans[training] = self._cache.plan(signature_of(call.fetches, tensors, training))
        return plan

    def _require_open(self, fetches: Any) -> Any:
        if self._closed:
            raise SessionError(
                "the session is closed", hint="use it inside its `with` block, or make another one"
            )
        return fetches

    # Looking inside

    def explain(
        self,
        fetches: Any,
        feeds: Sequence[Any] | None = None,
        training: bool | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> Report:
        """What the optimizer does to the program of these fetches, edit by edit.

        Arguments:
            fetches: as in `run`.
            feeds: the tensors or names that are fed; by default the placeholders that are needed.
            training: the training flag; by default True if the fetches train, else False.
            sizes: values of the symbolic sizes, which count as 1 by default.

        Returns:
            a Report; print it.

        Raises:
            SessionError: if there are sizes, but not all that are needed.
        """
        return reports.explain_program(self._cache, self._signature(fetches, feeds, training), sizes)

    def memory(
        self,
        fetches: Any,
        sizes: Mapping[str, int] | None = None,
        feeds: Sequence[Any] | None = None,
        training: bool | None = None,
        compiled: bool = False,
    ) -> MemoryReport:
        """The memory that a run of these fetches needs, as planned, beside the backend's own numbers.

        Arguments:
            fetches, feeds, training: as in `explain`.
            sizes: values of the symbolic sizes; by default those of the last run of these fetches.
            compiled: compile for these sizes if no run has yet, so that the backend's numbers are there.

        Returns:
            a MemoryReport; print it, draw it by `.picture(path)`, ask it how to `.fit("64MB")`.

        Raises:
            SessionError: if a symbolic size has no value.

        >>> import graphflow as gf
        >>> x = gf.placeholder("x", ("batch", 1000))
        >>> y = gf.exp(x)
        >>> gf.Session(backend="numpy").memory(y * y + y, sizes={"batch": 2}).plan.output_bytes
        8000
        """
        return reports.memory_of(self._cache, self._signature(fetches, feeds, training), sizes, compiled)

    def profile(self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None, repeats: int = 3) -> Profile:
        """Time and bytes of each node of the optimised program, each run as a program of its own.

        No variable changes. The times leave out what the backend gains by fusing nodes, so they show
        where the work is rather than how long a run takes.

        Arguments:
            fetches, feed_dict: as in `run`.
            repeats: how often each node is timed; the shortest time counts.

        Returns:
            a Profile; print it, or write a Chrome trace with `.save(path)`.
        """
        call = self._prepare(fetches, feed_dict)
        plan = call.plan or self._plan(call, feed_dict)
        arrays = [to_array((feed_dict or {})[key], tensor) for key, _, tensor in call.slots]
        variant = self._cache.variant(plan, plan.key(arrays))
        return profile_program(variant.executable.program, self.backend, self.variables, arrays, repeats)

    def _signature(self, fetches: Any, feeds: Sequence[Any] | None, training: bool | None) -> Signature:
        fetch_key(self._require_open(fetches))
        parsed = parse_fetches(fetches, self.graph, self._names.find)
        chosen = parsed.training if training is None else training_value(training)
        if feeds is None:
            fed: Iterable[Tensor] = needed_placeholders(signature_of(parsed, (), chosen).roots)
        else:
            fed, _ = parse_feed_keys(listed_keys(feeds), self.graph, self._names)
        return signature_of(parsed, fed, chosen)

    # Keeping the state

    def save_checkpoint(self, folder: str | Path, data: Any = None) -> None:
        """Write variables, step, seed and the position of `data` to a folder, replacing the checkpoint in it.

        A crash while writing leaves the old one whole.

        Raises:
            FileFormatError: if the folder cannot be written, or holds something else.
        """
        self._require_open(None)
        checkpoint.save(self.variables, folder, None if data is None else data.state())

    def restore_checkpoint(
        self,
        folder: str | Path,
        data: Any = None,
        *,
        partial: bool = False,
        rename: Mapping[str, str | None] | None = None,
    ) -> Restored:
        """Set variables, step, seed and the position of `data` to those of a checkpoint: all, or nothing.

        Arguments:
            partial: set the variables that both have; step, seed and position stay.
            rename: names here by names there, {"old": "new", "old/": "new/", "not/this/": None}.

        Raises:
            FileFormatError: if it is missing, corrupt, foreign, or of other variables than the graph's.
        """
        self._require_open(None)
        return restoring.restore(self.variables, folder, data, partial, rename)
