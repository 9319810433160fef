"""Errors of packages that are not installed: what needs them, and the command that brings them."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import BackendError, needing_packages
from graphflow.runtime.backend import get_backend


def test_an_import_that_fails_names_the_package_and_the_command() -> None:
    expected = pytest.raises(BackendError, match=r"gf\.thing needs the Python package no_such_package, which")
    with expected as caught, needing_packages("gf.thing"):
        importlib.import_module("no_such_package.inside")
    assert caught.value.hint == "pip install no_such_package" and "test_errors.py" in str(caught.value)


def test_a_module_of_our_own_that_is_missing_is_not_hidden() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"graphflow\.nowhere"), needing_packages("gf.thing"):
        importlib.import_module("graphflow.nowhere")


def _without(monkeypatch: pytest.MonkeyPatch, package: str, *importers: str) -> None:
    """Let imports of a package fail, by modules that were not imported yet."""

    class Nothing:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for name in list(sys.modules):
        if name.partition(".")[0] == package or name.startswith(importers):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Nothing(), *sys.meta_path])


def test_a_progress_bar_without_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, "tqdm")
    with pytest.raises(BackendError, match=r"gf\.progress needs the Python package tqdm") as caught:
        gf.progress(range(3))
    assert caught.value.hint == "pip install tqdm"


def test_onnx_files_without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, "onnx", "graphflow.io.onnx")
    with pytest.raises(BackendError, match=r"gf\.onnx needs the Python package onnx, which"):
        _ = gf.onnx


def test_a_backend_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, "flatbuffers", "graphflow.runtime.bm1684")
    get_backend.cache_clear()
    with pytest.raises(
        BackendError, match="'bm1684' is not available: No module named 'flatbuffers'"
    ) as caught:
        get_backend("bm1684")
    assert caught.value.hint == "pip install flatbuffers, or use backend='numpy'"
    monkeypatch.undo()
    get_backend.cache_clear()


def test_an_integer_that_does_not_fit_is_named_once() -> None:
    with pytest.raises(gf.DTypeError, match=r"^DTypeError: 300 does not fit uint8"):
        gf.constant(300, dtype=gf.uint8)
    with pytest.raises(gf.DTypeError, match="values from -1 to 300 do not fit uint8"):
        gf.constant(np.array([300, -1]), dtype=gf.uint8)
