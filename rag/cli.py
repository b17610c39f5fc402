"""The ``rag`` command. Data goes to standard output, everything else to standard error."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

import rag
from rag.cli_collections import app as collections_app
from rag.cli_eval import app as eval_app
from rag.cli_papers import app as papers_app
from rag.cli_shared import (
    Author,
    Llm,
    LlmModel,
    Model,
    PaperOption,
    Since,
    Until,
    before_command,
    changed,
    examples,
    filters_of,
    load_settings,
    of_server,
    opened,
    terminal,
    until_stopped,
)
from rag.errors import ModelUnavailable, RagError, UsageError
from rag.terminal import ClosedPipe

if TYPE_CHECKING:
    from rag.assistant import Assistant
    from rag.conversation import Turn
    from rag.filters import Filters
    from rag.settings import Mode, Settings
    from rag.spread import Workers

REFUSED = 3
INTERRUPTED = 130

app = typer.Typer(
    name="rag",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Ask questions about research papers; every sentence of the answer is backed by an abstract's exact words.",
    epilog='Start with:  rag ask "What does PDS do?"',
)
models_app = typer.Typer(help="List, fetch and remove models.", invoke_without_command=True)
app.add_typer(models_app, name="models")
app.add_typer(eval_app, name="eval")
app.add_typer(collections_app, name="collections")
app.add_typer(papers_app)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Input = Annotated[
    Optional[str],
    typer.Option("--input", "-i", help='Questions as JSON lines, {"id", "question"}; - is standard input.'),
]
Output = Annotated[
    Optional[Path], typer.Option("--output", "-o", help="Where results go, a line each; started again, it goes on.")
]


def _version(wanted: bool) -> None:
    if wanted:
        terminal.out(f"rag, version {rag.__version__}")
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
    store: Annotated[
        Optional[str],
        typer.Option("--store", metavar="URL", help="The Chroma server that holds the index, as http://host:8000."),
    ] = None,
    collection: Annotated[
        Optional[str], typer.Option("--collection", metavar="NAME", help="Which of several indexes.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    embed: Annotated[
        Optional[str],
        typer.Option(
            "--embed",
            metavar="URL",
            help="An OpenAI-compatible server that embeds, as http://127.0.0.1:8000/v1; abstracts and questions are "
            "sent there.",
        ),
    ] = None,
    embed_model: Annotated[
        Optional[str], typer.Option("--embed-model", metavar="NAME", help="The model's name on that server.")
    ] = None,
) -> None:
    """Options of every command."""
    at = None if store is None else {"url": store}
    before_command.set({"store": at, "collection": collection, "embed": of_server(embed, embed_model)})


@app.command(
    epilog=examples(
        'rag ask "What does PDS do?"',
        'rag ask --author "Zhendong Wang" --since 2023 "How is diffusion made faster?"',
        "rag ask --input questions.jsonl --output answers.jsonl",
        'rag ask --llm http://127.0.0.1:8000/v1 --llm-model NAME "What does PDS do?"',
        'rag ask --json "What does PDS do?" | jq -r .answer',
    )
)
def ask(
    question: Annotated[Optional[str], typer.Argument(help="What you want to know.")] = None,
    json_: Json = False,
    input_: Input = None,
    output: Output = None,
    continue_: Annotated[
        bool, typer.Option("--continue", "-c", help="A follow-up: it may lean on the questions asked before.")
    ] = False,
    paper: PaperOption = None,
    author: Author = None,
    since: Since = None,
    until: Until = None,
    model: Model = None,
    llm: Llm = None,
    llm_model: LlmModel = None,
    mode: Annotated[Optional[str], typer.Option("--mode", help="auto, generated or extractive.")] = None,
) -> int:
    """Answer a question; exit status 3 if the papers don't say."""
    settings = load_settings(model=model, llm=llm, llm_model=llm_model, mode=_mode(mode))
    filters = filters_of(paper, author, since, until)
    if not _is_batch(question, input_, output):
        return _ask_one(settings, _given(question), filters, json_, continue_)
    if continue_:
        raise UsageError("--continue is for one question: leave it out, or leave out --input.")
    with opened(settings) as assistant:
        return _batch(assistant, input_, output, _ask_line(assistant), "answers", filters)


