"""The page as programs meet it: served on a free port over a small index, and asked as a browser asks it."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from rag.assistant import Assistant
from rag.desk import Desk, Line
from rag.login import LOOPBACK, Login
from rag.resources import load_page
from rag.settings import Settings

ZORB = "We introduce Zorb, a tool for marbles. Zorb sorts 1,200 marbles a second, 3 times more than Blip."
QUUX = "Quux is a kettle for laboratories. It boils 2.5 litres of water in 40 seconds."
ASKED = "How many marbles does Zorb sort?"
app = load_page()


def small(settings: Settings, folder: Path) -> Settings:
    """Settings of an index of its own over two abstracts, which is still to be made."""
    pages = folder / "their pages"
    pages.mkdir(parents=True)
    (pages / "page.txt").write_text(f"Abstract: {ZORB}\nAbstract: {QUUX}\n")
    return settings.model_copy(update={"data_dir": folder / "data", "corpus": pages, "mode": "extractive"})


class Visit:
    """Asks the page of an address, as one session of a browser."""

    def __init__(self, page: Any, settings: Settings, address: str, client: httpx.Client):
        self.page, self.settings, self.address, self.client = page, settings, address, client
        self._session = secrets.token_hex(8)

    def does(self, name: str, *given: Any, event: Any = None) -> str:
        """All that the page sends when the function of this name is called with these inputs of the page."""
        function = next(key for key, block_fn in self.page.fns.items() if block_fn.api_name == name)
        body = {"data": given, "fn_index": function, "session_hash": self._session, "event_data": event}
        joined = self.client.post("gradio_api/queue/join", json=body)
        told = [joined.text]
        query = {"session_hash": self._session}
        with self.client.stream("GET", "gradio_api/queue/data", params=query) as stream:
            told += stream.iter_lines()
        return json.dumps([json.loads(line.partition(": ")[2] or "0") for line in told], ensure_ascii=False)

    def asks(self, question: str = ASKED, model: str = "", mode: str = "auto") -> str:
        """All that the page sends for a question."""
        nothing = [None] * 3
        return self.does("_ask", question, "", *nothing, model, mode, 3, "", "", "")


@contextmanager
def served(
    settings: Settings, *, host: str = LOOPBACK, login: Login | None = None, model: Any = None, line: Line | None = None
) -> Iterator[Visit]:
    """The real page, and a visitor of it who gives no password."""
    assistant = Assistant(settings)
    if model is not None:
        assistant.__dict__["model"] = model
    assistant.told()
    page = app.build(Desk(assistant, line))
    address = app.launch(page, host=host, login=login).replace("localhost", LOOPBACK)
    try:
        with httpx.Client(base_url=address, timeout=600) as client:
            yield Visit(page, settings, address, client)
    finally:
        page.close()
        assistant.close()
