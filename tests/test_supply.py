"""What is installed: only files whose SHA-256 is locked, none with a known vulnerability."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.utils import canonicalize_name

from tests.loopback import serving

ROOT = Path(__file__).parents[1]
_ENTRY = re.compile(r"^([\w.-]+)==([^\s;]+)(?: ; (.+?))?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", re.M)


def locked(name: str) -> list[tuple[str, str, str, str]]:
    """Name, version, marker and hashes of each package in a lock."""
    return _ENTRY.findall((ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-cuda.lock"])
def test_each_package_has_one_version_and_hashes_and_nothing_else_is_locked(name: str) -> None:
    entries = locked(name)
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert len(entries) == sum(not line.startswith((" ", "#")) for line in lines)
    assert len({canonicalize_name(entry[0]) for entry in entries}) == len(entries)


def test_nothing_in_the_locks_names_an_index_or_a_folder() -> None:
    for name in ("requirements.lock", "requirements-cuda.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"://|--(?:extra-)?index|--find-links|@ |^/", text, re.M)


def test_what_is_installed_is_what_is_locked() -> None:
    wanted = {
        entry[0]: entry[1] for entry in locked("requirements.lock") if not entry[2] or Marker(entry[2]).evaluate()
    }
    assert {name: version(name).partition("+")[0] for name in wanted} == wanted


def test_either_build_of_torch_is_let_in_and_what_only_cuda_needs_is_apart() -> None:
    names = {entry[0]: entry[3] for entry in locked("requirements.lock")}
    cuda = {entry[0] for entry in locked("requirements-cuda.lock")}
    builds = re.findall(r"sha256:([0-9a-f]{64})", (ROOT / ".ci/torch-cpu.txt").read_text())
    assert len(builds) > 3
    assert all(names["torch"].count(build) == 1 for build in builds)
    assert names["torch"].count("--hash") > len(builds)  # PyPI's own
    assert "triton" in cuda
    assert not any(name.startswith("nvidia-") for name in names)


# Vulnerabilities -----------------------------------------------------------------------------------


@contextmanager
def service(vulnerable: str) -> Iterator[str]:
    """The address of a service like OSV's, which knows one vulnerable package."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = asked["package"]["name"]
            ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}]
            affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges}]
            known = {"vulns": [{"id": "GHSA-invented", "summary": "Bad.", "affected": affected}]}
            body = json.dumps(known if name == vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Answers) as address:
        yield f"{address}/v1/query"


Audit = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    def ended(address: str) -> subprocess.CompletedProcess[str]:
        asked = ["--vulnerability-service", "osv", "--osv-url", address, "--cache-dir", str(tmp_path)]
        return subprocess.run(
            [sys.executable, ROOT / ".ci/audit.py", *asked], capture_output=True, text=True, timeout=120
        )

    return ended


def test_a_known_vulnerability_fails_and_is_named(audit: Audit) -> None:
    with service("gradio") as address:
        ended = audit(address)
    assert ended.returncode == 1
    assert re.search(r"gradio \S+: GHSA-invented, mended in: 99\.1", ended.stderr)


def test_without_a_known_vulnerability_it_says_how_many_were_looked_at(audit: Audit) -> None:
    with service("nobody") as address:
        ended = audit(address)
    assert ended.returncode == 0
    looked_at = re.fullmatch(r"(\d+) of (\d+) locked packages were checked\.\n", ended.stderr)
    assert looked_at
    assert int(looked_at[1]) > 150


def test_without_a_service_it_says_so_in_one_line_and_does_not_fail(audit: Audit) -> None:
    with service("nobody") as address:
        pass  # gone now
    ended = audit(address)
    assert ended.returncode == 0
    assert re.fullmatch(r"No vulnerability service can be reached \(.+\): nothing was checked\.\n", ended.stderr)
