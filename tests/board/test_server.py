"""The board's server through starlette's test client: answers, who may ask, limits, bad files."""

from __future__ import annotations

import csv
import gc
import json
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

import graphflow as gf
from graphflow.board import answers, api_scalars, server
from graphflow.board.security import HEADERS, MOST_BODY, MOST_TARGET, own_hosts
from graphflow.board.store import LogDirectory
from graphflow.cli.main import main
from graphflow.errors import FileFormatError
from tests.board.logs import HOSTILE, write_logs

HOST = "127.0.0.1:6060"
TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_logs(tmp_path_factory.mktemp("logs"))


def opened(log: LogDirectory) -> TestClient:
    """A client that has been admitted."""
    app = server.application(log, own_hosts("127.0.0.1", 6060), TOKEN)
    made = TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False)
    assert made.get("/", params={"token": TOKEN}).status_code == 200
    return made


@pytest.fixture(scope="module")
def log(folder: Path) -> Iterator[LogDirectory]:
    with LogDirectory(folder, index=None, refresh=0) as made:
        made.refresh()
        yield made


@pytest.fixture(scope="module")
def client(log: LogDirectory) -> TestClient:
    return opened(log)


@pytest.fixture
def stranger(log: LogDirectory) -> TestClient:
    """A client that has not been admitted."""
    app = server.application(log, own_hosts("127.0.0.1", 6060), TOKEN)
    return TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False)


# What it answers


def test_info_tells_all_runs(client: TestClient, log: LogDirectory) -> None:
    info = client.get("/api/info").json()
    assert [run["name"] for run in info["runs"]] == ["first", "odd", "second"]
    assert info["complete"] and info["revision"] == log.revision
    assert info["kinds"]["scalars"] == ["first", "odd", "second"]
    assert info["kinds"]["images"] == ["first", "second"]
    assert {"scalars", "overview", "histograms", "images", "text", "hparams", "pr_curves"} <= set(
        info["pages"]
    )


def test_tags_name_their_runs(client: TestClient) -> None:
    found = client.get("/api/tags", params={"kind": "scalars"}).json()
    runs = dict(found["tags"])
    assert found["runs"] == ["first", "odd", "second"] and not found["cut"]
    assert runs["loss/train"] == [0, 2] and runs[HOSTILE] == [1]
    assert client.get("/api/tags", params={"kind": "images"}).json()["tags"] == [["digit", None]]


def test_scalars_are_those_that_were_logged(client: TestClient) -> None:
    query = {"tag": "loss/test", "run": ["first", "second", "gone"]}
    curves = client.get("/api/scalars", params=query).json()["curves"]
    assert list(curves) == ["first", "second"]
    first = curves["first"]
    assert first["step"] == list(range(40)) and first["count"] == 40
    assert first["value"][5] == "NaN"
    expected = [1.5 / (1 + 0.1 * step) for step in range(40)]
    np.testing.assert_allclose([float(v) for v in first["value"][6:]], expected[6:], rtol=1e-6)


def test_long_curves_come_thinned_and_smoothed_over_all_points(tmp_path: Path) -> None:
    values = np.sin(np.arange(3000.0)) + np.arange(3000.0) / 100
    with gf.train.SummaryWriter(tmp_path) as writer:
        for step, value in enumerate(values):
            writer.scalar("y", value, step)
    with LogDirectory(tmp_path, index=None, refresh=0) as log:
        log.refresh()
        query = {"tag": "y", "run": ".", "points": 100, "smooth": 0.9}
        curve = opened(log).get("/api/scalars", params=query).json()["curves"]["."]
    assert len(curve["step"]) <= 100 and curve["count"] == 3000
    total = size = 0.0
    expected = []
    for value in values.astype(np.float32).astype(float):
        total, size = 0.9 * total + value, 0.9 * size + 1
        expected.append(total / size)
    np.testing.assert_allclose(curve["smooth"], np.array(expected)[curve["step"]], rtol=1e-6)


@pytest.mark.parametrize("weight", [0.01, 0.6, 0.999])
def test_smoothing_is_the_debiased_moving_average(weight: float) -> None:
    values = np.random.default_rng(0).normal(size=5000)
    values[[0, 17, 4000]] = [np.nan, np.inf, -np.inf]
    found = api_scalars.smoothed(values, weight)
    total = size = 0.0
    for value, made in zip(values, found):
        if not np.isfinite(value):
            assert np.array_equal(made, value, equal_nan=True)
            continue
        total, size = weight * total + (1 - weight) * value, weight * size + (1 - weight)
        assert made == pytest.approx(total / size, rel=1e-9, abs=1e-12)


