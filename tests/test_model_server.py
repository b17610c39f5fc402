"""What can go wrong with a model server, told in a sentence: real connections to servers that misbehave."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from rag.errors import ModelUnavailable, ServerRefused, SettingsError
from rag.model_server import ModelServer
from rag.remote_model import RemoteModel
from rag.settings import Embed, Generation, Llm, Settings, load_settings
from tests.loopback import serving
from tests.model_host import written_there

KEY = "sk-VerySecret123"
QUESTION = [{"role": "user", "content": "Is Zorb free?"}]
YES = {"choices": [{"message": {"content": "Yes"}, "finish_reason": "stop"}]}


class Script:
    """Answers each request by a function of the handler, the request's number and what was sent."""

    def __init__(self, answer: Callable[[Any, int, dict[str, Any]], None]):
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.counting = threading.Lock()

    def handler(script) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                data = [{"id": "served", "owned_by": "somebody"}, {"id": "other", "owned_by": "somebody"}]
                self.reply(200, {"data": data})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with script.counting:
                    script.asked.append(body)
                    number = len(script.asked)
                script.answer(self, number, body)

            def reply(self, status: int, said: Any, **headers: str) -> None:
                content = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def events(self, *said: Any) -> None:
                self.send_response(200)
                self.send_header("Connection", "close")
                self.end_headers()
                for one in said:
                    self.wfile.write(one if isinstance(one, bytes) else f"data: {json.dumps(one)}\n\n".encode())
                    self.wfile.flush()
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@contextmanager
def scripted(answer: Callable[[Any, int, dict[str, Any]], None]) -> Iterator[tuple[str, Script]]:
    script = Script(answer)
    with serving(script.handler()) as address:
        yield f"{address}/v1", script


def model(settings: Settings, url: str, seconds: float = 60) -> RemoteModel:
    return RemoteModel.load(written_there(settings, url, generation=Generation(max_seconds=seconds)))


def delta(text: str, finished: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, "finish_reason": finished}]}


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        (401, {"error": "no"}, "wants an API key (401): set RAG_LLM__API_KEY"),
        (403, {"error": "no"}, "wants an API key (403)"),
        (404, {"error": {"message": "No such model."}}, "no model 'served': name one with --llm-model (served, o"),
        (400, {"error": {"message": "This model's maximum context length is 512 tokens."}}, "a longer context"),
        (400, {"error": {"message": "the request exceeds the available context size"}}, "a longer context"),
        (422, {"detail": "Unexpected fields"}, "refuses the request (422: Unexpected fields)"),
        (500, b"<html>Oops</html>", "refuses the request (500): see"),
        (500, b"Oops\x1b[31m", "refuses the request (500: Oops [31m)"),
        (200, b"<html>Welcome</html>", "otherwise than an OpenAI-compatible one: correct --llm, which usually ends"),
        (200, [], "otherwise than an OpenAI-compatible one"),
        (200, {"choices": []}, "otherwise than an OpenAI-compatible one"),
        (200, {"choices": [{"message": None}]}, "otherwise than an OpenAI-compatible one"),
        (200, b"[" * 100_000, "otherwise than an OpenAI-compatible one"),
    ],
)  # fmt: skip
def test_what_a_server_answers_instead_is_one_sentence(status: int, said: Any, told: str, settings: Settings) -> None:
    with (
        scripted(lambda handler, *_: handler.reply(status, said)) as (url, _),
        pytest.raises(ModelUnavailable) as error,
    ):
        model(settings, url).yes([QUESTION])
    assert told in str(error.value)
    assert url in str(error.value)
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)


def test_a_server_that_is_not_there(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ModelUnavailable, match=r"can't be reached .*: start it, or correct --llm"):
        model(settings, f"http://127.0.0.1:{port}/v1")


def test_an_address_that_is_another_servers(settings: Settings) -> None:
    class Nothing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            pass

    with serving(Nothing) as address:
        with pytest.raises(ModelUnavailable, match=r"doesn't say which models it has \(501\): correct --llm, .* /v1"):
            RemoteModel.load(written_there(settings, address, None))
        with pytest.raises(ModelUnavailable, match=r"nothing at .*/chat/completions \(404\): correct --llm, .* /v1"):
            model(settings, address).yes([QUESTION])


def test_a_server_that_speaks_no_tls(settings: Settings) -> None:
    with (
        scripted(lambda handler, *_: handler.reply(200, YES)) as (url, _),
        pytest.raises(ModelUnavailable, match=r"no safe connection .* SSL_CERT_FILE"),
    ):
        model(settings, url.replace("http:", "https:"))


