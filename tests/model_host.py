"""A real OpenAI-compatible server on loopback: a language model and an embedder of ours behind HTTP, as vLLM does."""

from __future__ import annotations

import json
import math
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from rag.engine.model import EngineModel
from rag.settings import Embed, Llm, Settings


@dataclass
class Host:
    """A server's app, what it is like, and what it was asked."""

    model: EngineModel | None = None
    embed: Callable[[list[str]], Any] | None = None
    name: str = "served"
    owner: str = "vllm"
    odds: str = "given"
    """Whether probabilities are ``given``, ``ignored`` or ``refused`` where they are asked for."""
    echoes: bool = False
    """Whether the beginning of a reply is repeated before what goes on from it."""
    key: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.middleware("http")
        async def locked(request: Request, go_on: Callable[[Request], Any]) -> Any:
            if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
                return JSONResponse({"error": "Unauthorized"}, 401)
            return await go_on(request)

        @app.get("/v1/models")
        def models() -> Any:
            return {"object": "list", "data": [{"id": self.name, "object": "model", "owned_by": self.owner}]}

        @app.post("/v1/chat/completions")
        def chat(body: dict[str, Any]) -> Any:
            self.asked.append(body)
            if body["model"] != self.name:
                message = f"The model `{body['model']}` does not exist."
                return JSONResponse({"error": {"message": message, "type": "NotFoundError", "code": 404}}, 404)
            if body.get("logprobs") and self.odds == "refused":
                return JSONResponse({"detail": "logprobs are not supported"}, 422)
            if body.get("stream"):
                return StreamingResponse(self._events(body), media_type="text/event-stream")
            return self._reply(body)

        @app.post("/v1/embeddings")
        def embeddings(body: dict[str, Any]) -> Any:
            self.asked.append(body)
            assert self.embed is not None
            with self._busy:
                vectors = self.embed(body["input"])
            rows = [vector.tolist() if isinstance(vector, np.ndarray) else vector for vector in vectors]
            data = [{"index": i, "object": "embedding", "embedding": row} for i, row in enumerate(rows)]
            return {"object": "list", "model": self.name, "data": data[::-1]}  # in no order that was promised

        return app

    def _pieces(self, body: Mapping[str, Any]) -> Iterator[str]:
        assert self.model is not None
        *messages, last = body["messages"]
        begin = last["content"] if body.get("continue_final_message") else ""
        with self._busy:
            pieces = self.model.stream(
                messages if begin else body["messages"], begin=begin, max_tokens=body["max_tokens"]
            )
            yield from (piece for i, piece in enumerate(pieces) if self.echoes or not begin or i)

    def _events(self, body: Mapping[str, Any]) -> Iterator[str]:
        deltas = [{"role": "assistant", "content": ""}]
        for delta in (*deltas, *({"content": piece} for piece in self._pieces(body))):
            yield _event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        yield _event({"choices": [], "usage": {"total_tokens": 1}})
        yield "data: [DONE]\n\n"

    def _reply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": "".join(self._pieces(body))}
        told = body.get("logprobs") and self.odds == "given"
        logprobs = {"content": [self._first(body["messages"], body["top_logprobs"])]} if told else None
        choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "length"}
        return {"object": "chat.completion", "model": self.name, "choices": [choice]}

    def _first(self, messages: Any, count: int) -> dict[str, Any]:
        """The most likely first tokens of a reply."""
        assert self.model is not None
        model = self.model
        with self._busy:
            reading = model._read(model.encode(messages), model.network.shape.layers, 0).all()
            logits = model.network.logits(reading.hidden[-1:])[0].float()
        best = torch.log_softmax(logits, 0).topk(min(count, len(logits)))
        listed = [
            {"token": model.tokenizer.text([id_]), "logprob": max(logprob, -9999.0)}
            for id_, logprob in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
        assert math.isfinite(listed[0]["logprob"])
        return {**listed[0], "top_logprobs": listed}


def _event(said: Any) -> str:
    return f"data: {json.dumps(said)}\n\n"


@contextmanager
def hosted(host: Host) -> Iterator[str]:
    """The address of a server on loopback, on a free port, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(host.app(), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join(30)


def written_there(settings: Settings, url: str, model: str | None = "served", **more: Any) -> Settings:
    """Settings whose language model is on a server."""
    return settings.model_copy(update={"offline": False, "llm": Llm(url=url, model=model), **more})


def embedded_there(settings: Settings, url: str, model: str = "served", **more: Any) -> Settings:
    """Settings whose embedding model is on a server."""
    return settings.model_copy(update={"offline": False, "embed": Embed(url=url, model=model), **more})
