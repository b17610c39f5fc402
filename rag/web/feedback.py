"""What visitors think of answers: one JSON line a rating, in a file of this machine that nothing sends anywhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from rag.answers import Answer
from rag.errors import StorageError
from rag.web.exchange import Rating

FILE = "feedback.jsonl"


def keep(folder: Path, answer: Answer, rating: Rating | None) -> None:
    """Add a rating, or that one was taken back (None).

    :raises StorageError: if it can't be written.
    """
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "rating": rating,
        "question": answer.question,
        "understood": answer.understood,
        "answer": answer.answer,
        "citations": [{"paper_id": citation.paper_id, "quote": citation.quote} for citation in answer.citations],
        "model": answer.model.name if answer.model else None,
        "prompt_sha256": answer.prompt_sha256,
        "index_sha256": answer.index_sha256,
        "settings_sha256": answer.settings_sha256,
    }
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        raise StorageError(f"{path} can't be written ({error.strerror}): make room, or mend its rights.") from error
