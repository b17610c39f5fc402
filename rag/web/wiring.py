"""How the tabs are wired to the server."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

# What visitors do is no endpoint for programs; those are in tools.py.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
AT_ONCE: dict[str, Any] = {**PRIVATE, "queue": False}
"""For what takes milliseconds, and must not stand behind questions."""
MANY: dict[str, Any] = {**PRIVATE, "concurrency_limit": None}
"""For questions: the desk has its own line."""
FOCUS_ON_QUESTION = "() => document.querySelector('#pt-question textarea').focus()"


def piece(name: str, *events: str, value: str = "") -> gr.HTML:
    """A piece of the page in HTML of our own, whose buttons send these events.

    :param name: its id, after ``pt-``.
    """
    script = f"window.papertrail.attach(element, trigger, watch, {json.dumps(events)});"
    return gr.HTML(value, elem_id=f"pt-{name}", js_on_load=script, apply_default_css=False)