def test_csv_has_all_points_and_no_formulas(client: TestClient) -> None:
    answer = client.get("/api/scalars.csv", params={"tag": "loss/train", "run": ["first", "second"]})
    rows = list(csv.reader(answer.text.splitlines()))
    assert rows[0] == ["run", "tag", "step", "wall_time", "value"] and len(rows) == 81
    assert rows[1][:3] == ["first", "loss/train", "0"]
    assert "attachment" in answer.headers["content-disposition"]
    formula = client.get("/api/scalars.csv", params={"tag": "=1+1", "run": "odd"}).text
    assert "\r\nodd,'=1+1,0," in formula


def test_histograms_images_texts_and_curves(client: TestClient) -> None:
    asked = {"run": "first", "tag": "weights/kernel"}
    found = client.get("/api/histograms", params=asked).json()["histograms"]
    assert [one["step"] for one in found] == [0, 10, 20, 30]
    assert all(sum(one["counts"]) == pytest.approx(200) for one in found)
    images = client.get("/api/images", params={"run": "first", "tag": "digit"}).json()["images"]
    assert [(one["step"], one["width"], one["height"]) for one in images] == [
        (s, 8, 8) for s in (0, 10, 20, 30)
    ]
    image = client.get("/api/image", params={"run": "first", "tag": "digit", "index": 2})
    assert image.headers["content-type"] == "image/png" and image.content[:4] == b"\x89PNG"
    texts = client.get("/api/texts", params={"run": "first", "tag": "notes"}).json()["texts"]
    assert HOSTILE in texts[0]["texts"][0]
    curves = client.get("/api/pr_curves", params={"run": "first", "tag": "digit 3"}).json()["curves"]
    assert len(curves) == 4 and max(curves[0]["recall"]) == 1


def test_hparams_are_rows(client: TestClient) -> None:
    table = client.get("/api/hparams").json()
    assert table["columns"] == ["rate", "method"] and table["metrics"] == ["loss/train"]
    rows = {row["run"]: row for row in table["rows"]}
    assert set(rows) == {"first", "second"}
    assert rows["second"]["values"] == {"rate": 0.5, "method": "adam"}
    metric = rows["second"]["metrics"]["loss/train"]
    assert metric["step"] == 39 and metric["best"] == metric["last"] == pytest.approx(1 / 20.5)


def test_new_points_are_told(tmp_path: Path) -> None:
    with gf.train.SummaryWriter(tmp_path / "a") as writer, LogDirectory(tmp_path, None, refresh=0) as log:
        writer.scalar("x", 1.0, 0)
        writer.scalar("y", 1.0, 0)
        writer.flush()
        log.refresh()
        client = opened(log)
        before = client.get("/api/poll").json()
        assert before["runs"] == ["a"] and set(before["changed"]["a"]["scalars"]) == {"x", "y"}
        writer.scalar("x", 2.0, 1)
        writer.flush()
        log.refresh()
        after = client.get("/api/poll", params={"since": before["revision"]}).json()
        assert after["revision"] > before["revision"] and after["changed"] == {"a": {"scalars": ["x"]}}
        curve = client.get("/api/scalars", params={"tag": "x", "run": "a"}).json()["curves"]["a"]
        assert curve["value"] == [1.0, 2.0]
        idle = client.get("/api/poll", params={"since": after["revision"]}).json()
        assert idle["changed"] == {} and idle["runs"] is None


def test_many_changes_are_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphflow.board.api_runs.MOST_CHANGED", 3)
    with gf.train.SummaryWriter(tmp_path / "a") as writer:
        for number in range(5):
            writer.scalar(f"tag{number}", 1.0, 0)
    with LogDirectory(tmp_path, None, refresh=0) as log:
        log.refresh()
        assert opened(log).get("/api/poll").json()["changed"] == {"a": None}


