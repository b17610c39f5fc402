"""What can go wrong, each with the sentence that a user reads and what to do about it."""


class RagError(Exception):
    """Base of every error that reaches a user: one sentence that says what is wrong and what to type.

    ``code`` is the stable name that scripts see in batch output, ``exit_status`` what the command
    line ends with.
    """

    code = "failure"
    exit_status = 1


class UsageError(RagError):
    """The request itself is at fault: an empty question, a bad date, a file that is not there."""

    code = "usage"
    exit_status = 2


class PageError(RagError):
    """A page of the corpus can't be read; the message names the file and, where it is known, the line."""

    code = "page"


class IndexMissing(RagError):
    """There is no index that can be read."""

    code = "index_missing"


class IndexUnfinished(IndexMissing):
    """There is no index yet; the first ingest may have been stopped, and the same one makes it whole.

    ``scope`` is what that ingest was reading, a place a line; empty where there was none.
    """

    code = "index_unfinished"

    def __init__(self, message: str, scope: str = ""):
        super().__init__(message)
        self.scope = scope


class IndexMismatch(RagError):
    """The index was made with another embedding model or other chunking than are now set."""

    code = "index_mismatch"


class StoreUnavailable(RagError):
    """The Chroma server can't be reached, refuses us, or is not one that we know how to speak to."""

    code = "store_unavailable"


class ModelUnavailable(RagError):
    """No source could deliver the weights, they could not be loaded, or the server that has them is of no help."""

    code = "model_unavailable"


class ServerRefused(ModelUnavailable):
    """A model server answered a request with an error. ``status`` is HTTP's, 0 where it is not known."""

    code = "server_refused"

    def __init__(self, message: str, status: int = 0):
        super().__init__(message)
        self.status = status


class HashMismatch(ModelUnavailable):
    """Weights arrived that are not the pinned ones; what was fetched has been deleted."""

    code = "hash_mismatch"


class StorageError(RagError):
    """The disk is full, or a folder can't be written."""

    code = "storage"


class Busy(RagError):
    """Too many questions are waiting for the model, or somebody else changes the index."""

    code = "busy"


class TimedOut(RagError):
    """An answer took longer than the settings allow."""

    code = "timed_out"


class SettingsError(UsageError):
    """A setting is unknown or out of its range."""

    code = "settings"


def reason_of(error: Exception) -> str:
    """Why a library could not load a model, in a few words for a sentence of ours."""
    if "trust_remote_code" in str(error):  # what transformers says then is how to let it
        return "it brings code of its own, which is never run"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
