"""The audit tells a hole from a service that doesn't answer; the services are ours, with pip-audit before them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded import free_port
from tests.audit import audit

JINJA = {"jinja2": "CVE-2019-10906"}


@contextmanager
def osv(holes: dict[str, str]) -> Iterator[str]:
    """An OSV service that knows these holes, by package; gives its URL."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
            package = {"name": name, "ecosystem": "PyPI"}
            ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}]
            hole = {"id": holes.get(name), "affected": [{"package": package, "ranges": ranges}]}
            body = json.dumps({"vulns": [hole]} if name in holes else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.lock"
    hashed = " --hash=sha256:" + "0" * 64
    path.write_text(f"aiohttp==3.14.5{hashed}\norjson==3.11.0{hashed}\n")
    return path


@pytest.mark.parametrize(
    ("holes", "code", "said"),
    [
        (JINJA, 0, "no known hole in 2 packages"),
        ({**JINJA, "aiohttp": "CVE-1-1"}, 1, "aiohttp 3.14.5 has CVE-1-1, mended in 99.1"),
        ({"aiohttp": "CVE-1-1"}, 0, "NOT DONE"),
    ],
)
def test_a_service_that_answers(
    holes: dict[str, str],
    code: int,
    said: str,
    lock: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with osv(holes) as url:
        monkeypatch.setenv("AUDIT_OSV_URL", url)
        assert audit(lock) == code
    assert said in capsys.readouterr().out


def test_a_service_that_does_not(
    lock: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said plainly, and no failure."""
    monkeypatch.setenv("AUDIT_OSV_URL", f"http://127.0.0.1:{free_port()}/v1/query")
    assert audit(lock) == 0
    assert "NOT DONE" in capsys.readouterr().out


def test_a_lock_that_can_t_be_read_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with osv(JINJA) as url:
        monkeypatch.setenv("AUDIT_OSV_URL", url)
        assert audit(tmp_path / "none") == 1
    assert "broken off" in capsys.readouterr().out