# Who may ask


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1", "127.0.0.1:6061", "localhost:6060.evil.example", "", "127.0.0.2:6060"],
)
def test_other_host_names_are_refused(client: TestClient, host: str) -> None:
    assert client.get("/api/info", headers={"host": host}).status_code == 400
    assert client.get("/static/app.js", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", own_hosts("127.0.0.1", 6060))
def test_its_own_names_are_not(stranger: TestClient, host: str) -> None:
    assert stranger.get("/static/app.js", headers={"host": host}).status_code == 200


def test_the_address_that_it_listens_at_is_its_name() -> None:
    assert "127.0.0.5:6060" in own_hosts("127.0.0.5", 6060)
    assert "[fe80::1]:6060" in own_hosts("fe80::1", 6060)
    assert f"{socket.gethostname()}:80" in own_hosts("0.0.0.0", 80)


def test_two_host_headers_are_refused(client: TestClient) -> None:
    answer = client.get("/api/info", headers=[("host", HOST), ("host", "evil.example")])
    assert answer.status_code == 400


def test_all_but_static_files_needs_the_cookie(stranger: TestClient) -> None:
    paths = [
        "/",
        "/api/info",
        "/api/tags?kind=scalars",
        "/api/scalars?tag=accuracy&run=first",
        "/api/hparams",
    ]
    for path in [*paths, "/api/image?run=first&tag=digit", "/anything"]:
        answer = stranger.get(path)
        assert answer.status_code == 401 and "loss" not in answer.text, path
    assert stranger.get("/?token=wrong").status_code == 401
    assert "set-cookie" not in stranger.get("/?token=").headers


def test_the_token_gives_a_strict_cookie_that_is_not_the_token(stranger: TestClient) -> None:
    answer = stranger.get("/", params={"token": TOKEN})
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 200 and "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert TOKEN not in cookie and TOKEN not in answer.text
    assert stranger.get("/api/info").status_code == 200
    assert stranger.get("/api/info", headers={"cookie": f"graphflow_board={TOKEN}"}).status_code == 401


def test_the_token_is_random_and_long(log: LogDirectory) -> None:
    tokens = {server.application(log, [HOST]).token for _ in range(3)}
    assert len(tokens) == 3 and all(len(token) >= 40 for token in tokens)


def test_secrets_are_compared_in_constant_time(stranger: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return False

    monkeypatch.setattr("graphflow.board.security.hmac.compare_digest", compare)
    stranger.get("/", params={"token": TOKEN})
    stranger.get("/api/info", headers={"cookie": "graphflow_board=guess"})
    assert compared[0] == (TOKEN.encode(), TOKEN.encode()) and compared[1][0] == b"guess"


@pytest.mark.parametrize(
    "cookie", ["graphflow_board", "=;=;", "graphflow_board=\xff", 'graphflow_board="', "a" * 9000]
)
def test_odd_cookies_are_no_cookies(stranger: TestClient, cookie: str) -> None:
    assert stranger.get("/api/info", headers={"cookie": cookie.encode("latin-1")}).status_code == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_get_nothing(client: TestClient, site: str) -> None:
    for path in ("/api/info", "/static/app.js"):
        assert (
            client.get(path, headers={"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}).status_code == 403
        )
    followed = {"sec-fetch-site": site, "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=followed).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [None, "null", "http://evil.example", f"http://{HOST}.evil.example", "http://127.0.0.1", "file://"],
)
def test_writes_need_the_own_origin(client: TestClient, origin: str | None) -> None:
    headers = {} if origin is None else {"origin": origin}
    assert client.post("/api/prefer", json={"runs": ["first"]}, headers=headers).status_code == 403


def test_a_write_of_the_own_page_is_done(client: TestClient) -> None:
    own = {"origin": f"http://{HOST}"}
    answer = client.post("/api/prefer", json={"runs": ["first"]}, headers=own)
    assert answer.status_code == 200 and answer.json() == {"preferred": 1}
    for body in ("[", "[]", '{"runs": 3}', '{"runs": [3]}', "[" * 5000):
        headers = {**own, "content-type": "application/json"}
        assert client.post("/api/prefer", content=body, headers=headers).status_code == 400
    assert client.post("/api/prefer", content="runs=a", headers=own).status_code == 415
    huge = json.dumps({"runs": ["x" * MOST_BODY]})
    headers = {**own, "content-type": "application/json"}
    assert client.post("/api/prefer", content=huge, headers=headers).status_code == 413
    pieces = iter([b"{}", b"{}"])  # chunked, of no known length
    assert client.post("/api/prefer", content=pieces, headers=headers).status_code == 413
    for method in ("PUT", "DELETE", "PATCH"):
        assert client.request(method, "/api/info", json={}, headers=own).status_code == 405


def test_every_answer_has_the_policy(client: TestClient, stranger: TestClient) -> None:
    answers_ = [client.get(path) for path in ("/", "/api/info", "/static/app.js", "/nothing", "/api/image")]
    answers_ += [stranger.get("/api/info"), client.get("/", headers={"host": "evil.example"})]
    for answer in answers_:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert "access-control-allow-origin" not in answer.headers
    policy = HEADERS["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';") and "unsafe" not in policy
    assert client.get("/api/info").headers["cache-control"] == "no-store"


# Paths


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static//etc/passwd",
        "/static/%00",
    ],
)
def test_static_files_stay_in_their_folder(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (400, 404) and "uvicorn" not in answer.text


@pytest.mark.parametrize(
    "name", ["../first", "/etc", "first/../first", "first/", "", "\0", "..", "~", "%2e%2e"]
)
def test_runs_are_names_and_no_paths(client: TestClient, name: str) -> None:
    for path in ("histograms", "images", "image", "texts", "pr_curves"):
        answer = client.get(f"/api/{path}", params={"run": name, "tag": "digit"})
        assert answer.status_code == 404, path
    assert client.get("/api/scalars", params={"run": name, "tag": "accuracy"}).json()["curves"] == {}


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    write_logs(tmp_path / "outside")
    logs = tmp_path / "logs"
    (logs / "mine").mkdir(parents=True)
    os.symlink(tmp_path / "outside" / "first", logs / "linked")
    event_file = next((tmp_path / "outside" / "first").glob("events*"))
    os.symlink(event_file, logs / "mine" / event_file.name)
    with LogDirectory(logs, None, refresh=0) as log:
        log.refresh()
        info = opened(log).get("/api/info").json()
    assert sum(run["points"] for run in info["runs"]) == 0


# Bad requests and bad files


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/scalars", 400),
        ("/api/scalars?tag=a&run=first&points=many", 400),
        ("/api/tags?kind=viruses", 400),
        ("/api/scalars?tag=a&smooth=1", 400),
        ("/api/scalars?tag=a&smooth=nan", 400),
        ("/api/poll?since=-", 400),
        ("/api/image?run=first&tag=digit&index=99", 404),
        ("/api/image?run=first&tag=digit&which=99", 404),
        ("/api/nothing", 404),
        ("/api/scalars.csv?tag=none&run=first", 404),
        ("/api/texts?run=first", 400),
        ("/api/scalars?tag=a&" + "&".join(f"run={n}" for n in range(200)), 400),
    ],
)
def test_bad_requests_get_a_sentence(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    told = answer.json()
    assert (
        answer.status_code == status and told["error"] and "hint" in told and "Traceback" not in answer.text
    )


def test_answers_are_bounded(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/api/scalars", params={"tag": "x" * (MOST_TARGET + 1)}).status_code == 414
    query = {"tag": "accuracy", "run": "first", "points": 10**9}
    assert client.get("/api/scalars", params=query).json()["curves"]["first"]["count"] == 40
    monkeypatch.setattr(answers, "MOST_BYTES", 100)
    assert client.get("/api/scalars", params=query).status_code == 413
    monkeypatch.setattr(api_scalars, "MOST_ROWS", 10)
    assert client.get("/api/scalars.csv", params=query).status_code == 400


def test_images_that_are_none_are_not_served(tmp_path: Path) -> None:
    from graphflow.train import event_encoding
    from graphflow.train import event_values as payloads
    from graphflow.train.event_file import EventFile

    page = b"<html><script>alert(1)</script></html>"
    file = EventFile(str(tmp_path), 0.0)
    file.add(event_encoding.event(1.0, 0, event_encoding.version_payload()))
    file.add(event_encoding.event(1.0, 0, payloads.image_payload("picture", [page], 1, 1)))
    file.close()
    with LogDirectory(tmp_path, None, refresh=0) as log:
        log.refresh()
        answer = opened(log).get("/api/image", params={"run": ".", "tag": "picture"})
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/json"
    assert "script" not in answer.text


def test_corrupt_files_do_not_stop_it(tmp_path: Path) -> None:
    write_logs(tmp_path)
    random = np.random.default_rng(0)
    for number, damage in enumerate((b"", b"\0" * 1000, random.bytes(5000), b"<html>")):
        (tmp_path / f"bad{number}").mkdir()
        (tmp_path / f"bad{number}" / "events.out.tfevents.1").write_bytes(damage)
    event_file = next((tmp_path / "first").glob("events*"))
    data = bytearray(event_file.read_bytes())
    for place in random.integers(0, len(data), 30):
        data[place] ^= 0xFF
    event_file.write_bytes(data)
    for kind in ("graph", "journal", "memory", "profile"):
        (tmp_path / "second" / "graphflow").mkdir(exist_ok=True)
        (tmp_path / "second" / "graphflow" / f"{kind}.json").write_text("[" * 100_000)
    with LogDirectory(tmp_path, None, refresh=0) as log:
        log.refresh()
        client = opened(log)
        info = client.get("/api/info")
        assert info.status_code == 200
        for run in info.json()["runs"]:
            for path in ("histograms", "images", "texts", "pr_curves"):
                assert client.get(
                    f"/api/{path}", params={"run": run["name"], "tag": "digit"}
                ).status_code in (200, 404)
        assert client.get("/api/hparams").status_code == 200
        query = {"tag": "accuracy", "run": ["first", "second"]}
        assert client.get("/api/scalars", params=query).json()["curves"]["second"]["count"] == 40
    first = next(run for run in info.json()["runs"] if run["name"] == "first")
    assert first["notices"]


def test_an_error_inside_shows_no_trace(
    client: TestClient, log: LogDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(log, "texts", broken)
    answer = client.get("/api/texts", params={"run": "first", "tag": "notes"})
    assert answer.status_code == 500 and "secret" not in answer.text and answer.json()["hint"]


# The page itself


def test_the_page_has_no_inline_code_and_no_foreign_addresses() -> None:
    for place in server.STATIC.rglob("*"):
        if "vendor" in place.parts or place.suffix not in (".html", ".js", ".css"):
            continue
        text = place.read_text("utf-8")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ):
            assert word not in text.replace("* innerHTML", "").replace("never innerHTML", ""), (place, word)
        for word in ("https://", "http://"):
            addresses = [part for part in text.split(word)[1:] if not part.startswith("www.w3.org/")]
            assert not addresses, (place, word)
    page = (server.STATIC / "index.html").read_text("utf-8")
    assert "onclick" not in page and "style=" not in page and page.count("<script") == 1


def test_what_is_vendored_is_what_it_says() -> None:
    import hashlib

    vendor = server.STATIC / "vendor"
    told = (vendor / "VENDOR.md").read_text("utf-8")
    for place in vendor.rglob("*"):
        if place.is_file() and place.name != "VENDOR.md":
            assert hashlib.sha256(place.read_bytes()).hexdigest() in told, place
    assert (vendor / "uplot" / "LICENSE").is_file()


# Starting it


def test_it_listens_on_loopback_and_answers(log: LogDirectory) -> None:
    with server.running(log) as board:
        assert board.address.startswith(f"http://127.0.0.1:{board.port}/?token=")
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", board.port), 1).close()
                break
            except OSError:
                threading.Event().wait(0.02)
        with urllib.request.urlopen(board.address, timeout=10) as answer:
            assert answer.status == 200 and "server" not in answer.headers
            assert f"graphflow_board_{board.port}=" in answer.headers["set-cookie"]
        address = socket.gethostbyname(socket.gethostname())
        if not address.startswith("127."):
            with pytest.raises(OSError):
                socket.create_connection((address, board.port), 0.5)


def test_stopping_closes_connections_that_are_not_read(log: LogDirectory) -> None:
    with server.running(log) as board, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.connect(("127.0.0.1", board.port))
        cookie = f"graphflow_board_{board.port}={board.address.partition('token=')[2]}"
        wanted = "GET /static/vendor/uplot/uPlot.esm.js HTTP/1.1"
        asked = f"{wanted}\r\nHost: 127.0.0.1:{board.port}\r\nCookie: {cookie}\r\n\r\n"
        client.sendall(asked.encode() * 400)
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        board.stop()
        threading.Event().wait(3)
    gc.collect()  # a transport that was left open warns here


def test_a_taken_port_is_named(log: LogDirectory) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(FileFormatError, match="cannot listen"),
            server.board(log, port=taken.getsockname()[1]),
        ):
            pass


def test_the_command(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: None)
    browsed: list[str] = []
    monkeypatch.setattr("graphflow.board.server.open_browser", browsed.append)
    assert main(["board", str(folder), "--port", "0", "--no-index"]) == 0
    told = capsys.readouterr()
    assert browsed and browsed[0] in told.out and "127.0.0.1" in told.out and not told.err
    arguments = ["board", str(folder), "--port", "0", "--no-index", "--no-browser", "--host", "0.0.0.0"]
    assert main(arguments) == 0
    told = capsys.readouterr()
    assert "other machines" in told.err and len(browsed) == 1
    assert main(["board", str(folder / "nothing"), "--no-browser"]) == 1
    assert "is no folder" in capsys.readouterr().err