def _ask_one(settings: Settings, question: str, filters: Filters, as_json: bool, continued: bool) -> int:
    from rag.answers import Answer
    from rag.conversation import Turn, remember, remembered
    from rag.errors import StorageError
    from rag.events import Doing, Drafting, Notice, Waiting, Working

    conversation = settings.conversation_file
    history = remembered(conversation) if continued else ()
    if continued and not history and conversation.exists():
        terminal.note(f"{conversation} holds no conversation that can be read: this question begins a new one.")
    for event in _told(settings, question, filters, history):
        if isinstance(event, Working):
            terminal.progress(event.stage)
        elif isinstance(event, Waiting):
            terminal.progress(f"Waiting: {event.before} before this question")
        elif isinstance(event, Doing):
            terminal.progress(event.task, event.share or 0, None if event.share is None else 1)
        elif isinstance(event, Notice):
            terminal.note(event.text)
        elif isinstance(event, Drafting):
            terminal.draft(event.text)
        elif isinstance(event, Answer):
            terminal.done()
            terminal.out(event.model_dump_json(indent=2)) if as_json else terminal.answer(event)
            try:
                remember(conversation, [*history, Turn.of(event)])
            except StorageError as error:
                terminal.note(f"{error} Until then `--continue` knows nothing of this question.")
            return REFUSED if event.refused else 0
    return 1


def _told(settings: Settings, question: str, filters: Filters, history: Sequence[Turn]) -> Iterator[object]:
    """The events of an answer: from the resident server if it would answer as we do, else from an assistant here."""
    from rag.client import Gone, reached

    with reached(settings) as server:
        if server is not None:
            try:
                yield from server.ask(settings, question, filters, history)
                return
            except Gone as gone:
                terminal.note(f"The server {gone}; the question is answered without it.")
    with opened(settings) as assistant:
        yield from assistant.ask(question, filters, history=history)


@app.command(
    epilog=examples(
        'rag check "PDS selects data by optimal control"',
        'rag check --paper 93aafa60 "It halves the data that training needs"',
        "rag check --input claims.jsonl --output checked.jsonl",
    )
)
def check(
    claim: Annotated[Optional[str], typer.Argument(help="A sentence about a paper.")] = None,
    json_: Json = False,
    input_: Annotated[
        Optional[str],
        typer.Option("--input", "-i", help='Claims as JSON lines, {"id", "claim", "text" or "paper_id"}; - is stdin.'),
    ] = None,
    output: Output = None,
    paper: PaperOption = None,
    author: Author = None,
    since: Since = None,
    until: Until = None,
    model: Model = None,
    llm: Llm = None,
    llm_model: LlmModel = None,
) -> int:
    """Check a claim against an abstract, or against them all; exit status 3 if it is not supported."""
    filters = filters_of(paper, author, since, until)
    with opened(load_settings(model=model, llm=llm, llm_model=llm_model)) as assistant:
        if _is_batch(claim, input_, output, "claim"):
            return _batch(assistant, input_, output, _check_line(assistant), "claims", filters, "claim")
        result = assistant.check(_given(claim, "claim"), filters)
        for note in assistant.told(filters):
            terminal.note(note)
        terminal.done()
        terminal.out(result.model_dump_json(indent=2)) if json_ else terminal.checked(result)
        return 0 if result.supported else REFUSED


@app.command(epilog=examples('rag search "mixture of experts"', 'rag search --json -n 3 "speculative decoding"'))
def search(
    question: Annotated[Optional[str], typer.Argument(help="What to look for.")] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=100, help="How many papers.")] = 5,
    json_: Json = False,
    input_: Input = None,
    output: Output = None,
    paper: PaperOption = None,
    author: Author = None,
    since: Since = None,
    until: Until = None,
) -> int:
    """Find passages, without an answer; shows why each was found."""
    filters = filters_of(paper, author, since, until)
    with opened(load_settings()) as assistant:
        if _is_batch(question, input_, output):
            return _batch(assistant, input_, output, _search_line(assistant, count), "passages", filters)
        result = assistant.search(_given(question), count, filters)
        for note in assistant.told(filters):
            terminal.note(note)
        terminal.done()
        terminal.out(result.model_dump_json(indent=2)) if json_ else terminal.passages(result)
        return 0 if result.passages else REFUSED


@app.command(
    epilog=examples(
        'rag papers --author "Weizhu Chen" --since 2023', "rag papers 93aafa60", "rag papers --json | jq length"
    )
)
def papers(
    paper: Annotated[
        Optional[str], typer.Argument(help="Show one paper: its id, the start of it, or its title.")
    ] = None,
    author: Author = None,
    since: Since = None,
    until: Until = None,
    json_: Json = False,
) -> int:
    """List the indexed papers, or show one with its abstract."""
    with opened(load_settings()) as assistant:
        among, left_out = assistant.select(filters_of([paper] if paper else None, author, since, until))
        chosen = assistant.papers if among is None else among
        terminal.done()
        for note in [*assistant.notices, *([left_out] if left_out else [])]:
            terminal.note(note)
        if json_:
            terminal.out(json.dumps([p.model_dump(mode="json") for p in chosen], ensure_ascii=False, indent=1))
        elif paper and chosen:
            terminal.paper(chosen[0])
        else:
            terminal.papers(chosen)
        return 0 if chosen else REFUSED


@app.command(
    epilog=examples(
        "rag ingest",
        "rag ingest ~/library.bib ~/pages",
        "rag ingest --watch ~/pages",
        "rag ingest --rebuild",
        "rag --store http://127.0.0.1:8000 ingest --workers 4 arxiv.json",
    ),
)
def ingest(
    paths: Annotated[
        Optional[list[Path]], typer.Argument(help="Files, or folders of them; without any, the five pages that ship.")
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Cut and embed everything anew, as after a change of settings.")
    ] = False,
    workers: Annotated[
        Optional[int], typer.Option("--workers", min=1, max=1024, help="So many processes write to the Chroma server.")
    ] = None,
    scheduler: Annotated[
        Optional[str],
        typer.Option("--scheduler", metavar="ADDRESS", help="A Dask cluster does it, as tcp://host:8786."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on: read them again whenever a file has changed, until Ctrl-C.")
    ] = False,
) -> int:
    """Read papers into the index: adds what is new, replaces what changed, drops what is gone.

    Reads BibTeX (.bib), RIS (.ris), JSON and JSON lines (.json, .jsonl), also the arXiv's metadata dump, CSV and TSV,
    PubMed's XML, each gzip'd too, and pages of abstracts as text. What can't be read is listed, the rest is indexed;
    exit status 1 if nothing can be read.
    """
    from rag.readers.left_out import LeftOut

    with opened(load_settings()) as assistant:

        def read(anew: bool) -> None:
            left_out = LeftOut()
            report = assistant.ingest(
                paths or [], rebuild=anew, left_out=left_out, workers=_workers(workers, scheduler)
            )
            terminal.done()
            for line in left_out.told():
                terminal.note(line)
            terminal.out(changed(report))

        if watch:
            from rag.cli_watch import keep_reading

            return keep_reading(assistant.settings, paths or [], read, rebuild=rebuild)
        read(rebuild)
        return 0


@models_app.callback(
    epilog=examples("rag models", *(f"rag models {do} qwen2.5-coder-0.5b-instruct" for do in ("pull", "remove")))
)
def models(context: typer.Context, json_: Json = False) -> int:
    """List the catalogue: size, licence and what is cached. `pull` and `remove` change that."""
    if context.invoked_subcommand is None:
        from rag.catalogue import CATALOGUE
        from rag.models import ModelStore

        settings = load_settings()
        store = ModelStore.of(settings)
        rows = [
            {
                "name": spec.name,
                "kind": spec.kind,
                "summary": spec.summary,
                "licence": spec.licence,
                "sha256": spec.sha256,
                "fetch_bytes": spec.fetch_bytes,
                "kept_bytes": spec.kept_bytes,
                "cached": store.ready(spec) is not None,
                "default": spec.name == settings.model.lower(),
            }
            for spec in CATALOGUE.values()
        ]
        terminal.out(json.dumps(rows, indent=1)) if json_ else terminal.models(rows, store.folder)
    return 0


@models_app.command()
def pull(
    names: Annotated[
        Optional[list[str]], typer.Argument(metavar="[NAME]...", help="Without any: the set model and the embedder.")
    ] = None,
) -> int:
    """Fetch models, check their SHA-256, and make them ready."""
    from rag.catalogue import CATALOGUE, EMBEDDER
    from rag.models import ModelStore, catalogue_model

    settings = load_settings()
    store = ModelStore.of(settings)
    own = settings.model.lower() in CATALOGUE and not settings.llm.url
    wanted = names or [EMBEDDER, *([settings.model] if own else [])]
    failures: list[ModelUnavailable] = []
    for spec in [catalogue_model(name) for name in wanted]:
        try:
            folder = store.pull(spec, terminal.progress)
        except ModelUnavailable as error:
            failures.append(error)
            continue
        terminal.done()
        terminal.out(f"{spec.name} is ready in {folder}")
    for other in failures[1:]:
        terminal.error(str(other))
    if failures:
        raise failures[0]
    return 0


@models_app.command()
def remove(names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names in the catalogue.")]) -> int:
    """Delete models from the cache."""
    from rag.models import ModelStore, catalogue_model

    store = ModelStore.of(load_settings())
    for spec in [catalogue_model(name) for name in names]:
        terminal.out(f"{spec.name} removed" if store.remove(spec) else f"{spec.name} was not there")
    return 0


@app.command()
def doctor() -> int:
    """Say what is installed, cached and indexed, and what to type next."""
    from rag.doctor import examine

    findings = examine(load_settings())
    terminal.findings(findings)
    return 0 if all(finding.ok is not False for finding in findings) else 1


@app.command(epilog=examples("rag chat", "rag chat --port 8000 --no-browser", "rag chat --host 0.0.0.0"))
def chat(
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Where others may reach it; needs chat.user and .password.")
    ] = "127.0.0.1",
    port: Annotated[
        Optional[int], typer.Option("--port", min=1, max=65535, help="By default the first free one from 7860.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    model: Model = None,
    llm: Llm = None,
    llm_model: LlmModel = None,
) -> int:
    """Open the chat page, by default for this machine alone (127.0.0.1)."""
    from rag.login import Login
    from rag.resources import load_page

    settings = load_settings(model=model, llm=llm, llm_model=llm_model)
    login = Login.wanted(settings, host)
    terminal.note("Starting the chat page; Ctrl-C stops it.")
    load_page().serve(settings, host=host, login=login, port=port, browser=browser, progress=terminal.progress)
    return 0


@app.command(epilog=examples("rag serve", "rag serve --model qwen2.5-coder-0.5b-instruct"))
def serve(model: Model = None, llm: Llm = None, llm_model: LlmModel = None) -> int:
    """Keep index and model in memory, so that `rag ask` need not load them; other processes of yours ask it."""
    import threading

    from rag.desk import Desk
    from rag.errors import StorageError
    from rag.server import open_door, refuse_a_second

    settings = load_settings(model=model, llm=llm, llm_model=llm_model)
    refuse_a_second(settings)  # before minutes of loading
    with opened(settings) as assistant:
        for note in assistant.told():
            terminal.note(note)
        if settings.mode != "extractive":
            try:
                _ = assistant.checker  # loads the language model too
            except (ModelUnavailable, StorageError) as error:
                if settings.mode == "generated":
                    raise
                terminal.note(str(error))
        with open_door(Desk(assistant)), until_stopped():
            terminal.note("Ready: `rag ask` is answered from here. Ctrl-C stops it.")
            threading.Event().wait()
        terminal.done()
        # A question may be under way in torch, which aborts with a message if Python is taken down around it.
        os._exit(0)


# What the commands share ---------------------------------------------------------------------------


def _workers(processes: int | None, scheduler: str | None) -> Workers | None:
    if processes is None and scheduler is None:
        return None
    from rag.spread import Workers

    return Workers(processes, scheduler)


def _mode(mode: str | None) -> Mode | None:
    if mode not in (None, "auto", "generated", "extractive"):
        raise UsageError(f"There is no mode {mode!r}: use auto, generated or extractive.")
    return mode  # type: ignore[return-value]


def _given(text: str | None, noun: str = "question") -> str:
    if text is None:
        example = 'rag check "PDS selects data"' if noun == "claim" else 'rag ask "What does PDS do?"'
        raise UsageError(f"There is no {noun}: type one, as in {example}, or name a file with --input.")
    return text


def _is_batch(text: str | None, input_: str | None, output: Path | None, noun: str = "question") -> bool:
    if text is not None and input_ is not None:
        raise UsageError(f"Both a {noun} and --input {input_} are given: give one of them.")
    if output is not None and input_ is None:
        raise UsageError(f"--output {output} is for batches: name the {noun}s with --input.")
    if output is not None and input_ not in (None, "-") and os.path.realpath(output) == os.path.realpath(input_):
        raise UsageError(f"--input and --output are the same file {output}: name another --output.")
    return input_ is not None


def _batch(
    assistant: Assistant,
    input_: str | None,
    output: Path | None,
    line: Any,
    noun: str,
    filters: Filters,
    asked: str = "question",
) -> int:
    from dataclasses import replace

    from rag.batch import Request, input_lines, read_requests, run_batch

    requests = [
        replace(request, filters=filters) if isinstance(request, Request) and not request.filters else request
        for request in read_requests(input_lines(str(input_), sys.stdin.buffer), asked)
    ]
    work, is_current = line
    try:
        failed = run_batch(
            requests, work, output=output, stream=sys.stdout, is_current=is_current, progress=terminal.progress
        )
    except BrokenPipeError:
        raise ClosedPipe from None
    terminal.done()
    if output:
        terminal.note(f"{len(requests) - failed} {noun} and {failed} errors are in {output}.")
    return 1 if failed else 0


def _ask_line(assistant: Assistant) -> tuple[Callable[..., dict[str, Any]], Callable[..., bool]]:
    tell = _once()

    def work(request: Any) -> dict[str, Any]:
        from rag.answers import Answer
        from rag.events import Notice

        for event in assistant.ask(request.question, request.filters):
            if isinstance(event, Notice):
                tell(event.text)
            if isinstance(event, Answer):
                return event.model_dump(mode="json")
        raise AssertionError("ask ends with an answer")

    def is_current(request: Any, record: dict[str, Any]) -> bool:
        wanted_mode = "extractive" if assistant.settings.mode == "extractive" else "generated"
        return (
            _same_make(assistant, request, record)
            and record.get("mode") == wanted_mode
            and record.get("prompt_sha256") == assistant.prompt_sha256
        )

    return work, is_current


def _same_make(
    assistant: Assistant, request: Any, record: dict[str, Any], *extra: object, field: str = "question"
) -> bool:
    """Whether a result is of the same question, index and settings as would be used now."""
    return (
        record.get(field) == " ".join(request.question.split())
        and record.get("index_sha256") == assistant.index.sha256
        and record.get("settings_sha256") == assistant.settings_sha256(request.filters, *extra)
    )


def _once() -> Callable[[str], None]:
    """A way to tell each thing only once, however many lines of a batch have cause to."""
    told: set[str] = set()

    def tell(text: str) -> None:
        if text not in told:
            told.add(text)
            terminal.note(text)

    return tell


def _check_line(assistant: Assistant) -> tuple[Callable[..., dict[str, Any]], Callable[..., bool]]:
    tell = _once()

    def work(request: Any) -> dict[str, Any]:
        for note in assistant.told(request.filters):
            tell(note)
        if request.text is not None:
            result = assistant.check_text(request.question, request.text)
        else:
            result = assistant.check(request.question, request.filters)
        return result.model_dump(mode="json")

    def is_current(request: Any, record: dict[str, Any]) -> bool:
        return (
            _same_make(assistant, request, record, field="claim")
            and record.get("prompt_sha256") == assistant.prompt_sha256
            and (request.text is None or request.text[record["start"] : record["end"]] == record["quote"])
        )

    return work, is_current


def _search_line(assistant: Assistant, count: int) -> tuple[Callable[..., dict[str, Any]], Callable[..., bool]]:
    tell = _once()

    def work(request: Any) -> dict[str, Any]:
        for note in assistant.told(request.filters):
            tell(note)
        return assistant.search(request.question, count, request.filters).model_dump(mode="json")

    def is_current(request: Any, record: dict[str, Any]) -> bool:
        return _same_make(assistant, request, record, *assistant.decided_by(count, assistant.can_reread))

    return work, is_current


def main() -> None:
    """Run the command and turn every outcome into an exit status."""
    from typer.main import get_command

    debug = "--debug" in sys.argv[1:]
    # Wherever it is typed, --debug belongs to the whole command.
    arguments = (["--debug"] if debug else []) + [a for a in sys.argv[1:] if a != "--debug"]
    status = 1
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a lone surrogate in a question is no reason to stop
    try:
        status = get_command(app).main(args=arguments, prog_name="rag", standalone_mode=False) or 0
        sys.stdout.flush()
    except RagError as error:
        if debug:
            raise
        terminal.error(str(error))
        status = error.exit_status
    except KeyboardInterrupt:
        terminal.error("Interrupted.")
        status = INTERRUPTED
    except (ClosedPipe, BrokenPipeError):
        # The reader has gone; let Python's own flush at exit find an open sink.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except Exception as error:
        status = _unexpected(error, debug)
    finally:
        terminal.done()
    sys.exit(status)


def _unexpected(error: Exception, debug: bool) -> int:
    """Usage errors of the command line itself show as they are; anything else is a bug, told in one sentence."""
    show, status = getattr(error, "show", None), getattr(error, "exit_code", None)
    if callable(show) and isinstance(status, int):
        show()
        return status
    if type(error).__name__ == "Abort":
        return INTERRUPTED
    if debug:
        raise error
    terminal.error(f"Something went wrong ({type(error).__name__}: {error}): type it again with --debug to see where.")
    return 1
