"""A language model that an OpenAI-compatible server runs: asked by chat completions, and in the place of a local one.

What such a server tells is less than what a model in this process does. There are no hidden states, so no probe reads
them; and it says how likely the first words of its own reply are, but not how likely it finds one of ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rag.chat import Message
from rag.errors import ModelUnavailable, ServerRefused
from rag.llm import Floats
from rag.model_server import ModelServer, listed
from rag.models import Weights
from rag.progress import Progress, silent
from rag.settings import Generation, Settings

_PATH = "/chat/completions"
_LOADING_SECONDS = 15.0
_ALTERNATIVES = 20
"""First words whose probabilities are asked for: the most that OpenAI and vLLM give."""
_WORD_TOKENS = 8
_SAID = 2.2
"""Log-odds that a bare yes or no counts for, where a server gives no probabilities: with the reader's temperature a
belief of 0.75, enough to answer from and too little to be shown as sure."""
_LEAST = 1e-6
"""The probability of a word that a server calls impossible."""
_NO_ODDS = {400, 422, 500, 501}
"""What servers answer that can't tell probabilities and won't ignore being asked."""
_LONGEST = 64
"""Characters of a token, on average: a server that writes more than so many for each doesn't count."""

# Servers that go on from the beginning of a reply. Others are asked for it in words. The same servers, and Ollama, can
# be told not to think first, which would take all of a short reply.
_CONTINUED = {"add_generation_prompt": False, "continue_final_message": True}
_UNTHINKING: Mapping[str, Mapping[str, Any]] = {
    # vLLM takes over the sampling that a model's authors suggest, which may punish repeating an abstract's words.
    "vllm": {"chat_template_kwargs": {"enable_thinking": False}, "repetition_penalty": 1.0},
    "llamacpp": {"chat_template_kwargs": {"enable_thinking": False}},
    "library": {"reasoning_effort": "none"},
}
_CONTINUE = {"vllm", "llamacpp"}

# What a chat template may use as marks: here servers don't tell them from text, so that they must not be in any.
_ANGLED = re.compile(r"<(?=[^\s<>]{1,64}>)")
_BRACKETED = re.compile(r"\[(?=/?[A-Z_]{3,32}\])")


