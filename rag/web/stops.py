"""Which question of each visitor is being answered, so that it can be stopped: one at a time."""

from __future__ import annotations

import threading

import gradio as gr


class Stops:
    """By session. What a visitor begins ends what the same visitor began before."""

    def __init__(self) -> None:
        self._stops: dict[str, threading.Event] = {}

    def begin(self, request: gr.Request) -> threading.Event:
        """What is set once the question that begins now is to be stopped."""
        self.halt(request)
        stop = self._stops[_session(request)] = threading.Event()
        return stop

    def halt(self, request: gr.Request) -> None:
        """Stop what is being answered, if anything is."""
        if stop := self._stops.get(_session(request)):
            stop.set()

    def is_running(self, request: gr.Request) -> bool:
        """Whether something is being answered."""
        stop = self._stops.get(_session(request))
        return stop is not None and not stop.is_set()

    def leave(self, request: gr.Request) -> None:
        """Stop it and forget the session: nothing more is shown of it."""
        self.halt(request)
        self._stops.pop(_session(request), None)

    def is_current(self, request: gr.Request, stop: threading.Event) -> bool:
        """Whether nothing has taken the place of what this belongs to."""
        return self._stops.get(_session(request)) is stop


def _session(request: gr.Request) -> str:
    return request.session_hash or ""
