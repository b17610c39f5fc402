from collections.abc import Iterator
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from rag.assistant import Assistant
from rag.desk import Desk
from rag.resources import load_page
from tests.loops import run
from tests.says import Says

app = load_page()
PDS = "Data Selection via Optimal Control for Language Models"
DRAFT = "PDS approximates optimal data selection by solving the PMP conditions."


@pytest.fixture(scope="module")
def address(extractive: Assistant) -> Iterator[str]:
    """The real page, served on a free port of loopback."""
    assistant = Assistant(extractive.settings.model_copy(update={"mode": "auto"}))
    assistant.__dict__["model"] = Says(DRAFT)
    blocks = app.build(Desk(assistant))
    yield app.launch(blocks)
    blocks.close()


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


def test_the_endpoints_are_named_and_nothing_else_is_one(client: Client) -> None:
    described = client.view_api(return_format="dict")
    assert isinstance(described, dict)
    assert set(described["named_endpoints"]) == {"/ask", "/search", "/check", "/papers"}
    assert described["unnamed_endpoints"] == {}
    for endpoint in described["named_endpoints"].values():
        assert len(endpoint["description"]) > 50


def test_ask_gives_what_rag_ask_gives(client: Client) -> None:
    answer = client.predict("What does PDS do?", api_name="/ask")
    assert answer["answer"] == "PDS approximates optimal data selection by solving the PMP conditions [1]."
    assert answer["citations"][0]["title"] == PDS
    assert answer["sentences"][0]["citations"] == [1]


def test_ask_refuses_and_names_the_nearest(client: Client) -> None:
    answer = client.predict("What is the capital of France?", api_name="/ask")
    assert answer["refused"]
    assert len(answer["nearest"]) == 3


def test_ask_takes_filters(client: Client) -> None:
    answer = client.predict("What does PDS do?", since="2099", api_name="/ask")
    assert answer["refusal_reason"] == "no_papers"


def test_search_finds_passages(client: Client) -> None:
    found = client.predict("optimal control for data selection", 2, api_name="/search")
    assert found["passages"][0]["title"] == PDS
    assert len({passage["paper_id"] for passage in found["passages"]}) == 2
    assert 0 < found["confidence"] <= 1


def test_check_takes_a_paper_or_a_text(client: Client) -> None:
    paper = client.predict("optimal control", 1, api_name="/search")["passages"][0]["paper_id"]
    checked = client.predict("PDS solves the PMP conditions.", paper, api_name="/check")
    assert checked["supported"]
    assert checked["paper_id"] == paper
    given = client.predict("Zorb sorts 3 marbles.", "", "Zorb sorts 1,200 marbles.", api_name="/check")
    assert not given["supported"]  # the figure isn't there
    assert given["paper_id"] is None


def test_papers_are_listed_with_their_abstracts(client: Client) -> None:
    found = client.predict("optimal control PDS", api_name="/papers")
    assert [paper["title"] for paper in found] == [PDS]
    assert "Pontryagin" in found[0]["abstract"]


@pytest.mark.parametrize(
    ("endpoint", "given", "says"),
    [
        ("/ask", ("  ",), "The question is empty"),
        ("/ask", ("What does PDS do?", ["ffff"]), "No indexed paper has the id"),
        ("/search", ("x", 5, "", "soon"), "is not a date"),
        ("/check", ("  ",), "The claim is empty"),
        ("/papers", ("", "", "2024", "2023"), "swap the two dates"),
    ],
)
def test_a_mistake_is_one_sentence(client: Client, endpoint: str, given: tuple[Any, ...], says: str) -> None:
    with pytest.raises(AppError) as raised:
        client.predict(*given, api_name=endpoint)
    assert says in str(raised.value)
    assert "Traceback" not in str(raised.value)


def test_the_same_are_tools_for_agents(address: str) -> None:
    async def used() -> tuple[dict[str, Any], Any]:
        served = streamablehttp_client(f"{address}gradio_api/mcp/")
        async with served as (reading, writing, _), ClientSession(reading, writing) as session:
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            return tools, await session.call_tool("ask", {"question": "What does PDS do?"})

    tools, result = run(used())
    assert set(tools) == {"ask", "search", "check", "papers"}
    assert "backed by exact quotes" in tools["ask"].description
    known = tools["search"].inputSchema["properties"]
    assert "1 to 50" in known["count"]["description"]
    assert not result.isError
    assert PDS in result.content[0].text