class RemoteModel:
    """A model on a server, which is a :class:`rag.llm.LanguageModel`."""

    def __init__(self, server: ModelServer, name: str, owner: str, generation: Generation):
        """:param owner: who the server says owns the model, which tells what kind of server it is."""
        self.generation = generation
        self.weights = Weights(name, server.url, None, pinned=False)
        self._server = server
        self._owner = owner
        self._gives_odds = True

    @classmethod
    def load(cls, settings: Settings, progress: Progress = silent) -> RemoteModel:
        """The model of ``settings.llm``.

        :raises ModelUnavailable: if its server can't be asked, or has several models and none is named.
        """
        progress(f"Asking the server at {settings.llm.url}")
        server = ModelServer(settings.llm, offline=settings.offline)
        try:
            served = server.models(_LOADING_SECONDS)
        except ServerRefused as error:  # some know no more than the model that they are asked for
            if not settings.llm.model or error.status in (401, 403):
                raise
            served = []
        name = settings.llm.model or (served[0].name if len(served) == 1 else "")
        if not name:
            raise ModelUnavailable(
                f"The server at {server.url} has {len(served)} models: name one with --llm-model ({listed(served)})."
            )
        owners = {model.name: model.owner for model in served}
        return cls(server, name, owners.get(name, served[0].owner if served else ""), settings.generation)

    def stream(
        self,
        messages: Sequence[Message],
        stopped: Callable[[], bool] = lambda: False,
        *,
        begin: str = "",
        max_tokens: int | None = None,
    ) -> Iterator[str]:
        """The model's reply, piece by piece; see :class:`rag.llm.LanguageModel`.

        A server that can't go on from the beginning of a reply is asked for it in words, and may not heed them.

        :raises ModelUnavailable: if the server fails, be it in the middle.
        """
        most = max_tokens or self.generation.max_tokens
        continued = bool(begin) and self._owner in _CONTINUE
        body = self._body(_begun(messages, begin, continued), most) | (_CONTINUED if continued else {})
        if continued:
            yield begin
        written = shown = ""
        for event in self._server.stream(_PATH, body, self.generation.max_seconds, stopped):
            with self._server.understood():
                for choice in event.get("choices") or ():
                    written = self._words(choice.get("delta") or {}, written)
            if continued and begin.startswith(written):  # newer servers of llama.cpp repeat what they go on from
                continue
            new = written.removeprefix(begin) if continued else written
            if len(new) > len(shown):
                yield new[len(shown) :]
            shown = new
            if len(written) > _LONGEST * most:
                return

    def states(self, conversations: Sequence[Sequence[Message]], asked: Sequence[str], layer: int) -> Floats:
        """:raises NotImplementedError: there are probes for catalogue models only, whose weights are here."""
        raise NotImplementedError(f"{self.weights.name} has no probes")

    def yes(self, conversations: Sequence[Sequence[Message]]) -> list[float]:
        """Log-odds of "Yes" against "No"; see :class:`rag.llm.LanguageModel`. All are asked at once.

        :raises ModelUnavailable: if the server doesn't answer them all.
        """
        if self._gives_odds:
            try:
                return self._odds(conversations, 1, logprobs=True, top_logprobs=_ALTERNATIVES)
            except ServerRefused as error:
                if error.status not in _NO_ODDS:
                    raise
        odds = self._odds(conversations, _WORD_TOKENS)
        self._gives_odds = False  # it was the probabilities that it refused
        return odds

    def log_likelihoods(self, conversations: Sequence[Sequence[Message]], reply: str) -> None:
        """None: no such server says how likely it finds a reply that isn't its own."""

    def _odds(self, conversations: Sequence[Sequence[Message]], most: int, **options: Any) -> list[float]:
        bodies = [self._body(messages, most) | options for messages in conversations]
        replies = self._server.replies(_PATH, bodies, self.generation.max_seconds)
        with self._server.understood():
            return [self._odds_of(reply["choices"][0]) for reply in replies]

    def _odds_of(self, choice: Mapping[str, Any]) -> float:
        tokens = (choice.get("logprobs") or {}).get("content") or ()
        said = self._words(choice["message"])
        return _weighed(tokens[0]) if tokens else _taken(said)

    def _words(self, message: Mapping[str, Any], before: str = "") -> str:
        """What a message says, after what was said before it.

        :raises ModelUnavailable: if the model thinks aloud, which takes the place of a reply.
        """
        said = before + (message.get("content") or "")
        if said.lstrip().startswith("<think") or message.get("reasoning_content") or message.get("reasoning"):
            raise ModelUnavailable(
                f"The model {self.weights.name} at {self._server.url} thinks before it answers, which is not waited "
                f"for: turn that off where its server is started, or name another model with --llm-model."
            )
        return said

    def _body(self, messages: Sequence[Message], most: int) -> dict[str, Any]:
        return {
            "model": self.weights.name,
            "messages": [{**message, "content": _unmarked(message["content"])} for message in messages],
            "temperature": 0,
            "max_tokens": most,
            **_UNTHINKING.get(self._owner, {}),
        }


def _begun(messages: Sequence[Message], begin: str, continued: bool) -> Sequence[Message]:
    """The conversation with the beginning of its reply: as that, or asked for."""
    if not begin:
        return messages
    if continued:
        return [*messages, {"role": "assistant", "content": begin}]
    *earlier, last = messages
    return [*earlier, {**last, "content": f"{last['content']}\n\nBegin your reply with these words: {begin}"}]


def _unmarked(text: str) -> str:
    """A text in which nothing is a mark of a chat template: ``<|im_end|>`` becomes ``< |im_end|>``."""
    return _BRACKETED.sub("[ ", _ANGLED.sub("< ", text))


def _taken(said: str) -> float:
    """The log-odds that a reply in words counts for. What is neither yes nor no supports nothing."""
    return _SAID if re.match(r"\W*yes\b", said, re.I) else -_SAID


def _weighed(token: Mapping[str, Any]) -> float:
    """The log-odds of yes against no by the probabilities of the first token of a reply.

    Of a word that isn't listed no more is known than that it is no likelier than the least likely one that is, and than
    all that is left over.
    """
    shares = {
        str(one["token"]): math.exp(min(0.0, float(one["logprob"])))
        for one in (token, *(token.get("top_logprobs") or ()))
    }
    unlisted = min(*shares.values(), 1 - sum(shares.values()))
    yes, no = (sum(shares[word] for word in shares if word.strip().casefold() == wanted) for wanted in ("yes", "no"))
    if not yes and not no:
        return -_SAID
    return math.log(max(yes or unlisted, _LEAST)) - math.log(max(no or unlisted, _LEAST))
