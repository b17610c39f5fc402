import os
from pathlib import Path

import platformdirs
import pytest
from pydantic import ValidationError

from rag.errors import SettingsError
from rag.settings import APP, Settings, load_settings, settings_file


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """RAG_HOME of its own, and nothing else in the environment."""
    for name in [name for name in os.environ if name.startswith("RAG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAG_HOME", str(tmp_path))
    return tmp_path


def write(folder, text):
    (folder / "settings.toml").write_text(text, encoding="utf-8")


def test_without_any_source_the_defaults_hold():
    settings = load_settings()
    assert settings == Settings(home=settings.home)
    assert (settings.mode, settings.offline, settings.retrieval.papers) == ("auto", False, 3)


def test_the_file_beats_the_defaults(folder):
    write(folder, 'mode = "extractive"\n[retrieval]\npapers = 4\n')
    settings = load_settings()
    assert (settings.mode, settings.retrieval.papers) == ("extractive", 4)


def test_the_environment_beats_the_file(folder, monkeypatch):
    write(folder, 'mode = "extractive"\n[retrieval]\npapers = 4\n')
    monkeypatch.setenv("RAG_MODE", "generated")
    monkeypatch.setenv("RAG_RETRIEVAL__PAPERS", "5")
    settings = load_settings()
    assert (settings.mode, settings.retrieval.papers) == ("generated", 5)


def test_flags_beat_the_environment_and_the_file(folder, monkeypatch):
    write(folder, 'mode = "extractive"\n[retrieval]\npapers = 4\n')
    monkeypatch.setenv("RAG_MODE", "generated")
    monkeypatch.setenv("RAG_RETRIEVAL__PAPERS", "5")
    settings = load_settings(mode="auto", retrieval={"papers": 6})
    assert (settings.mode, settings.retrieval.papers) == ("auto", 6)


def test_a_flag_that_is_not_given_leaves_the_others_in_force(monkeypatch):
    monkeypatch.setenv("RAG_MODE", "generated")
    assert load_settings(mode=None).mode == "generated"


def test_a_flag_that_is_false_is_given(monkeypatch):
    monkeypatch.setenv("RAG_OFFLINE", "true")
    assert load_settings(offline=False).offline is False


def test_sources_may_each_set_a_part_of_a_section(folder, monkeypatch):
    write(folder, "[retrieval]\npapers = 4\nreread = 5\n")
    monkeypatch.setenv("RAG_RETRIEVAL__CANDIDATES", "70")
    retrieval = load_settings(retrieval={"reread": 7}).retrieval
    assert (retrieval.papers, retrieval.candidates, retrieval.reread) == (4, 70, 7)
    assert retrieval.min_confidence == Settings().retrieval.min_confidence


def test_settings_do_not_change_once_loaded():
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.mode = "extractive"
    with pytest.raises(ValidationError):
        settings.retrieval.papers = 5


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("modle = 'x'", "modle"),
        ("[retrieval]\npapres = 4", "retrieval.papres"),
        ("[retrieval]\npapers = 0", "retrieval.papers"),
        ("[retrieval]\npapers = 'many'", "retrieval.papers"),
        ("mode = 'fast'", "mode"),
        ("[grounding]\nmin_support = 1.01", "grounding.min_support"),
        ("[generation]\nmax_seconds = 0", "generation.max_seconds"),
        ("retrieval = 3", "retrieval"),
    ],
)
def test_an_unusable_setting_is_named_with_its_file(folder, text, name):
    write(folder, text)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert f"'{name}'" in str(error.value)
    assert str(folder / "settings.toml") in str(error.value)


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("RAG_RETRIEVAL__PAPERS", "21", "retrieval.papers"),
        ("RAG_RETRIEVAL__PAPRES", "4", "retrieval.papres"),
        ("RAG_OFFLINE", "perhaps", "offline"),
        ("RAG_MODE", "fast", "mode"),
    ],
)
def test_an_unusable_variable_is_named(monkeypatch, variable, value, name):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"'{name}'"):
        load_settings()


@pytest.mark.parametrize("flags", [{"mode": "fast"}, {"modle": "x"}, {"chunking": {"characters": 99}}])
def test_an_unusable_flag_is_named(flags):
    with pytest.raises(SettingsError, match=next(iter(flags))):
        load_settings(**flags)


