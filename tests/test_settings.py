from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import settings
from errors import ConfigurationError
from settings import Settings, gateway_workers, load_settings, model_set_folder, runner_urls, service_options

SECRET = "hunter2-hunter2"
ADDRESSES = {"REDIS_URL": f"redis://user:{SECRET}@cache:6379", "DATABASE_URL": f"postgresql://user:{SECRET}@db/name"}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting from outside but a key, which most tests need."""
    for name in (*Settings.model_fields, "configuration_file", "model_set_dir"):
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ML_SERVICE_API_KEY", "a-key")


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write configuration.yaml."""

    def write(text: str) -> None:
        (tmp_path / "configuration.yaml").write_text(text)
        monkeypatch.setenv("CONFIGURATION_FILE", str(tmp_path / "configuration.yaml"))

    return write


@pytest.mark.parametrize(
    ("said", "in_file", "workers"),
    [
        (None, "services: {}", 1),
        (None, "services: {DeepFinance: {workers: 3}}", 3),
        (None, "services: {DeepFinance: {workers: cpu_count}}", os.cpu_count()),
        (None, "deepfinance: {gateway_workers: auto}", "auto"),
        (None, "services: {DeepFinance: {workers: 3}}\ndeepfinance: {gateway_workers: 2}", 2),
        ("2", "services: {DeepFinance: {workers: 3}}", 2),
        ("auto", "services: {DeepFinance: {workers: 3}}", "auto"),
        ("many", "services: {DeepFinance: {workers: 3}}", 1),
    ],
)
def test_workers_are_those_of_the_setting_else_of_the_service(monkeypatch, written, said, in_file, workers):
    written(in_file)
    if said:
        monkeypatch.setenv("GATEWAY_WORKERS", said)
    assert gateway_workers() == workers


@pytest.mark.parametrize("said", ["many", "0", "65", "1.5", "-2"])
def test_a_number_of_workers_that_is_none_stops_the_start(monkeypatch, said):
    monkeypatch.setenv("GATEWAY_WORKERS", said)
    with pytest.raises(ConfigurationError, match="GATEWAY_WORKERS: expected a whole number from 1 to 64, or auto"):
        load_settings()


def test_a_key_is_all_that_must_be_set():
    loaded = load_settings()
    assert loaded.api_keys == ("a-key",)
    assert (loaded.port, loaded.providers, loaded.auth, loaded.warnings) == (3000, ("yahoo", "bundled"), "on", ())


def test_several_keys_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ML_SERVICE_API_KEY", "first, second,")
    assert load_settings().api_keys == ("first", "second")