@pytest.mark.parametrize("after", ["0", format_datetime(datetime.now(UTC)), "soon", None])
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(
    status: int, after: str | None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.model_server._PAUSE", 0.001)
    headers = {"Retry_After": after} if after else {}

    def answer(handler: Any, number: int, _: Any) -> None:
        handler.reply(*((status, {"error": "busy"}) if number < 3 else (200, YES)), **headers)

    with scripted(answer) as (url, script):
        assert model(settings, url).yes([QUESTION])[0] > 0
    assert len(script.asked) == 3


def test_a_server_that_stays_busy_is_told_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.model_server._PAUSE", 0.001)
    with scripted(lambda handler, *_: handler.reply(503, {"error": {"message": "Loading model"}})) as (url, script):
        with pytest.raises(ServerRefused, match=r"busy or not ready \(503: Loading model\): ask again") as error:
            model(settings, url).yes([QUESTION])
        assert (error.value.status, len(script.asked)) == (503, 4)


def test_a_server_says_how_long_to_wait_and_the_limit_holds_all_the_same(settings: Settings) -> None:
    with scripted(lambda handler, *_: handler.reply(429, {}, Retry_After="3600")) as (url, script):
        with pytest.raises(ModelUnavailable, match=r"within 0\.3 seconds: .*RAG_GENERATION__MAX_SECONDS=0\.6"):
            model(settings, url, 0.3).yes([QUESTION])
        assert len(script.asked) == 1


def test_a_connection_that_was_closed_meanwhile_is_made_anew(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.model_server._PAUSE", 0.001)

    def answer(handler: Any, number: int, _: Any) -> None:
        if number == 1:
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
        else:
            handler.reply(200, YES)

    with scripted(answer) as (url, script):
        assert model(settings, url).yes([QUESTION])[0] > 0
    assert len(script.asked) == 2


def test_a_server_that_hangs_is_given_up_when_the_time_is_over(settings: Settings) -> None:
    over = threading.Event()
    with scripted(lambda *_: over.wait(60)) as (url, _):
        asked = model(settings, url, 0.3)
        with pytest.raises(ModelUnavailable, match=r"did not answer within 0\.3 seconds"):
            asked.yes([QUESTION])
        assert list(asked.stream(QUESTION)) == []  # as any model that runs out of time
        over.set()


def test_a_reply_that_is_no_longer_wanted_is_given_up_and_the_server_notices(settings: Settings) -> None:
    gone = threading.Event()

    def answer(handler: Any, *_: Any) -> None:
        handler.events(delta("Zorb"))
        handler.connection.settimeout(60)
        if handler.connection.recv(1) == b"":
            gone.set()

    with scripted(answer) as (url, _):
        asked = model(settings, url)
        pieces = asked.stream(QUESTION)
        assert next(pieces) == "Zorb"
        pieces.close()
        assert gone.wait(60)
        gone.clear()
        begun = time.monotonic()
        assert list(asked.stream(QUESTION, stopped=lambda: time.monotonic() - begun > 0.2)) == ["Zorb"]
        assert gone.wait(60)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([delta("Zorb is ")], "broke off in the middle of a reply: ask again"),
        (
            [delta("Zorb is "), {"error": {"message": "CUDA out of memory"}}],
            "failed in the middle of a reply: CUDA out",
        ),
        ([delta("Zorb is "), {"error": "it broke"}], "failed in the middle of a reply: it broke"),
        ([delta("Zorb is "), b'error: {"message": "it broke"}\n\n'], "failed in the middle of a reply: it broke"),
        ([delta("Zorb is "), b"data: {\n\n"], "otherwise than an OpenAI-compatible one"),
        ([delta("Zorb is "), b"data: 7\n\n"], "otherwise than an OpenAI-compatible one"),
        ([delta("Zorb is "), b"data: " + b"x" * (5 << 20)], "more than 4 MiB at once"),
    ],
)
def test_a_stream_that_does_not_end_well(events: list[Any], told: str, settings: Settings) -> None:
    with scripted(lambda handler, *_: handler.events(*events)) as (url, _):
        pieces = model(settings, url).stream(QUESTION)
        assert next(pieces) == "Zorb is "
        with pytest.raises(ModelUnavailable) as error:
            list(pieces)
    assert told in str(error.value)