@pytest.mark.parametrize("content", [b"mode =", b"[retrieval", b"mode = 'caf\xe9'", b"mode = 'auto'\nmode = 'auto'"])
def test_a_file_that_is_not_toml_is_named(folder, content):
    (folder / "settings.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"settings\.toml can't be read as TOML"):
        load_settings()


def test_each_collection_and_each_server_has_a_folder_of_its_own(folder):
    stores = [None, {"url": "http://127.0.0.1:8000"}, {"url": "https://127.0.0.1:8000"}, {"url": "http://h:8000/a/b"}]
    made = [load_settings(store=store, collection=name) for store in stores for name in (None, "one", "two")]
    assert len({settings.index_dir for settings in made}) == len(made)
    assert all(settings.index_dir.is_relative_to(folder / "data") for settings in made)
    assert made[0].index_dir == folder / "data" / "index"
    assert made[1].index_dir == folder / "data" / "collections" / "one" / "index"
    assert load_settings(store={"url": "http://127.0.0.1:8000/"}).index_dir == made[3].index_dir


def test_a_token_in_the_environment_belongs_to_the_server_that_a_flag_names(monkeypatch):
    monkeypatch.setenv("RAG_STORE__TOKEN", "secret")
    store = load_settings(store={"url": "http://127.0.0.1:8000"}).store
    assert (store.url, store.token.get_secret_value()) == ("http://127.0.0.1:8000", "secret")
    assert "secret" not in repr(store)


@pytest.mark.parametrize("token", ["a b", "a\nb", "", "é", "a\x00"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_told(token):
    with pytest.raises(SettingsError, match=r"'store\.token' is not usable") as error:
        load_settings(store={"url": "http://127.0.0.1:8000", "token": f"x{token}" if token else ""})
    assert not token or f"x{token}" not in str(error.value)


def test_a_section_in_the_environment_that_is_not_json_is_not_blamed_on_the_file(monkeypatch):
    monkeypatch.setenv("RAG_RETRIEVAL", "three")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert "retrieval" in str(error.value)
    assert "TOML" not in str(error.value)


def test_home_holds_index_models_and_settings(folder):
    settings = load_settings()
    assert settings.index_dir == folder / "data" / "index"
    assert settings.models_dir == folder / "cache" / "models"
    assert settings_file() == folder / "settings.toml"


def test_folders_of_their_own_beat_home(folder, monkeypatch):
    monkeypatch.setenv("RAG_DATA_DIR", str(folder / "d"))
    settings = load_settings(cache_dir=folder / "c")
    assert settings.index_dir == folder / "d" / "index"
    assert settings.models_dir == folder / "c" / "models"


@pytest.fixture
def platform(folder, monkeypatch):
    """No RAG_HOME, and platform folders that are empty."""
    monkeypatch.delenv("RAG_HOME")
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(folder / name))


@pytest.mark.usefixtures("platform")
def test_without_home_the_platform_folders_are_used():
    settings = load_settings()
    assert settings.index_dir == platformdirs.user_data_path(APP) / "index"
    assert settings.models_dir == platformdirs.user_cache_path(APP) / "models"
    assert settings_file() == platformdirs.user_config_path(APP) / "settings.toml"


@pytest.mark.usefixtures("platform")
def test_an_empty_home_is_no_home(monkeypatch):
    expected = load_settings().index_dir
    monkeypatch.setenv("RAG_HOME", "")
    assert load_settings().index_dir == expected


@pytest.mark.usefixtures("platform")
def test_a_tilde_stands_for_the_users_folder(folder, monkeypatch):
    monkeypatch.setenv("RAG_HOME", "~/rag")
    assert settings_file() == folder / "rag" / "settings.toml"
    assert load_settings().index_dir == folder / "rag" / "data" / "index"


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize(("name", "made"), [("data_dir", "index_dir"), ("cache_dir", "models_dir")])
def test_a_tilde_works_in_every_folder_of_the_file(monkeypatch, folder, name, made):
    monkeypatch.setenv("RAG_HOME", str(folder))
    write(folder, f'{name} = "~/elsewhere"')
    assert getattr(load_settings(), made).parent == Path.home() / "elsewhere"
