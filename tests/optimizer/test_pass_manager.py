"""The pass manager: contracts, checks between passes, failures that can be repeated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from graphflow.errors import AttributeValueError, RewriteError
from graphflow.ir.parse import parse_graph
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pass_manager import (
    Pass,
    PassContext,
    PassManager,
    PassResult,
    parse_pipeline,
    pipeline_text,
)
from graphflow.optimizer.program import Program
from tests.optimizer.rewriting import build


@dataclass(frozen=True)
class Ensure(Pass):
    """Says that something holds."""

    name: ClassVar[str] = "ensure"
    ensures: ClassVar[frozenset[str]] = frozenset({"tidy"})

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Nothing."""
        return PassResult(False, "said so")


@dataclass(frozen=True)
class Require(Pass):
    """Needs it to hold, and ends it."""

    name: ClassVar[str] = "require"
    requires: ClassVar[frozenset[str]] = frozenset({"tidy"})
    breaks: ClassVar[frozenset[str]] = frozenset({"tidy"})
    max_bytes: int = 7
    quick: bool = False
    label: str = "plain"

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Nothing."""
        return PassResult(True)


@dataclass(frozen=True)
class Static(Ensure):
    """Needs what can be seen from the program."""

    name: ClassVar[str] = "static"
    requires: ClassVar[frozenset[str]] = frozenset({"static-shapes"})


@dataclass(frozen=True)
class Fail(Pass):
    """Fails."""

    name: ClassVar[str] = "fail"

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Raise."""
        raise ValueError("a slip")


@dataclass(frozen=True)
class Corrupt(Pass):
    """Breaks the program behind the Rewriter's back."""

    name: ClassVar[str] = "corrupt"

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Let the first reader read the last node."""
        context.settle()
        program.nodes[1].inputs = (program.nodes[-1].outputs[0],)
        return PassResult(True)


KNOWN: dict[str, type[Pass]] = {kind.name: kind for kind in (Ensure, Require, Static, Fail, Corrupt)}
TEXT = "x: float32[3] -> exp(sqrt(x))"


def run(pipeline: str, text: str = TEXT, **options: object) -> Journal:
    journal = Journal("counts")
    context = PassContext(build(text), journal, **options)
    PassManager(parse_pipeline(pipeline, KNOWN), context).run()
    return journal


# Contracts


def test_facts_are_passed_on_until_broken() -> None:
    journal = run("ensure,require")
    assert [(record.name, record.changed, record.note) for record in journal.passes] == [
        ("ensure", False, "said so"),
        ("require", True, ""),
    ]


def test_a_missing_fact_is_named_with_its_provider() -> None:
    with pytest.raises(RewriteError, match="'require' requires 'tidy'") as caught:
        run("require")
    assert "run a pass that ensures 'tidy'" in str(caught.value)
    with pytest.raises(RewriteError) as caught:
        run("require,ensure")
    assert "put 'ensure' before it" in str(caught.value)
    with pytest.raises(RewriteError, match="'require' requires 'tidy'"):
        run("ensure,require,require")


def test_some_facts_are_seen_from_the_program() -> None:
    run("static")
    with pytest.raises(RewriteError, match="requires 'static-shapes'"):
        run("static", "x: float32[n] -> exp(x)")


# Failures


def test_a_failure_names_the_pass_and_repeats() -> None:
    with pytest.raises(RewriteError, match="pass 'fail' failed: ValueError: a slip") as caught:
        run("ensure,fail,ensure")
    assert "pipeline='ensure,fail'" in str(caught.value)


def test_checking_finds_the_pass_that_broke_the_program() -> None:
    with pytest.raises(RewriteError, match="pass 'corrupt' failed"):
        run("ensure,corrupt,ensure", check=True)


def test_the_program_before_a_failure_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "reproducers"
    with pytest.raises(RewriteError) as caught:
        run("ensure,fail", reproducer=str(folder))
    written = folder / "fail.gf"
    assert str(written) in str(caught.value) and "pipeline 'fail'" in str(caught.value)
    assert [node.op.name for node in parse_graph(written.read_text()).nodes] == ["placeholder", "sqrt", "exp"]
    assert [path.name for path in folder.iterdir()] == ["fail.gf"], "no temporary file is left"


# The string form


def test_options_are_read_and_written() -> None:
    text = "ensure,require{max-bytes=12,quick=true,label=x+y}"
    passes = parse_pipeline(text, KNOWN)
    assert passes == [Ensure(), Require(max_bytes=12, quick=True, label="x+y")]
    assert pipeline_text(passes) == text
    assert parse_pipeline(pipeline_text([Require()]), KNOWN) == [Require()]


def test_a_bare_flag_is_true_and_spaces_are_welcome() -> None:
    assert parse_pipeline(" require { quick  max-bytes=3 } , ensure ", KNOWN) == [
        Require(max_bytes=3, quick=True),
        Ensure(),
    ]
    assert parse_pipeline("", KNOWN) == []


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("requier", "no pass 'requier'", "did you mean 'require'?"),
        ("require{max-byte=3}", "no option 'max-byte'", "did you mean 'max-bytes'?"),
        ("ensure{x=1}", "no option 'x'", "there are exclude"),
        ("require{max-bytes=few}", "cannot be 'few'", "a value such as 7"),
        ("require{quick=perhaps}", "cannot be 'perhaps'", "true or false"),
        ("require{quick", "does not close", ""),
        ("require}", "do not match", ""),
        ("require{{quick}}", "do not match", ""),
        ("require{quick}x", "nothing may follow", ""),
    ],
)
def test_wrong_pipelines_are_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(AttributeValueError) as caught:
        parse_pipeline(text, KNOWN)
    assert message in caught.value.message and hint in (caught.value.hint or "")