@pytest.mark.parametrize(
    "end", [[delta("", "stop")], [delta("", "length")], [b"data: [DONE]\n\n"], [b"data:[DONE]\r\n"]]
)
def test_a_stream_ends_as_servers_end_it(end: list[Any], settings: Settings) -> None:
    said = [b": are you there?\n\n", delta("Zorb "), b"event: ping\r\n\r\n", delta("is free."), *end]
    with scripted(lambda handler, *_: handler.events(*said)) as (url, _):
        assert list(model(settings, url).stream(QUESTION)) == ["Zorb ", "is free."]


def test_a_server_that_never_stops_writing_is_stopped(settings: Settings) -> None:
    def answer(handler: Any, *_: Any) -> None:
        handler.events(*[delta("word " * 100)] * 1000, delta("", "stop"))

    with scripted(answer) as (url, _):
        assert len("".join(model(settings, url).stream(QUESTION, max_tokens=16))) < 2000


def test_several_questions_are_under_way_at_once(settings: Settings) -> None:
    together = threading.Barrier(5)

    def answer(handler: Any, number: int, body: Any) -> None:
        together.wait(60)  # no reply before all have come
        handler.reply(200, {"choices": [{"message": {"content": body["messages"][0]["content"]}}]})

    with scripted(answer) as (url, _):
        words = ["Yes", "No", "yes", "no", "Perhaps"]
        odds = model(settings, url).yes([[{"role": "user", "content": word}] for word in words])
    assert [value > 0 for value in odds] == [True, False, True, False, False]  # each its own


def test_nothing_is_sent_where_a_redirect_leads(settings: Settings) -> None:
    with (
        scripted(lambda handler, *_: handler.reply(200, YES)) as (elsewhere, there),
        scripted(lambda handler, *_: handler.reply(307, b"", Location=elsewhere)) as (url, _),
    ):
        with pytest.raises(ModelUnavailable, match=r"sends on to .* where nothing is sent"):
            model(settings, url).yes([QUESTION])
        assert there.asked == []


def test_proxies_of_the_environment_are_not_for_loopback(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, nobody)
    with scripted(lambda handler, *_: handler.reply(200, YES)) as (url, _):
        assert model(settings, url).yes([QUESTION])[0] > 0
        with pytest.raises(ModelUnavailable, match="can't be reached"):  # the proxy is for all others
            model(settings, "http://models.example/v1")


def test_the_key_is_sent_and_never_told(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen = []

    def answer(handler: Any, *_: Any) -> None:
        seen.append(handler.headers["Authorization"])
        handler.reply(418, {"error": {"message": f"No: {handler.headers['Authorization']}"}})

    with scripted(answer) as (url, _):
        llm = Llm(url=url, model="served", api_key=KEY)  # type: ignore[arg-type]
        asked = RemoteModel.load(settings.model_copy(update={"offline": False, "llm": llm}))
        with pytest.raises(ModelUnavailable) as error:
            asked.yes([QUESTION])
    assert seen == [f"Bearer {KEY}"]
    assert "No: Bearer …" in str(error.value)
    assert KEY not in caplog.text + repr(llm) + llm.model_dump_json()


def test_switched_off_nothing_is_asked(settings: Settings) -> None:
    with scripted(lambda handler, *_: handler.reply(200, YES)) as (url, script):
        for section in (Llm(url=url), Embed(url=url, model="served")):
            with pytest.raises(ModelUnavailable, match="RAG_OFFLINE=false"):
                ModelServer(section, offline=True)
        assert script.asked == []


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("RAG_LLM__URL", "localhost:8000/v1", "such as http://127"),
        ("RAG_LLM__URL", "file:///etc/passwd", "such as http://127"),
        ("RAG_LLM__URL", "http://me:secret@host/v1", "a key has a setting of its own"),
        ("RAG_LLM__URL", "http://host/v1?key=secret", "a key has a setting of its own"),
        ("RAG_LLM__URL", "http://host:99999/v1", "Port"),
        ("RAG_LLM__API_KEY", "secret\nX-Other: 1", "ASCII letters"),
        ("RAG_LLM__API_KEY", "schlüssel", "ASCII letters"),
        ("RAG_EMBED__URL", "http://host/v1", "--embed-model"),
        ("RAG_EMBED__MODEL", "big", "--embed"),
        ("RAG_LLM__MODEL", "big", "--llm"),
    ],
)
def test_what_cannot_be_a_server_is_said_without_its_secrets(
    variable: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=reason) as error:
        load_settings()
    assert value not in str(error.value) + str(error.value.__cause__)


def test_an_address_may_end_in_a_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_LLM__URL", "http://[::1]:8000/v1/")
    assert load_settings().llm.url == "http://[::1]:8000/v1"
