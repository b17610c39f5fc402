"""Nobody is let in to the page who should not be: by any route, name, site or file name."""

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from gradio_client import Client
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from rag.login import LOOPBACK, Login
from rag.resident import fingerprint
from rag.settings import Settings, load_settings
from rag.web.uploads import MOST_BYTES
from tests.command import Run, is_one_error
from tests.loops import run as run_loop
from tests.web.visits import ASKED, Visit, served, small

LOGIN = Login("reader", "a long: pässword/@")
HTTPX = (LOGIN.user.encode(), LOGIN.password.encode())
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def alone(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """The page as it is by default: on loopback, without a password."""
    with served(small(settings, tmp_path_factory.mktemp("alone"))) as visit:
        yield visit


@pytest.fixture(scope="module")
def shared(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """The page on all addresses of this machine, with a password."""
    with served(small(settings, tmp_path_factory.mktemp("shared")), host="0.0.0.0", login=LOGIN) as visit:
        yield visit


def routes(among: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Method and path of every route, with something in its placeholders; of what is mounted, a path inside too."""
    for route in among:
        path = before + getattr(route, "path", "")
        inside = getattr(getattr(route, "original_router", route), "routes", None)
        for method in getattr(route, "methods", None) or ["GET", "POST"]:
            if path:
                yield method, re.sub(r"\{.+?\}", "1", path)
        yield from routes(inside or (), path)


# Elsewhere: with user and password only -----------------------------------------------------------


def test_every_route_wants_the_password(shared: Visit) -> None:
    known = set(routes(shared.page.app.routes))
    assert {("POST", "/gradio_api/queue/join"), ("POST", "/gradio_api/upload"), ("GET", "/gradio_api/mcp/sse")} <= known
    assert len(known) > 80
    for method, path in sorted(known - {("GET", "/gradio_api/startup-events")}):
        for wrong in (None, ("reader", "wrong"), ("", "")):
            answered = shared.client.request(method, path, auth=wrong)
            assert answered.status_code == 401, (method, path, wrong)
            assert "PaperTrail" in answered.headers["WWW-Authenticate"]


def test_what_the_server_asks_itself_tells_nothing(shared: Visit) -> None:
    assert shared.client.get("/gradio_api/startup-events").text in ("true", "false")


@pytest.mark.parametrize("header", ["Basic", "Basic %%%", "Bearer abc", "Basic cmVhZGVy", "basic " + "A" * 10_000, "é"])
def test_what_is_no_login_is_refused(shared: Visit, header: str) -> None:
    answered = shared.client.get("/", headers={"Authorization": header.encode()})
    assert answered.status_code == 401


def test_with_the_password_page_and_programs_are_served(shared: Visit) -> None:
    assert "PaperTrail" in shared.client.get("/", auth=HTTPX).text
    program = Client(shared.address, httpx_kwargs={"auth": HTTPX}, verbose=False)
    found = program.predict("marbles", 1, api_name="/search")
    assert "Zorb" in found["passages"][0]["text"]


def test_agents_need_the_password_and_are_served_with_it(shared: Visit) -> None:
    async def asked() -> str:
        at = f"{shared.address}gradio_api/mcp/"
        headers = {"Authorization": httpx.BasicAuth(*HTTPX)._auth_header}
        through = streamablehttp_client(at, headers)
        async with through as (reading, writing, _), ClientSession(reading, writing) as session:
            await session.initialize()
            return str((await session.call_tool("ask", {"question": ASKED})).content)

    assert "1,200 marbles" in run_loop(asked())


def test_a_password_holds_on_loopback_too(settings: Settings) -> None:
    chosen = settings.model_copy(update={"chat": load_settings(chat=CHAT).chat})
    login = Login.wanted(chosen, LOOPBACK)
    assert login == Login("reader", "long enough")
    assert "long enough" not in repr(login) + repr(chosen)
    assert fingerprint(chosen) == fingerprint(settings)  # it decides nothing about answers


CHAT = {"user": "reader", "password": "long enough"}


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_user_and_password_it_does_not_start_elsewhere(host: str, run: Run) -> None:
    result = run("chat", "--host", host, "--no-browser")
    assert result.status == 2
    assert is_one_error(result)
    assert "RAG_CHAT__USER and RAG_CHAT__PASSWORD" in result.err


@pytest.mark.parametrize(
    ("host", "chat", "says"),
    [
        ("0.0.0.0", {"user": "reader"}, "without a password"),
        ("127.0.0.1", {"password": "long enough"}, "without a password"),
        ("0.0.0.0", {"user": "reader", "password": "Short7!"}, "'chat.password'"),
        ("0.0.0.0", {"user": "a:b", "password": "long enough"}, "'chat.user'"),
        ("nowhere", CHAT, "not an address of this machine"),
        ("192.0.2.1", CHAT, "not an address of this machine"),
    ],
)
def test_half_a_login_or_no_address_is_one_sentence(
    host: str, chat: dict[str, str], says: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in chat.items():
        monkeypatch.setenv(f"RAG_CHAT__{name.upper()}", value)
    result = run("chat", "--host", host, "--no-browser")
    assert result.status == 2
    assert is_one_error(result)
    assert says in result.err
    assert chat.get("password", "?") not in result.err


# On loopback: this machine only -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_the_names_of_this_machine_are_served(alone: Visit, name: str) -> None:
    assert alone.client.get("/config", headers={"Host": f"{name}:7860"}).status_code == 200


@pytest.mark.parametrize(
    "name", ["evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "", "[", "192.0.2.1"]
)
def test_a_site_whose_name_leads_here_is_refused(alone: Visit, name: str) -> None:
    for method, path in (("GET", "/"), ("GET", "/config"), ("POST", "/gradio_api/mcp/")):
        assert alone.client.request(method, path, headers={"Host": name}).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1", "null", "http://localhost"])
def test_a_page_of_another_site_can_do_nothing_here(alone: Visit, origin: str) -> None:
    files = {"files": ("page.txt", b"Abstract: bad.")}
    assert alone.client.post("gradio_api/upload", files=files, headers={"Origin": origin}).status_code == 403
    own = alone.address.rstrip("/")
    assert alone.client.post("gradio_api/upload", files=files, headers={"Origin": own}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/config", "/nothing", "/gradio_api/mcp/schema"])
def test_browsers_are_told_to_load_nothing_from_elsewhere(alone: Visit, path: str) -> None:
    told = alone.client.get(path).headers
    assert told["Content-Security-Policy"].startswith("default-src 'self'")
    assert "http" not in told["Content-Security-Policy"]
    assert told["Referrer-Policy"] == "no-referrer"


# Files --------------------------------------------------------------------------------------------


def raw(visit: Visit, path: str) -> tuple[int, bytes]:
    """What is answered to a path that no client has tidied up."""
    port = httpx.URL(visit.address).port
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=60)
    connection._validate_path = lambda _: None  # type: ignore[attr-defined]
    connection.request("GET", path)
    answered = connection.getresponse()
    body = answered.read()
    connection.close()
    return answered.status, body


def tricks(file: Path) -> Iterator[str]:
    """Ways to write a path that a server may be fooled by."""
    up = "../" * 12 + str(file).lstrip("/")
    yield from (
        str(file),
        up,
        f"/{file}",
        f"/./{file}",
        f"file://{file}",
        f"{file}\0.txt",
        f"{file}/",
        up.replace("/", "\\"),
    )
    yield from (quote(str(file), safe=""), quote(up, safe=""), quote(quote(up, safe=""), safe=""))
    yield from (
        up.replace("..", "%2e%2e"),
        up.replace("..", "..;"),
        up.replace("../", "....//"),
        up.replace("/", "%c0%af"),
    )


@pytest.mark.parametrize(
    "route",
    [
        *("/gradio_api/file=", "/gradio_api/file/", "/file=", "/static/", "/assets/", "/svelte/", "/gradio_api/proxy="),
        *("/gradio_api/custom_component/1/client/component/", "/gradio_api/stream/1/1/1/", "/pwa_icon/", "/"),
    ],
)
def test_no_route_gives_a_file_of_this_machine(alone: Visit, route: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("THE SECRET")
    database = alone.settings.index_dir / "chroma.sqlite3"
    assert database.is_file()
    for file in (secret, database, ROOT / "pyproject.toml", Path("/etc/passwd"), Path("pyproject.toml")):
        start = file.read_bytes()[:16] if file.is_file() else b"[build-system]"
        for path in tricks(file):
            written = quote(f"{route}{path}", safe="/=%\\:;.")
            status, body = raw(alone, written)
            assert start not in body, written
            assert status != 200 or b"PaperTrail" in body, written
            assert b"Traceback" not in body


@pytest.mark.parametrize("route", ["/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy="])
def test_nothing_of_another_site_is_fetched_for_a_visitor(alone: Visit, route: str) -> None:
    for path in ("https://example.com/a", "http://127.0.0.1/", quote("https://example.com", safe="")):
        status, body = raw(alone, route + path)
        assert (status, body) == (404, b"Nothing of another site is shown here.")


@pytest.mark.parametrize(("function", "place"), [("search", 0), ("papers", 1), ("_read", 0), ("_chip", 2), ("_ask", 5)])
def test_a_file_is_not_taken_from_an_address(alone: Visit, function: str, place: int) -> None:
    file = {"path": "https://example.com/page.txt", "meta": {"_type": "gradio.FileData"}}
    given: list[Any] = [None] * len(next(fn for fn in alone.page.fns.values() if fn.api_name == function).inputs)
    given[place] = [file] if function == "_read" else file
    assert "A file is added by uploading it" in alone.does(function, *given)


NAMES = [
    *(
        "../../x.txt",
        "/etc/cron.d/x.txt",
        "..\\..\\x.txt",
        "x\0y.txt",
        "..",
        ".",
        "",
        "a/b.txt",
        "C:\\x.txt",
        "~/x.txt",
    ),
    *("n" * 5000 + ".txt", "CON", "nul.txt", "/dev/null", "\u202etxt.x", "%2e%2e%2fx.txt", "-rf", "$(id).txt", ".env"),
]


@pytest.mark.parametrize("name", NAMES)
def test_an_upload_lands_in_its_folder_whatever_its_name_is(alone: Visit, name: str) -> None:
    before = alone.page.app.uploaded_file_dir
    disposition = f'form-data; name="files"; filename="{name}"'.encode()
    body = b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\nAbstract: x.\r\n--b--\r\n"
    sent = alone.client.post(
        "gradio_api/upload", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    if sent.status_code == 200:
        for path in sent.json():
            assert Path(path).resolve().is_relative_to(Path(before).resolve())
            assert Path(path).is_file()
            assert Path(path).stat().st_mode & 0o077 == 0  # its owner's alone
    else:
        assert sent.status_code in (400, 413)
        assert "Traceback" not in sent.text


def test_a_file_that_is_too_large_is_refused_while_it_comes(alone: Visit) -> None:
    folder = Path(alone.page.app.uploaded_file_dir)
    before = set(folder.iterdir())
    block = b"x" * (1 << 20)
    most = 0

    def body() -> Iterator[bytes]:
        nonlocal most
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="page.txt"\r\n\r\n'
        for _ in range(5 * MOST_BYTES // len(block)):
            yield block
            new = set(folder.iterdir()) - before
            most = max([most, *(path.stat().st_size for path in new if path.exists())])

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    with contextlib.suppress(httpx.WriteError):  # it may hang up before it answers
        assert alone.client.post("gradio_api/upload", content=body(), headers=headers).status_code == 413
    assert 0 < most <= MOST_BYTES
    assert set(folder.iterdir()) == before


def test_a_request_that_says_it_is_too_large_is_refused(alone: Visit) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, httpx.URL(alone.address).port, timeout=60)
    connection.putrequest("POST", "/gradio_api/queue/join")
    for name, value in (("Content-Type", "application/json"), ("Content-Length", str(1 << 40))):
        connection.putheader(name, value)
    connection.endheaders(b"{")
    assert connection.getresponse().status == 413
    connection.close()


# The command --------------------------------------------------------------------------------------


def test_the_command_itself_shows_the_page_elsewhere_behind_the_password(alone: Visit) -> None:
    own = {"RAG_DATA_DIR": str(alone.settings.data_dir), "RAG_CORPUS": str(alone.settings.corpus)}
    secret = {"RAG_CHAT__USER": LOGIN.user, "RAG_CHAT__PASSWORD": LOGIN.password}
    with subprocess.Popen(
        [sys.executable, "-c", "from rag.cli import main; main()", "chat", "--host", "0.0.0.0", "--no-browser"],
        env=os.environ | own | secret | {"RAG_MODE": "extractive"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as page:
        assert page.stderr is not None
        said = []
        try:
            for line in page.stderr:
                said.append(line)
                if found := re.search(r"http://localhost:(\d+)/", line):
                    address = f"http://{LOOPBACK}:{found[1]}/"
                    assert httpx.get(address, timeout=600).status_code == 401
                    assert httpx.get(address, auth=HTTPX, timeout=600).status_code == 200
                    break
        finally:
            page.send_signal(signal.SIGINT)
        said += page.stderr.readlines()
    assert "The chat page is at" in "".join(said)
    assert LOGIN.password not in "".join(said)
