"""Settings: where each value comes from, and what happens to values that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragstone.config import default_home, load, setting_names
from ragstone.errors import InvalidSetting
from ragstone.settings import Settings

SECRET = "sk-very-secret"


def write(home: Path, text: str) -> Path:
    """A configuration file in the home folder."""
    home.mkdir(exist_ok=True)
    path = home / "ragstone.toml"
    path.write_text(text, "utf-8")
    return path


def test_defaults_hold_without_any_source(home: Path) -> None:
    """No file, no variable, no flag: every value says that it is a default."""
    loaded = load(home, environ={})

    assert loaded.settings == Settings()
    assert set(loaded.origins) == set(setting_names())
    assert set(loaded.origins.values()) == {"default"}


def test_flags_win_over_the_environment_and_that_over_the_file(home: Path) -> None:
    """Later sources win, value by value, and each value says where it came from."""
    path = write(home, "[server]\nport = 1\nhost = '127.0.0.2'\n[search]\ntop_k = 7\n")
    environ = {"RAGSTONE_SERVER__PORT": "2", "RAGSTONE_SERVER__HOST": "127.0.0.3", "PATH": "/bin"}

    loaded = load(home, environ=environ, flags={"server.port": 3, "search.top_k": None})

    assert (loaded.settings.server.port, loaded.settings.server.host) == (3, "127.0.0.3")
    assert loaded.settings.search.top_k == 7
    assert loaded.origins["server.port"] == "--port"
    assert loaded.origins["server.host"] == "RAGSTONE_SERVER__HOST"
    assert loaded.origins["search.top_k"] == str(path)
    assert loaded.origins["search.timeout_s"] == "default"


def test_a_named_file_takes_the_place_of_the_homes(home: Path, tmp_path: Path) -> None:
    """`--config FILE` is read instead; it must exist."""
    write(home, "[server]\nport = 1\n")
    (tmp_path / "other.toml").write_text("[search]\ntop_k = 3\n")

    loaded = load(home, config_file=tmp_path / "other.toml", environ={})

    assert (loaded.settings.server.port, loaded.settings.search.top_k) == (Settings().server.port, 3)
    with pytest.raises(InvalidSetting, match=r"missing\.toml.*does not exist"):
        load(home, config_file=tmp_path / "missing.toml", environ={})


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"RAGSTONE_SERVER__PROT": "1"},
            r"RAGSTONE_SERVER__PROT.*'server\.prot'.*Did you mean 'server\.port'",
        ),
        ({"RAGSTONE_SERVR__PORT": "1"}, "no section 'servr'.*Did you mean 'server'"),
        ({"RAGSTONE_PORT": "1"}, "RAGSTONE_PORT is not a setting.*RAGSTONE_SERVER__PORT"),
        ({"RAGSTONE_SERVER__PORT": "banana"}, r"server\.port \(from RAGSTONE_SERVER__PORT\) is 'banana'"),
        ({"RAGSTONE_SERVER__PORT": "99999"}, r"server\.port .*is '99999'.*65535"),
        ({"RAGSTONE_TELEMETRY__LOG_LEVEL": "loud"}, r"telemetry\.log_level .*'loud'"),
    ],
)
def test_a_wrong_variable_is_explained(home: Path, environ: dict[str, str], message: str) -> None:
    """The error names the variable, the value and what would be right."""
    with pytest.raises(InvalidSetting, match=message):
        load(home, environ=environ)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port = 1\n", "'port' stands outside a section"),
        ("[serch]\n", "no section 'serch'.*'search'"),
        ("[search]\ntopk = 3\n", r"'search\.topk'.*'search\.top_k'"),
        ("[search\n", "cannot be read as TOML"),
        ("[search]\ntop_k = 0\n", r"search\.top_k \(from .*ragstone\.toml\) is 0"),
    ],
)
def test_a_wrong_file_is_explained(home: Path, text: str, message: str) -> None:
    """The error names the file, the key and what would be right."""
    write(home, text)

    with pytest.raises(InvalidSetting, match=message):
        load(home, environ={})


def test_an_empty_section_is_no_mistake(home: Path) -> None:
    """A file in preparation loads."""
    write(home, "[search]\n")

    assert load(home, environ={}).settings == Settings()


def test_a_file_that_is_no_text_is_explained(home: Path) -> None:
    """Bytes that are no UTF-8 are named as such."""
    write(home, "").write_bytes(b"\xff\xfe")

    with pytest.raises(InvalidSetting, match="cannot be read"):
        load(home, environ={})


def test_secrets_are_not_shown(home: Path) -> None:
    """Neither in an error nor when settings are printed."""
    with pytest.raises(InvalidSetting) as failure:
        load(home, flags={"generator.api_key": 5}, environ={"RAGSTONE_GENERATOR__MAX_TOKENS": "0"})
    loaded = load(home, environ={"RAGSTONE_GENERATOR__API_KEY": SECRET})

    assert "a hidden value" in failure.value.message
    assert SECRET not in repr(loaded)
    assert loaded.settings.generator.api_key.get_secret_value() == SECRET


def test_a_list_is_written_with_commas_in_the_environment(home: Path) -> None:
    """Blanks around the parts do not count."""
    loaded = load(home, environ={"RAGSTONE_SECURITY__ALLOWED_HOSTS": "a.example, b.example,"})

    assert loaded.settings.security.allowed_hosts == ("a.example", "b.example")


def test_the_home_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """RAGSTONE_HOME, else a folder in the user's own; a tilde is the user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_home() == tmp_path / ".ragstone"

    monkeypatch.setenv("RAGSTONE_HOME", "~/elsewhere")
    assert default_home() == tmp_path / "elsewhere"
    assert load(environ={}).home == tmp_path / "elsewhere"
