"""The page as Gradio serves it, with what holds for everything that comes in and goes out."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio_client import utils as client_utils

from rag.settings import Settings
from rag.web.places import Places


class Page(gr.Blocks):
    """Takes files only as uploads, and tells nobody where anything lies on this machine."""

    def __init__(self, settings: Settings, **options: Any):
        super().__init__(**options)
        self.hidden = Places.of(settings).hidden

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *given: Any, **named: Any) -> list[Any]:
        """Gradio would fetch a file that is given by its address: nothing here may cause a connection."""

        def is_elsewhere(file: dict[str, Any]) -> dict[str, Any]:
            if client_utils.is_http_url_like(str(file.get("path"))):
                raise gr.Error("A file is added by uploading it, not by its address.", print_exception=False)
            return file

        client_utils.traverse(inputs, is_elsewhere, client_utils.is_file_obj_with_meta)
        processed: list[Any] = await super().preprocess_data(block_fn, inputs, *given, **named)
        return processed

    async def postprocess_data(self, *given: Any, **named: Any) -> list[Any]:
        """What is sent, without the places of this machine."""
        sent: list[Any] = self.hidden(await super().postprocess_data(*given, **named))
        return sent
