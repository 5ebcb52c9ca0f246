"""Every setting of the service, read once at start from the environment and from ``deepfinance:`` in
configuration.yaml (the environment wins), and what ``services:`` there says to BentoML. Only entry points import
this module; everything else gets values.

A malformed value raises ConfigurationError, whose message names the setting and never repeats a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import unquote, urlsplit

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from errors import ConfigurationError
from gateway.keys import parse_keys

ROOT = Path(__file__).resolve().parent
SECTION = "deepfinance"
SERVICES = ("DeepFinance", "XgboostRunner", "LstmRunner", "TransformerRunner", "CombinedRunner")
SECRETS = ("ml_service_api_key", "redis_url", "database_url", "finnhub_api_key", "alpha_vantage_api_key")
PROVIDERS = ("yahoo", "finnhub", "alpha_vantage", "binance", "files", "bundled")
RUNNERS = ("xgboost", "lstm", "transformer", "combined")
NEEDS_KEY = {"finnhub": "finnhub_api_key", "alpha_vantage": "alpha_vantage_api_key"}


def _comma_separated(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, list) else value


def _networks(value: Any) -> Any:
    try:
        return tuple(str(ip_network(part)) for part in _comma_separated(value))
    except ValueError:
        raise ValueError("expected addresses and networks, comma separated, such as 10.0.0.0/8") from None


def _sendable(key: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", key.get_secret_value()):
        raise ValueError("a key is made of printable ASCII characters without spaces, as it travels in a header")
    return key


def _has_sound_port(url: str) -> bool:
    """Whether an address names a port that exists, or none."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _redis_address(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if not re.match(r"rediss?://.|unix://[^/]*/", text) or not _has_sound_port(text):
        raise ValueError("expected redis://user:password@host:port/number, rediss:// or unix:///path/to/socket")
    return url


def _database_address(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    form = r"(postgres|postgresql|postgresql\+asyncpg)://.+/.+|sqlite(\+aiosqlite)?:///.+"
    if not re.match(form, text) or not _has_sound_port(text):
        raise ValueError("expected postgresql://user:password@host:port/name or sqlite:///path/to/file")
    return url


def _provider(name: str) -> str:
    if name not in PROVIDERS:
        raise ValueError(f"{name!r} is not a data source; known: {', '.join(PROVIDERS)}")
    return name


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) < len(names):
        raise ValueError("expected names of data sources, each once, such as yahoo,bundled")
    return names


def _address(text: str) -> str:
    name, _, url = text.partition("=")
    _provider(name)
    if not re.fullmatch(r"https?://[^/\s@]+(/[^\s@]*)?", url):
        raise ValueError(f"expected {name}= and the address of a mirror, such as {name}=https://mirror.example.com")
    return text


def _runner_address(text: str) -> str:
    name, _, url = text.partition("=")
    if name not in RUNNERS or not re.fullmatch(r"https?://[^/\s@]+/?", url):
        raise ValueError(
            f"expected {', '.join(RUNNERS)}, each with its address, such as lstm=http://lstm.internal:3000"
        )
    return text


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"{str(path)!r} is not a folder")
    return path.resolve()


Key = Annotated[SecretStr, AfterValidator(_sendable)]
RunnerLayout = Literal["auto", "per_model", "combined", "embedded"]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, description="seconds, 0 or more")]


