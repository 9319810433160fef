"""The command line as a whole: help, exit statuses, and how failures reach the terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

import graphflow as gf
from graphflow.cli import main as entry_point
from graphflow.cli import show
from graphflow.cli.main import COMMANDS, parser
from tests.cli.conftest import Answer

ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    "demo",
    "board",
    "show",
    "run",
    "convert",
    "explain",
    "optimize",
    "plan",
    "bench",
    "compile",
    "simulate",
    "check",
    "bisect",
    "diff",
    "fuzz",
    "disassemble",
]

Call = Callable[..., Answer]


def in_a_process(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "graphflow", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, **options)


def test_the_module_and_the_command_are_the_same() -> None:
    done = in_a_process("--help")
    assert done.returncode == 0 and not done.stderr
    assert done.stdout == parser().format_help()
    config = (ROOT / "setup.cfg").read_text("utf-8")
    assert "graphflow = graphflow.cli:main\n" in config
    (found,) = [
        entry
        for entry in [metadata.EntryPoint("graphflow", "graphflow.cli:main", "console_scripts")]
        if entry.load() is entry_point
    ]
    assert found.name == "graphflow"


def test_the_version_is_the_package_s(call: Call) -> None:
    assert call("--version") == (0, f"graphflow {gf.__version__}\n", "")


def test_help_lists_every_command_with_an_example(call: Call) -> None:
    status, text, _ = call("--help")
    assert status == 0 and len(COMMANDS) == len(NAMES)
    for name in NAMES:
        assert f"    {name}" in text and f"graphflow {name} " in text


@pytest.mark.parametrize("name", NAMES)
def test_help_of_a_command_ends_with_examples_that_parse(call: Call, name: str) -> None:
    status, text, _ = call(name, "--help")
    examples = [line.strip() for line in text.partition("example")[2].splitlines()[1:]]
    assert status == 0 and examples
    for example in examples:
        program, *arguments = example.partition(" > ")[0].split()
        assert program == "graphflow" and parser().parse_args(arguments).command == name


def test_no_command_prints_the_help_and_is_a_misuse(call: Call) -> None:
    assert call() == (2, "", parser().format_help())


@pytest.mark.parametrize(
    "arguments", [["sho"], ["show"], ["explain", "m", "--level", "O9"], ["show", "m", "--budget", "0"]]
)
def test_a_wrong_command_line_is_a_misuse(call: Call, arguments: list[str]) -> None:
    status, out, err = call(*arguments)
    assert status == 2 and not out
    assert err.startswith("usage: graphflow") and "error: " in err


@pytest.mark.parametrize("name", ["show", "run", "explain", "plan"])
def test_a_missing_model_is_named(call: Call, name: str) -> None:
    status, out, err = call(name, "no/such/model")
    assert (status, out) == (1, "")
    assert err.startswith("FileFormatError: there is nothing at 'no/such/model'\n  try: ")


@pytest.mark.parametrize("name", ["show", "run", "explain", "plan"])
def test_what_is_no_model_is_refused(call: Call, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("hello")
    for place in (tmp_path, tmp_path / "file"):
        status, out, err = call(name, place)
        assert (status, out) == (1, "")
        assert f"{str(place)!r} is no model that GraphFlow reads" in err and "gf.saved_model.save" in err


def test_a_checkpoint_is_no_model(call: Call, tmp_path: Path) -> None:
    gf.variable("w", initializer=[1.0])
    with gf.Session(backend="numpy") as sess:
        sess.save_checkpoint(tmp_path / "checkpoint")
    status, _, err = call("show", tmp_path / "checkpoint")
    assert status == 1 and "no whole saved model" in err


def test_a_damaged_model_is_refused(call: Call, model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "model"
    damaged.mkdir()
    for file in model.iterdir():
        content = file.read_bytes()
        (damaged / file.name).write_bytes(content[:-1] + b"?" if file.suffix == ".gf" else content)
    status, _, err = call("show", damaged)
    assert status == 1 and "its SHA-256 differs" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (BrokenPipeError(), 1, ""),
        (FileExistsError(17, "File exists", "out"), 1, "error: 'out': File exists\n"),
        (OSError(28, "No space left on device"), 1, "error: No space left on device\n"),
        (gf.GraphFlowError("no", hint="yes"), 1, "GraphFlowError: no\n  try: yes\n"),
    ],
)
def test_failures_become_sentences(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, said: str
) -> None:
    def fail(path: str) -> None:
        raise error

    monkeypatch.setattr(show, "load_model", fail)
    assert call("show", "model") == (status, "", said)


def test_a_mistake_of_ours_is_not_hidden(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "load_model", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        call("show", "model")


def test_warnings_are_sentences_too(call: Call, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = show.load_model

    def warn(path: str) -> object:
        warnings.warn("the picture was collapsed", stacklevel=1)
        return load(path)

    monkeypatch.setattr(show, "load_model", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        status, _, err = call("show", model)
    assert (status, err) == (0, "warning: the picture was collapsed\n")


def test_a_reader_that_leaves_early_is_no_error_to_read_about(model: Path) -> None:
    command = f"{sys.executable} -m graphflow explain {model} --json | head -c 1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("{", "")


def test_ctrl_c_ends_a_run_with_one_word(tmp_path: Path) -> None:
    """The pipe is opened by nobody else, so the command waits in it until it is interrupted."""
    pipe = tmp_path / "pipe.npy"
    os.mkfifo(pipe)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "manifest.json").write_text("{}")
    program = (
        "import sys\n"
        "from graphflow.cli import main, run\n"
        "run.load_model = lambda path: print('ready', flush=True)\n"
        f"sys.exit(main(['run', 'model', '--feed', 'x={pipe}']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "interrupted\n")


def test_json_is_json(call: Call, model: Path) -> None:
    for arguments in (["explain", model, "--json"], ["plan", model, "--size", "batch=2", "--json"]):
        status, out, err = call(*arguments)
        assert (status, err) == (0, "") and isinstance(json.loads(out), dict)
