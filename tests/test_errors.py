from rag import errors
from rag.errors import HashMismatch, ModelUnavailable, RagError, SettingsError, UsageError

ALL = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, RagError)]


def test_scripts_can_tell_every_error_by_its_code():
    assert {each.__name__: each.code for each in ALL} == {
        "RagError": "failure",
        "UsageError": "usage",
        "PageError": "page",
        "IndexMissing": "index_missing",
        "IndexUnfinished": "index_unfinished",
        "IndexMismatch": "index_mismatch",
        "ModelUnavailable": "model_unavailable",
        "HashMismatch": "hash_mismatch",
        "ServerRefused": "server_refused",
        "StorageError": "storage",
        "StoreUnavailable": "store_unavailable",
        "Busy": "busy",
        "TimedOut": "timed_out",
        "SettingsError": "settings",
    }


def test_only_mistakes_in_the_request_end_with_status_two():
    assert {each for each in ALL if each.exit_status == 2} == {UsageError, SettingsError}
    assert {each.exit_status for each in ALL} == {1, 2}


def test_wrong_weights_are_a_way_of_having_no_model():
    assert issubclass(HashMismatch, ModelUnavailable)