@pytest.mark.parametrize("key", ["", " ", ","])
def test_without_a_key_both_ways_out_are_told(key: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ML_SERVICE_API_KEY", key)
    with pytest.raises(ConfigurationError, match=r"ML_SERVICE_API_KEY is not set.*AUTH=off"):
        load_settings()


def test_no_key_is_fine_when_said_in_so_many_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ML_SERVICE_API_KEY")
    monkeypatch.setenv("AUTH", "off")
    loaded = load_settings()
    assert loaded.api_keys == ()
    assert "AUTH=off" in loaded.warnings[0]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "five", r"PORT: expected a whole number from 1 to 65535, got 'five'"),
        ("PORT", "0", r"PORT: expected .*, got '0'"),
        ("PORT", "65536", r"PORT: expected"),
        ("DEBUG", "perhaps", r"DEBUG: expected true or false, got 'perhaps'"),
        ("AUTH", "no", r"AUTH: expected on or off, got 'no'"),
        ("DATA_PROVIDERS", "bundled,yaho", r"DATA_PROVIDERS: 'yaho' is not a data source; known: yahoo, "),
        ("DATA_PROVIDERS", "yahoo,finnhub", r"DATA_PROVIDERS names finnhub, which needs FINNHUB_API_KEY"),
        ("DATA_PROVIDERS", ",", r"DATA_PROVIDERS: expected names of data sources, each once"),
        ("DATA_PROVIDERS", "yahoo,bundled,yahoo", r"DATA_PROVIDERS: expected names of data sources, each once"),
        ("DATA_PROVIDERS", "files", r"DATA_PROVIDERS names files, which needs DATA_DIR"),
        ("DATA_ADDRESSES", "yaho=http://a", r"DATA_ADDRESSES: 'yaho' is not a data source"),
        ("DATA_ADDRESSES", "yahoo", r"DATA_ADDRESSES: expected yahoo= and the address of a mirror"),
        ("DATA_DIR", "/does/not/exist", r"DATA_DIR: '/does/not/exist' is not a folder"),
        ("DATA_CACHE_TTL", "-1", r"DATA_CACHE_TTL: expected seconds, 0 or more, got '-1'"),
        ("PREDICTION_CACHE_TTL", "nan", r"PREDICTION_CACHE_TTL: expected seconds"),
        ("RATE_LIMIT", "100", r"RATE_LIMIT: expected requests per second.*, got '100'"),
        ("RUNNER_LAYOUT", "sharded", r"RUNNER_LAYOUT: expected auto, per_model, combined or embedded, got 'sharded'"),
        ("RUNNER_URLS", "lstm", r"RUNNER_URLS: expected xgboost, lstm, .*, each with its address"),
        ("RUNNER_URLS", "garch=http://a:1", r"RUNNER_URLS: expected xgboost, lstm,"),
        ("RUNNER_URLS", "combined=http://a:1", r"RUNNER_URLS: combined= goes with RUNNER_LAYOUT=combined"),
        ("RUNNER_TIMEOUT", "0", r"RUNNER_TIMEOUT: expected seconds"),
        ("FRONTEND_ORIGIN", "example.com", r"FRONTEND_ORIGIN: expected one origin"),
        ("FRONTEND_ORIGIN", "https://a.example/path", r"FRONTEND_ORIGIN: expected one origin"),
        ("ML_SERVICE_API_KEY", "good,bad;scope=read", r"ML_SERVICE_API_KEY: API key 2: after the key and a semicolon"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", r"TRUSTED_PROXIES: expected addresses and networks"),
        ("REDIS_URL", "cache:6379", r"REDIS_URL: expected redis://"),
        ("REDIS_URL", "redis://cache:none", r"REDIS_URL: expected redis://"),
        ("REDIS_URL", "redis://cache:70000", r"REDIS_URL: expected redis://"),
        ("FINNHUB_API_KEY", "two words", r"FINNHUB_API_KEY: a key is made of printable ASCII"),
        ("CONFIGURATION_FILE", "/does/not/exist", r"CONFIGURATION_FILE: /does/not/exist cannot be read"),
        ("CONFIGURATION_FILE", "/bin/sh", r"CONFIGURATION_FILE: /bin/sh cannot be read"),
        ("TRUSTED_PROXIES", "*", r"TRUSTED_PROXIES: expected addresses and networks"),
        ("ML_SERVICE_API_KEY", "with space", r"ML_SERVICE_API_KEY: a key is made of printable ASCII"),
        ("ML_SERVICE_API_KEY", "schlüssel", r"ML_SERVICE_API_KEY: a key is made of printable ASCII"),
    ],
)
def test_a_malformed_value_stops_the_start_and_is_named(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=message):
        load_settings()


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PORT", "five")
    monkeypatch.setenv("DEBUG", "perhaps")
    with pytest.raises(ConfigurationError) as refusal:
        load_settings()
    assert [line.split(":")[0] for line in refusal.value.message.splitlines()] == ["PORT", "DEBUG"]


@pytest.mark.parametrize("name", [name.upper() for name in settings.SECRETS])
def test_secrets_are_not_shown(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, ADDRESSES.get(name, SECRET))
    loaded = load_settings()
    assert SECRET not in f"{loaded!r} {loaded} {loaded.warnings} {loaded.model_dump()}"


def test_what_logs_must_not_hold_is_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ML_SERVICE_API_KEY", "first-key;name=desk;scopes=read, second-key")
    monkeypatch.setenv("REDIS_URL", "redis://user:p%26ssword@cache:6379/0")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:drowssap@db:5432/history")
    monkeypatch.setenv("FINNHUB_API_KEY", SECRET)
    assert {"first-key", "second-key", "p&ssword", "drowssap", SECRET} <= set(load_settings().secrets)
    assert not [it for it in load_settings().secrets if it in ("desk", "user", "read")]


