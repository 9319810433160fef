"""The libraries are taken from a wheel, and what is there is not fetched again."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.runtime.bm1684 import fetch_vendor


def wheel(path: Path, names: tuple[str, ...]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(f"pkg/lib/{name}", name)
    return path


def test_libraries_are_unpacked_and_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fetch_vendor.unpack(wheel(tmp_path / "a.whl", fetch_vendor.LIBRARIES), fetch_vendor.cache())
    monkeypatch.setattr(fetch_vendor.subprocess, "run", lambda *call: pytest.fail("it fetched again"))
    fetch_vendor.main()
    place = tmp_path / "graphflow" / "tpu_mlir-1.18.1" / "libcmodel_1684.so"
    assert capsys.readouterr().out == f"export GRAPHFLOW_BM1684_CMODEL={place}\n"
    assert place.read_text() == "libcmodel_1684.so"
    fetch_vendor.main(["--path"])
    assert capsys.readouterr().out == f"{place}\n"


def test_a_wheel_without_the_libraries_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"holds no libcmodel_1684\.so"):
        fetch_vendor.unpack(wheel(tmp_path / "a.whl", ("other.so",)), tmp_path / "cache")


def test_a_registry_without_the_wheel_and_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_vendor.sys, "platform", "linux")
    monkeypatch.setattr(fetch_vendor.platform, "machine", lambda: "x86_64")
    failed = fetch_vendor.subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(fetch_vendor.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SystemExit, match="cannot be fetched"):
        fetch_vendor.fetch(tmp_path)
    monkeypatch.setattr(fetch_vendor.platform, "machine", lambda: "arm64")
    with pytest.raises(SystemExit, match="Linux on x86-64 alone"):
        fetch_vendor.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []
