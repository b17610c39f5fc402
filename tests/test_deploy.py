"""Dockerfile, compose.yaml and docs/deploy.md, as far as that goes without a Docker engine."""

import fnmatch
import json
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel
from typer.main import get_command

import rag
from rag.cli import app
from rag.login import Login
from rag.settings import Settings
from tests.command import Run
from tests.web.visits import served, small

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("papertrail:")]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, each with what follows it, lines that go on joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def of_kind(kind: str) -> list[str]:
    return [rest for name, rest in instructions() if name == kind]


def is_ignored(path: str) -> bool:
    """Whether .dockerignore keeps a file out: the last pattern that fits it or a folder around it decides."""
    parts = path.split("/")
    around = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern, wanted = line.lstrip("!"), line.startswith("!")
        if not line.startswith("#") and any(
            fnmatch.fnmatchcase(one, pattern.removeprefix("**/"))
            for one in [*around, *(parts if "**/" in line else ())]
        ):
            ignored = not wanted
    return ignored


# The image ---------------------------------------------------------------------------------------------


def test_every_instruction_is_one() -> None:
    known = "ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK RUN STOPSIGNAL USER VOLUME WORKDIR".split()
    assert {name for name, _ in instructions()} == set(known)
    for kind in ("CMD", "ENTRYPOINT"):
        assert all(isinstance(json.loads(rest), list) for rest in of_kind(kind))
    for command in of_kind("RUN"):
        subprocess.run(["sh", "-n"], input=command, text=True, check=True)


def test_what_is_copied_is_there_and_let_in_and_nothing_else_is() -> None:
    sources = [source for rest in of_kind("COPY") if not rest.startswith("--from") for source in shlex.split(rest)[:-1]]
    assert {"rag", "seeds", "requirements.lock"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not is_ignored(source), source
    wanted = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert wanted == set(sources)
    for kept_out in (".env", ".git/config", ".venv/bin/python", "rag/web/__pycache__/x.pyc", "eval/speed/unfinished/x"):
        assert is_ignored(kept_out), kept_out
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*built["packages"], *built["force-include"]} <= set(sources)


def test_it_runs_as_somebody_without_rights_and_keeps_everything_in_the_volume() -> None:
    (volume,) = of_kind("VOLUME")
    values = dict(part.split("=", 1) for rest in of_kind("ENV") for part in shlex.split(rest))
    assert values["RAG_HOME"] == volume
    assert of_kind("USER") == ["10001:10001"]
    assert not re.search("PASSWORD|TOKEN|API_KEY", (ROOT / "Dockerfile").read_text())


def test_it_has_the_python_that_is_tested() -> None:
    images = {image.split()[0] for image in of_kind("FROM")}
    assert len(images) == 1
    assert images.pop().startswith(f"python:{sys.version_info.major}.{sys.version_info.minor}-")


def test_its_command_is_one(run: Run) -> None:
    (command,) = (json.loads(rest) for rest in of_kind("CMD"))
    chat = get_command(app).commands[command[0]]  # type: ignore[attr-defined]
    given = chat.make_context("chat", command[1:]).params
    assert str(given["port"]) in of_kind("EXPOSE")
    refused = run(*command)
    assert refused.status == 2
    assert "RAG_CHAT__USER and RAG_CHAT__PASSWORD" in refused.err


def test_its_health_is_that_of_the_page(settings: Settings, tmp_path: Path) -> None:
    (check,) = of_kind("HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    with served(small(settings, tmp_path), host="0.0.0.0", login=Login("reader", "a password")) as visit:
        port = httpx.URL(visit.address).port
        well = [sys.executable, *(word.replace("7860", str(port)) for word in command[1:])]
        assert subprocess.run(well, timeout=60).returncode == 0
    assert subprocess.run(well, timeout=60, capture_output=True).returncode != 0


def test_behind_a_proxy_that_passes_host_and_scheme_on_it_is_the_site_that_people_see(
    settings: Settings, tmp_path: Path
) -> None:
    """As the proxies of docs/deploy.md are told to."""
    snippet = (ROOT / "docs/deploy.md").read_text()
    asked = {"Host": "papers.example.org", "X-Forwarded-Host": "papers.example.org", "X-Forwarded-Proto": "https"}
    assert all(f"proxy_set_header {name} $" in snippet for name in asked)
    with served(small(settings, tmp_path), login=Login("reader", "a password")) as visit:
        seen = httpx.Client(base_url=visit.address, headers=asked, auth=("reader", "a password"), trust_env=False)
        assert seen.get("/config").json()["root"] == "https://papers.example.org"
        begin = {"url": "/gradio_api/call/search", "json": {"data": ["marbles", 2, "", "", ""]}}
        assert seen.post(**begin, headers={"Origin": "https://papers.example.org"}).status_code == 200
        assert seen.post(**begin, headers={"Origin": "https://elsewhere.example"}).status_code == 403


# What is installed -------------------------------------------------------------------------------------


def installed_by(*names: str) -> set[str]:
    done = subprocess.run([sys.executable, ROOT / ".ci/needed.py", *names], capture_output=True, text=True, check=True)
    lock = (ROOT / "requirements.lock").read_text()
    assert all(line in lock for line in done.stdout.splitlines())
    return {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", done.stdout, re.M)}


def asked_for(names: set[str]) -> set[str]:
    """These packages and all that they ask for here, by what is installed."""
    known: set[str] = set()
    wanted = {Requirement(name) for name in names}
    while wanted:
        requirement = wanted.pop()
        extras = {"", *requirement.extras}
        name = f"{canonicalize_name(requirement.name)}{sorted(extras)}"
        if name not in known:
            known.add(name)
            for text in requires(requirement.name) or ():
                further = Requirement(text)
                if any(not further.marker or further.marker.evaluate({"extra": extra}) for extra in extras):
                    wanted.add(further)
    return {name.partition("[")[0] for name in known}


def test_all_that_the_program_needs_is_installed_and_nothing_of_development() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = installed_by()
    assert asked_for(set(project["dependencies"])) <= installed | {"nvidia", "triton"}
    assert not installed & {"pytest", "mypy", "ruff", "uv", "playwright", "hypothesis", "pip-audit", "matplotlib"}


def test_what_builds_the_wheel_is_locked_too() -> None:
    assert asked_for({"hatchling"}) <= installed_by("hatchling")


def test_what_is_not_locked_is_named() -> None:
    done = subprocess.run([sys.executable, ROOT / ".ci/needed.py", "nothing-such"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "Error: not in the lock: nothing-such. Type `make lock`.\n"


# Beside others -----------------------------------------------------------------------------------------


def test_no_image_is_whatever_is_newest() -> None:
    for service in SERVICES.values():
        image, _, tag = service["image"].rpartition(":")
        assert image
        assert re.search(r"\d", tag), service["image"]
    assert {SERVICES[name]["image"] for name in OURS} == {f"papertrail:{rag.__version__}"}
    assert SERVICES["chroma"]["image"] == f"chromadb/chroma:{version('chromadb')}"


def test_only_the_page_is_reached_from_outside_and_only_from_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"page": ["127.0.0.1:${PAPERTRAIL_PORT:-7860}:7860"]}
    assert SERVICES["chroma"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_the_page_asks_for_user_and_password_and_none_is_written_here() -> None:
    environment = SERVICES["page"]["environment"]
    for name in ("RAG_CHAT__USER", "RAG_CHAT__PASSWORD"):
        assert environment[name].startswith(f"${{{name}:?")


@pytest.mark.parametrize("name", OURS)
def test_our_services_may_write_only_to_their_volume(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "data:/data" in service["volumes"]
    assert all(volume.endswith(":ro") for volume in service["volumes"] if not volume.endswith(":/data"))


def test_every_name_that_is_used_is_declared() -> None:
    for service in SERVICES.values():
        assert set(service.get("networks", ())) <= {"default", *COMPOSE["networks"]}
        assert set(service.get("depends_on", ())) <= SERVICES.keys()
        named = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert {name for name in named if name.isalpha()} <= COMPOSE["volumes"].keys()


def test_our_services_run_commands_that_exist() -> None:
    for name in OURS:
        command = SERVICES[name].get("command")
        if command:
            get_command(app).commands[command[0]].make_context(command[0], command[1:])  # type: ignore[attr-defined]


def names_of(settings: type[BaseModel], before: str = "RAG_") -> set[str]:
    """The environment's names for settings."""
    found = set()
    for name, field in settings.model_fields.items():
        kind = field.annotation
        inner = (
            names_of(kind, f"{before}{name}__".upper())
            if isinstance(kind, type) and issubclass(kind, BaseModel)
            else ()
        )
        found |= set(inner) or {f"{before}{name}".upper()}
    return found


@pytest.mark.parametrize("file", ["Dockerfile", "compose.yaml", "docs/deploy.md"])
def test_every_setting_that_is_named_is_one(file: str) -> None:
    named = set(re.findall(r"\bRAG_[A-Z_]*[A-Z]", (ROOT / file).read_text()))
    assert named
    assert named <= names_of(Settings)


def test_every_command_that_is_told_exists() -> None:
    for words in re.findall(r"(?:^\$ |`)rag ([^\n`#>|]+)", (ROOT / "docs/deploy.md").read_text(), re.M):
        name, *given = shlex.split(words)
        command = get_command(app).commands[name]  # type: ignore[attr-defined]
        if not hasattr(command, "commands"):
            command.make_context(name, given)
