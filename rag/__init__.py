"""PaperTrail: answers about research papers, each sentence backed by an abstract's exact words.

The library's entry point is :class:`rag.assistant.Assistant`.
"""

import os

# The one thing done on import: nothing of a user's questions or papers may leave the machine, so
# the telemetry of the libraries underneath is off before any of them is loaded. LlamaIndex has none.
for _switch, _off in {
    "ANONYMIZED_TELEMETRY": "False",  # Chroma
    "DO_NOT_TRACK": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_SAFETENSORS_CONVERSION": "1",  # transformers would ask a server to convert a model that is pickled
}.items():
    os.environ[_switch] = _off

__version__ = "0.1.0"