class Settings(BaseSettings):
    """Frozen. A field is set by the environment variable of its upper-case name."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_ignore_empty=True, hide_input_in_errors=True, validate_default=False
    )

    ml_service_api_key: Annotated[tuple[Key, ...], NoDecode, BeforeValidator(_comma_separated)] = ()
    auth: Literal["on", "off"] = Field("on", description="on or off")
    redis_url: Annotated[SecretStr, AfterValidator(_redis_address)] | None = None
    database_url: Annotated[SecretStr, AfterValidator(_database_address)] | None = None
    frontend_origin: Annotated[str, Field(pattern=r"^https?://[^/\s]+$")] | None = Field(
        None, description="one origin, such as https://app.example.com"
    )
    port: int = Field(3000, ge=1, le=65535, description="a whole number from 1 to 65535")
    debug: bool = Field(False, description="true or false")
    data_providers: Annotated[
        tuple[Annotated[str, AfterValidator(_provider)], ...],
        NoDecode,
        BeforeValidator(_comma_separated),
        AfterValidator(_each_once),
    ] = ()
    data_addresses: Annotated[
        tuple[Annotated[str, AfterValidator(_address)], ...], NoDecode, BeforeValidator(_comma_separated)
    ] = Field((), description="where to find live sources if not at home, such as yahoo=https://mirror.example.com")
    data_dir: Annotated[Path, AfterValidator(_folder)] | None = None
    finnhub_api_key: Key | None = None
    alpha_vantage_api_key: Key | None = None
    data_cache_ttl: Seconds = 300.0
    prediction_cache_ttl: Seconds = 60.0
    rate_limit: str = Field(
        "100/minute",
        pattern=r"^[1-9]\d*/(second|minute|hour|day)$",
        description="requests per second, minute, hour or day, such as 100/minute",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_networks)] = ()
    state_dir: Path = Field(ROOT / ".deepfinance", description="the folder for what the service keeps")
    history_retention_days: int = Field(0, ge=0, description="days that a forecast is kept, 0 for ever")
    settlement_interval: float = Field(
        300.0, ge=1, allow_inf_nan=False, description="seconds between looks for outcomes, 1 or more"
    )
    runner_layout: RunnerLayout = Field("per_model", description="auto, per_model, combined or embedded")
    gateway_workers: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] | None = Field(
        None, description="a whole number from 1 to 64, or auto"
    )
    traces: Literal["off", "otlp"] = Field("off", description="off or otlp")
    traces_sample: float = Field(
        1.0, ge=0, le=1, allow_inf_nan=False, description="the share of requests that is traced, from 0 to 1"
    )
    runner_urls: Annotated[
        tuple[Annotated[str, AfterValidator(_runner_address)], ...], NoDecode, BeforeValidator(_comma_separated)
    ] = Field((), description="runners that are served elsewhere, such as lstm=http://lstm.internal:3000")
    runner_timeout: float = Field(
        3.0,
        gt=0,
        le=30,
        allow_inf_nan=False,
        description="seconds that a model may take, above 0 and up to 30",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        if self.auth == "on" and not self.ml_service_api_key:
            raise ValueError(
                "ML_SERVICE_API_KEY is not set, so nobody could call the service: set it to one or more "
                "keys, comma separated, or set AUTH=off to let everyone in"
            )
        try:
            parse_keys(self.api_keys)
        except ValueError as error:
            raise ValueError(f"ML_SERVICE_API_KEY: {error}") from None
        if self.traces == "otlp" and not _is_installed("opentelemetry.exporter.otlp.proto.http"):
            raise ValueError("TRACES=otlp needs the packages of requirements/tracing.txt")
        if self.runner_urls and self.runner_layout not in ("per_model", "combined"):
            raise ValueError(f"RUNNER_URLS names runners, and RUNNER_LAYOUT={self.runner_layout} has none of its own")
        if any((name == "combined") != (self.runner_layout == "combined") for name in runner_urls()):
            raise ValueError("RUNNER_URLS: combined= goes with RUNNER_LAYOUT=combined, the others with per_model")
        if "files" in self.data_providers and self.data_dir is None:
            raise ValueError("DATA_PROVIDERS names files, which needs DATA_DIR, the folder with the price files")
        for provider, key in NEEDS_KEY.items():
            if provider in self.data_providers and getattr(self, key) is None:
                raise ValueError(f"DATA_PROVIDERS names {provider}, which needs {key.upper()}")
        return self

    @property
    def providers(self) -> tuple[str, ...]:
        """Data sources in the order in which they are tried."""
        return self.data_providers or (("files", "bundled") if self.data_dir else ("yahoo", "bundled"))

    @property
    def addresses(self) -> Mapping[str, str]:
        """Of live sources that are asked elsewhere than at home, by name."""
        return {name: url for name, _, url in (text.partition("=") for text in self.data_addresses)}

    @property
    def api_keys(self) -> tuple[str, ...]:
        """The keys in clear, with what is said of each, for the one place that reads and compares them."""
        return tuple(key.get_secret_value() for key in self.ml_service_api_key)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may hold: keys, and the passwords within addresses."""
        keys = [key.partition(";")[0].strip() for key in self.api_keys]
        given = [getattr(self, name) for name in SECRETS[1:]]
        values = [it.get_secret_value() for it in given if it is not None]
        passwords = [unquote(it) for it in map(_password, values) if it]
        return tuple(it for it in (*keys, *values, *passwords) if it)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was set and has no effect, one sentence each."""
        unused = [
            f"{key.upper()} is set, but DATA_PROVIDERS does not name {provider}"
            for provider, key in NEEDS_KEY.items()
            if getattr(self, key) is not None and provider not in self.providers
        ]
        if self.data_dir and "files" not in self.providers:
            unused.append("DATA_DIR is set, but DATA_PROVIDERS does not name files")
        if self.auth == "off":
            unused.append("AUTH=off: everyone who reaches the port may use the service")
        return tuple(unused)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it would be in
        return False


def _password(address: str) -> str | None:
    try:
        return urlsplit(address).password
    except ValueError:
        return None


def load_settings(*, serves: bool = True) -> Settings:
    """The settings of this process; raises ConfigurationError with a line for everything that is wrong. A command that
    serves nobody needs no key."""
    section = _configuration(SECTION) | ({} if serves else {"auth": "off"})
    service_options("DeepFinance")
    if misplaced := sorted(set(section) & set(SECRETS)):
        raise ConfigurationError(
            f"{misplaced[0]} is a secret: set {misplaced[0].upper()} in the environment, not in a file"
        )
    try:
        return Settings(**section)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(problem, section) for problem in error.errors())) from None


def service_options(service: str) -> dict[str, Any]:
    """What configuration.yaml says about a BentoML service, for its decorator.

    BentoML could read the file itself (``BENTOML_CONFIG``), but refuses it for holding a section of ours, and
    would not look at it where nobody sets that variable.
    """
    services = _configuration("services")
    if unknown := sorted(set(services) - set(SERVICES)):
        raise ConfigurationError(f"services.{unknown[0]} in configuration.yaml: known are {', '.join(SERVICES)}")
    return dict(services.get(service) or {})


def runner_layout() -> RunnerLayout:
    """What RUNNER_LAYOUT says. Needed when the service is imported, where nothing is refused yet: what is no layout is
    taken for the usual one until ``load_settings`` refuses it."""
    usual: RunnerLayout = Settings.model_fields["runner_layout"].default
    try:
        said = os.environ.get("RUNNER_LAYOUT") or _configuration(SECTION).get("runner_layout") or usual
    except ConfigurationError:
        return usual
    return next((layout for layout in get_args(RunnerLayout) if layout == said), usual)


def gateway_workers() -> int | Literal["auto"]:
    """How many workers the gateway is to have, as early as ``runner_layout``: what GATEWAY_WORKERS says, else
    ``workers`` of the service in configuration.yaml, one where that is malformed."""
    try:
        said = os.environ.get("GATEWAY_WORKERS") or _configuration(SECTION).get("gateway_workers")
        said = said or service_options("DeepFinance").get("workers", 1)
    except ConfigurationError:
        return 1
    if said == "auto":
        return "auto"
    text = str(os.cpu_count() if said == "cpu_count" else said)  # which is BentoML's word
    return int(text) if text.isdecimal() and 1 <= int(text) <= 64 else 1


def traces_are_sent() -> bool:
    """Whether TRACES says so. Needed when a runner is imported, where nothing is refused yet: what is malformed counts
    as off until ``load_settings`` refuses it."""
    try:
        return (os.environ.get("TRACES") or _configuration(SECTION).get("traces")) == "otlp"
    except ConfigurationError:
        return False


def runner_urls() -> dict[str, tuple[str, ...]]:
    """Addresses of runners that are served elsewhere, as early as ``runner_layout``; what is malformed is left out."""
    try:
        said = os.environ.get("RUNNER_URLS") or _configuration(SECTION).get("runner_urls") or ()
    except ConfigurationError:
        return {}
    pairs = [str(text).partition("=") for text in _comma_separated(said)]
    named = {name for name, *_ in pairs if name in RUNNERS}
    return {it: tuple(dict.fromkeys(url.rstrip("/") for name, _, url in pairs if name == it)) for it in named}


def model_set_folder() -> Path:
    """The published model set: ``MODEL_SET_DIR``, else the one that is shipped."""
    return Path(os.environ.get("MODEL_SET_DIR") or ROOT / "models_store" / "current")


def _configuration(section: str) -> dict[str, Any]:
    """One section of configuration.yaml (``CONFIGURATION_FILE`` names another file)."""
    path = Path(os.environ.get("CONFIGURATION_FILE") or ROOT / "configuration.yaml")
    name = f"CONFIGURATION_FILE: {path}" if os.environ.get("CONFIGURATION_FILE") else path.name
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{name} cannot be read: {error}") from None
    if not isinstance(content, dict) or set(content) - {SECTION, "services"}:
        raise ConfigurationError(f"{name} must hold the sections services: and {SECTION}: and nothing else")
    held = content.get(section) or {}
    if not isinstance(held, dict):
        raise ConfigurationError(f"{section}: in {path.name} must hold names and values, one per line")
    return {str(name): value for name, value in held.items()}


def _explain(problem: Mapping[str, Any], section: Mapping[str, Any]) -> str:
    """One line: which setting, what was expected, and what came unless that is a secret."""
    reason = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return reason
    name = str(problem["loc"][0])
    in_file = name in section and name.upper() not in os.environ
    where = f"{SECTION}.{name} in configuration.yaml" if in_file else name.upper()
    if problem["type"] == "extra_forbidden":
        return f"{where}: there is no such setting; known: {', '.join(sorted(Settings.model_fields))}"
    expected = Settings.model_fields[name].description
    if expected and problem["type"] != "value_error":
        reason = f"expected {expected}"
    came = "" if name in SECRETS or problem["type"] == "value_error" else f", got {problem['input']!r}"
    return f"{where}: {reason}{came}"