def test_a_refused_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ML_SERVICE_API_KEY", f"{SECRET} ")
    monkeypatch.setenv("PORT", "five")
    monkeypatch.setenv("REDIS_URL", SECRET)
    with pytest.raises(ConfigurationError) as refusal:
        load_settings()
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://me:{SECRET}@db/history",
        f"{SECRET}",
        "sqlite://",
        "postgresql://db",
        f"postgresql://me:{SECRET}@db:port/history",
        f"postgresql://me:{SECRET}@db:0/history",
    ],
)
def test_a_malformed_database_url_stops_the_start_and_is_not_repeated(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(ConfigurationError, match="DATABASE_URL: expected postgresql://") as refusal:
        load_settings()
    assert SECRET not in str(refusal.value)


def test_a_key_without_its_source_is_warned_about(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FINNHUB_API_KEY", SECRET)
    (warning,) = load_settings().warnings
    assert warning == "FINNHUB_API_KEY is set, but DATA_PROVIDERS does not name finnhub"


def test_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch):
    assert load_settings().trusted_proxies == ()
    monkeypatch.setenv("TRUSTED_PROXIES", "10.1.2.3, 192.168.0.0/16,fd00::/8")
    assert load_settings().trusted_proxies == ("10.1.2.3/32", "192.168.0.0/16", "fd00::/8")


def test_files_come_first_where_there_is_a_folder_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert load_settings().providers == ("files", "bundled")
    monkeypatch.setenv("DATA_PROVIDERS", "bundled")
    assert load_settings().providers == ("bundled",)
    assert "DATA_PROVIDERS does not name files" in load_settings().warnings[0]


def test_runners_can_be_elsewhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RUNNER_URLS", "lstm=http://10.0.0.1:3000/, xgboost=http://xgboost:3000")
    assert runner_urls() == {"lstm": ("http://10.0.0.1:3000",), "xgboost": ("http://xgboost:3000",)}
    load_settings()
    monkeypatch.setenv("RUNNER_URLS", "lstm=http://b:1,xgboost=http://x:1,lstm=http://a:1/,lstm=http://b:1")
    assert runner_urls() == {"lstm": ("http://b:1", "http://a:1"), "xgboost": ("http://x:1",)}
    load_settings()
    monkeypatch.setenv("RUNNER_LAYOUT", "embedded")
    with pytest.raises(ConfigurationError, match="RUNNER_LAYOUT=embedded has none"):
        load_settings()


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 4000  # type: ignore[misc]


def test_the_environment_wins_over_the_file(written, monkeypatch: pytest.MonkeyPatch):
    written("deepfinance: {port: 4000, runner_timeout: 1.5, data_providers: [bundled]}")
    monkeypatch.setenv("PORT", "5000")
    loaded = load_settings()
    assert (loaded.port, loaded.runner_timeout, loaded.providers) == (5000, 1.5, ("bundled",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "deepfinance: {prot: 4000}",
            r"deepfinance\.prot in configuration\.yaml: there is no such setting; known: .*port",
        ),
        ("deepfinance: {port: five}", r"deepfinance\.port in configuration\.yaml: expected .*, got 'five'"),
        ("deepfinance: {redis_url: x}", r"redis_url is a secret: set REDIS_URL in the environment"),
        ("deepfinance: [port]", r"deepfinance: in configuration\.yaml must hold"),
        ("deepfinanze: {}", r"must hold the sections services: and deepfinance:"),
        ("version: 2", r"must hold the sections"),
        ("- a", r"must hold the sections"),
        ("a: [", r"configuration\.yaml cannot be read"),
        ("services: {XgbRunner: {}}", r"services\.XgbRunner in configuration\.yaml: known are DeepFinance, "),
    ],
)
def test_a_wrong_file_stops_the_start(text: str, message: str, written):
    written(text)
    with pytest.raises(ConfigurationError, match=message):
        load_settings()


def test_a_missing_file_stops_the_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONFIGURATION_FILE", "/does/not/exist.yaml")
    with pytest.raises(ConfigurationError, match=r"exist\.yaml cannot be read"):
        load_settings()


def test_the_shipped_file_keeps_costly_middleware_out_of_every_process():
    for service in settings.SERVICES:
        options = service_options(service)
        assert options["tracing"]["excluded_urls"] == ".*"
        assert options["logging"]["access"]["enabled"] is False


def test_the_model_set_can_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert model_set_folder() == settings.ROOT / "models_store" / "current"
    monkeypatch.setenv("MODEL_SET_DIR", str(tmp_path))
    assert model_set_folder() == tmp_path


def test_every_setting_is_documented():
    documented = set(re.findall(r"`([A-Z_]+)`", (settings.ROOT / "docs" / "settings.md").read_text()))
    assert {name.upper() for name in settings.Settings.model_fields} <= documented
