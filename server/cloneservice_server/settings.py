"""Everything that can be set, from flags, environment, file and defaults, in that order; checked at once, with advice.

Each setting `x_y` is the flag `--x-y`, the variable `CLONESERVICE_X_Y` and the key `x_y` of the TOML file (`--config`).
The Stripe key is in none of them: it comes from `STRIPE_API_KEY` or from the file that `--stripe-api-key-file`
names. Both at once are refused: one of them would be ignored, and it might be the other mode's.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import hmac
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cloneservice_server.access.identity import LOOPBACK
from cloneservice_server.access.tls_files import TlsFiles
from cloneservice_server.ports_batches import RateLimits
from cloneservice_server.stripe_gateway.credentials import STRIPE_API, Credentials

FAKE = "fake"
LEDGER = "sqlite:///cloneservice.db"
LEDGER_OF_FAKE = "sqlite://:memory:"
_MISNAMED_KEYS = ("CLONESERVICE_STRIPE_API_KEY", "STRIPE_SECRET_KEY", "STRIPE_KEY")
"""Other programs' names for the key, and the name that a reader of the rule for all other settings would expect."""
_SECRET = re.compile(r"\b(?:sk|rk|pk|whsec)_\w{4,}")


class SettingsError(Exception):
    """Settings that cannot be used; each of `problems` says what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _setting(default: Any, help_text: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": help_text, **more})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server is started with. Build it with `load`, which checks."""

    config: str = _setting("", "TOML file with settings, by their names with underscores", metavar="FILE")
    """TOML file with settings; flags and environment win over it. It holds no secret."""
    listen: str = _setting("127.0.0.1:50051", "host:port to serve on; port 0 takes a free one", metavar="HOST:PORT")
    """host:port to serve on; port 0 takes a free one. Not encrypted without `tls_cert_file`."""
    tls_cert_file: str = _setting("", "PEM certificates of the listener; read again when changed", metavar="FILE")
    """Certificate chain of the listener, PEM. With it the listener speaks TLS 1.2 and 1.3 only."""
    tls_key_file: str = _setting("", "PEM key of that certificate", metavar="FILE")
    """Key of that certificate, PEM, not encrypted."""
    tls_client_ca_file: str = _setting("", "PEM authorities of clients: turns on mutual TLS", metavar="FILE")
    """Authorities that vouch for clients, PEM. With it, who shows no certificate of theirs gets no connection."""
    trusted_proxy: str = _setting(
        "",
        "identity of a proxy whose x-forwarded-client-cert is believed (spiffe://... or dns:NAME), or `loopback`; "
        "repeat it, or separate by commas",
        metavar="IDENTITY",
        many=True,
    )
    """Identities of proxies that are believed about who is behind them, comma-separated; `loopback` is a sidecar."""
    token_file: str = _setting("", "hashed bearer tokens of callers, from `cloneservice-server token`", metavar="FILE")
    """Hashed bearer tokens. With it, every caller must be identified by a token or a certificate."""
    policy_file: str = _setting("", "YAML policy: who may call what; denies all that it does not allow", metavar="FILE")
    """Policy of callers, RPCs, accounts and amounts; see docs/security.md. Read again when it changes."""
    admin_listen: str = _setting(
        "", "host:port of /metrics, /livez and /readyz over HTTP; off by default", metavar="HOST:PORT"
    )
    """Where operators look: Prometheus metrics and probes over HTTP. Not encrypted, so keep it off public networks."""
    admin_token_file: str = _setting(
        "", "hashed tokens of people who may see the admin page; without it there is no page", metavar="FILE"
    )
    """Hashed tokens, from `cloneservice-server token`, of the people who may see the admin page (`/admin/` of
    `--admin-listen`); they open nothing else. Without it there is no page. Read again when it changes."""
    ledger: str = field(
        default="",
        repr=False,  # the URL may hold the database's password
        metadata={
            "help": f"sqlite:///PATH or postgresql://... (default {LEDGER}; in memory with --stripe fake)",
            "metavar": "URL",
        },
    )
    """URL of the ledger. A file by default; in memory with `--stripe fake`, whose world ends with the process too."""
    stripe: str = _setting(
        "", "live, test, fake or a base URL (default: live or test, as the key says)", metavar="MODE"
    )
    """`live`, `test`, `fake`, or the base URL of a double. Empty: Stripe itself, in the mode of the key."""
    stripe_api_key_file: str = _setting("", "file that holds the Stripe key, instead of STRIPE_API_KEY", metavar="FILE")
    """File that holds the platform's secret key, alone on its first line."""
    stripe_api_key: str = field(default="", repr=False)
    """The key itself, from `STRIPE_API_KEY` or the file; never from the command line, where every user can read it."""
    shared_port: bool = field(default=False, repr=False, metadata={"env_only": True})
    """Set by the supervisor of `--workers` for its workers: others listen on the same port."""
    stripe_webhook_secrets_file: str = _setting(
        "", "file of webhook secrets (whsec_...), one a line, instead of STRIPE_WEBHOOK_SECRETS", metavar="FILE"
    )
    """Secrets of the endpoints that lead here, one a line: the platform's, the one for connected accounts, and while
    one is being rolled the old beside the new. Read again when it changes."""
    stripe_webhook_secrets: str = field(default="", repr=False)
    """The same from `STRIPE_WEBHOOK_SECRETS`, separated by commas; never from the command line."""
    webhook_listen: str = _setting(
        "", "host:port for Stripe's webhooks, POST /stripe/webhook over HTTP; off by default", metavar="HOST:PORT"
    )
    """Where Stripe's events arrive. Not encrypted: an ingress with TLS belongs in front."""
    page_token_key: str = field(default="", repr=False, metadata={"env_only": True})
    """Secret that signs page tokens, from `CLONESERVICE_PAGE_TOKEN_KEY`; derived from the Stripe key when empty."""
    erasure_key: str = field(default="", repr=False, metadata={"env_only": True})
    """Secret of the hashes that stand for erased ids, from `CLONESERVICE_ERASURE_KEY`; derived from the Stripe key when
    empty. Keep it: with another one the service does not know its own tombstones again."""
    lease_s: int = _setting(
        10, "seconds until others take up a dead replica's requests (safety is not at stake)", low=2, high=3600
    )
    """Seconds for which a replica owns a request without renewing; a dead one's work waits so long. Exactly-once does
    not rest on it: too short a lease costs repeated work, never a second charge."""
    request_retention_days: int = _setting(
        30, "days until a finished request is forgotten; clones and charges stay", low=2, high=3650
    )
    """Days for which the answer of a request_id is kept. It must outlast every caller's retries: afterwards the id is
    new. At least 2, since Stripe remembers its own keys for one."""
    batch_retention_days: int = _setting(
        90, "days until a finished batch and its items are forgotten; clones and charges stay", low=2, high=3650
    )
    """Days for which a batch is kept after it ended; one that was never sealed, after it was created. Not less than
    `--request-retention-days`."""
    stripe_max_connections: int = _setting(256, "requests to Stripe in flight at once", low=1, high=10_000)
    """Requests to Stripe in flight at once; one more waits."""
    stripe_rate_limit: int = _setting(
        0, "requests to Stripe a second for batches; 0 is Stripe's own limit, none at a double", low=0, high=100_000
    )
    """Requests to Stripe a second that batches keep below, on all replicas together and counting what callers wait for.

    0 is Stripe's own limit: 100 with a live key, 25 with a test key; at a double there is none then."""
    stripe_endpoint_rate_limit: int = _setting(
        0, "the same for each endpoint of Stripe's; 0 is Stripe's own limit of 25", low=0, high=100_000
    )
    """The same for each endpoint. 0 is Stripe's own limit, 25; at a double there is none then."""
    max_concurrent_rpcs: int = _setting(1000, "RPCs in flight; more get SERVICE_OVERLOADED", low=1, high=100_000)
    """RPCs in flight at once; one more is refused with SERVICE_OVERLOADED."""
    max_running_requests: int = _setting(500, "requests carried out at once", low=1, high=100_000)
    """Requests that change something carried out at once in one process, those of batches and of dead replicas too."""
    max_waiting_requests: int = _setting(
        1000, "requests that wait for that; more get SERVICE_OVERLOADED", low=0, high=100_000
    )
    """Requests that wait, in their order, for such a place; one more is refused with SERVICE_OVERLOADED. It is never
    reached if `--max-concurrent-rpcs` is less than both together."""
    caller_rps_max: int = _setting(0, "RPCs a second of one caller; 0 is no limit", low=0, high=100_000)
    """RPCs per second of one caller; more get SERVICE_OVERLOADED. 0: no limit. The policy may say other for one."""
    max_deadline_s: int = _setting(60, "deadline of callers that set none, or a longer one", low=1, high=3600)
    """Longest wait of a caller in seconds, also for one that sets no deadline."""
    max_connection_age_s: int = _setting(1800, "age at which connections are renewed; 0 is never", low=0, high=86_400)
    """Seconds after which a connection is closed in good order, so that long-lived ones spread over new replicas."""
    drain_delay_s: int = _setting(0, "seconds to go on serving after NOT_SERVING on SIGTERM", low=0, high=300)
    """Seconds between saying NOT_SERVING and taking no more calls, so that load balancers have turned away by then."""
    shutdown_grace_s: int = _setting(20, "seconds that calls in flight get on SIGTERM", low=0, high=3600)
    """Seconds that calls in flight get to finish after SIGTERM."""
    reflection: bool | None = _setting(default=None, help_text="serve gRPC reflection (default: on loopback only)")
    """Whether grpcurl and the like may ask for the contract; by default only on this machine."""
    otlp_endpoint: str = _setting(
        "", "http(s)://host:4317 of an OpenTelemetry collector for traces and metrics; off by default", metavar="URL"
    )
    """OTLP/gRPC collector for traces and metrics; needs the extra `otel`. https is encrypted, http is not."""
    trace_sample_percent: int = _setting(10, "traces kept of those that begin here, in percent", low=0, high=100)
    """Percent of traces kept among those that begin here; a caller that sends a traceparent decides itself."""
    channelz_listen: str = _setting(
        "", "host:port of gRPC's channelz (plain text; sockets, calls, peers); off by default", metavar="HOST:PORT"
    )
    """Where gRPC's own debugging service listens. It shows peers' addresses, so keep it on loopback."""
    workers: int = _setting(1, "processes that share the port; more than 1 needs PostgreSQL", low=1, high=256)
    """Processes that share the port (SO_REUSEPORT) and the ledger, restarted when they die."""
    log_format: str = _setting("text", "json or text", choices=("json", "text"))
    """`json`, one object a line, or `text`; on standard error."""
    log_level: str = _setting("info", "debug, info, warning or error", choices=("debug", "info", "warning", "error"))
    """Least level that is logged."""

    @property
    def fake(self) -> bool:
        """Whether an embedded fake_stripe takes Stripe's place."""
        return self.stripe == FAKE

    @property
    def serves_reflection(self) -> bool:
        """Whether reflection is served."""
        return self.address.is_loopback if self.reflection is None else self.reflection

    @property
    def stripe_url(self) -> str:
        """Base URL of Stripe, or of its double."""
        return self.stripe if "://" in self.stripe else STRIPE_API

    @property
    def livemode(self) -> bool:
        """Whether real money moves."""
        return Credentials(self.stripe_api_key, self.stripe_url).livemode

    @property
    def rate_limits(self) -> RateLimits:
        """What batches keep below."""
        real = not self.fake and self.stripe_url == STRIPE_API
        by_mode = (100 if self.livemode else 25) if real else 0
        return RateLimits(self.stripe_rate_limit or by_mode, self.stripe_endpoint_rate_limit or (25 if real else 0))

    @property
    def key_fingerprint(self) -> str:
        """Tells keys apart and gives nothing away."""
        return Credentials(self.stripe_api_key, self.stripe_url).fingerprint

    @property
    def address(self) -> Address:
        """`listen` in its parts."""
        return parse_address(self.listen)

    @property
    def tls_files(self) -> TlsFiles | None:
        """The listener's certificate files, or None without TLS."""
        if not self.tls_cert_file:
            return None
        client_ca = Path(self.tls_client_ca_file) if self.tls_client_ca_file else None
        return TlsFiles(Path(self.tls_cert_file), Path(self.tls_key_file), client_ca)

    @property
    def trusted_proxies(self) -> frozenset[str]:
        """`trusted_proxy` in its parts."""
        return frozenset(filter(None, (part.strip() for part in self.trusted_proxy.split(","))))

    @property
    def page_token_secret(self) -> bytes:
        """Key of the page tokens: the same on all replicas that share the Stripe key."""
        if self.page_token_key:
            return self.page_token_key.encode()
        return hmac.new(self.stripe_api_key.encode(), b"cloneservice page tokens", hashlib.sha256).digest()

    @property
    def erasure_secret(self) -> bytes:
        """Key of the pseudonyms: the same on all replicas that share the Stripe key."""
        if self.erasure_key:
            return self.erasure_key.encode()
        return hmac.new(self.stripe_api_key.encode(), b"cloneservice erasure", hashlib.sha256).digest()


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host == "localhost" or self.host.startswith("127.") or self.host == "::1"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, flag: str = "--listen") -> Address:
    """`host:port` or `[v6]:port`. Raises ValueError saying what `flag` expects."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise ValueError(f"{flag} must be host:port, such as 127.0.0.1:50051 or [::1]:0, not {text!r}")
    return Address(host, int(port))


def load(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Settings from `flags` (a value of None was not given), then `environ`, then the file, then the defaults.

    Raises SettingsError with everything that is wrong at once.
    """
    problems: list[str] = []
    given: dict[str, Any] = {}
    file = _file(flags.get("config") or environ.get("CLONESERVICE_CONFIG", ""), problems)
    for setting in dataclasses.fields(Settings):
        if setting.name in ("stripe_api_key", "stripe_webhook_secrets"):
            continue
        value = flags.get(setting.name)
        if value is None:
            value = environ.get(f"CLONESERVICE_{setting.name.upper()}") or file.get(setting.name)
        if value is not None:
            _take(setting, value, given, problems)
    _check_secrets(given, problems)
    settings = Settings(**given)
    key = _stripe_key(settings, environ, problems)
    settings = dataclasses.replace(
        settings,
        stripe_api_key=key,
        stripe_webhook_secrets=environ.get("STRIPE_WEBHOOK_SECRETS", ""),
        ledger=settings.ledger or _default_ledger(settings),
    )
    _check(settings, environ, problems)
    if problems:
        raise SettingsError(problems)
    return settings


def _file(name: str, problems: list[str]) -> dict[str, Any]:
    """The settings in a TOML file."""
    if not name:
        return {}
    try:
        found = tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as wrong:
        problems.append(f"--config: cannot read {name}: {wrong.strerror}")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        problems.append(f"--config: {name} is not TOML: {wrong}")
        return {}
    known = [setting.name for setting in dataclasses.fields(Settings) if "help" in setting.metadata]
    for key in found.keys() - set(known):
        near = difflib.get_close_matches(key, known, 1)
        problems.append(f"--config: {name}: {key} is not a setting{f'; did you mean {near[0]}?' if near else ''}")
    return found


def webhook_secrets(text: str | bytes) -> tuple[str, ...]:
    """The secrets in a file or variable: one a line, or separated by commas. Raises ValueError on anything else."""
    found = tuple(re.split(r"[\s,]+", (text.decode() if isinstance(text, bytes) else text).strip()))
    if not all(secret.startswith("whsec_") for secret in found):
        raise ValueError("webhook secrets begin with whsec_ and are given one a line, or separated by commas")
    return found


def mistyped(environ: Mapping[str, str]) -> list[str]:
    """Advice about variables that almost name a setting; others may begin with CLONESERVICE_ for reasons of their own.

    Kubernetes, for one, sets CLONESERVICE_SERVICE_HOST and CLONESERVICE_PORT for a Service of that name.
    """
    known = [f"CLONESERVICE_{setting.name.upper()}" for setting in dataclasses.fields(Settings)]
    found = []
    for name in sorted(set(environ) - set(known) - _VARIABLES_OF_CLIENTS):
        if not name.startswith("CLONESERVICE_") or name.startswith(("CLONESERVICE_SERVICE_", "CLONESERVICE_PORT")):
            continue
        near = difflib.get_close_matches(name.removeprefix("CLONESERVICE_"), [one[13:] for one in known], 1)
        if near:
            found.append(f"{name} is not a setting; did you mean CLONESERVICE_{near[0]}?")
    return found


_VARIABLES_OF_CLIENTS = {f"CLONESERVICE_{name}" for name in ("TARGET", "TLS_CA", "TIMEOUT", "INSECURE", "TOKEN")}


def secrets_in(arguments: list[str]) -> bool:
    """Whether a command line holds something that looks like a key."""
    return any(_SECRET.search(argument) for argument in arguments)


def _take(setting: dataclasses.Field[Any], value: Any, given: dict[str, Any], problems: list[str]) -> None:
    try:
        given[setting.name] = _parsed(setting, value)
    except ValueError as wrong:
        problems.append(f"--{setting.name.replace('_', '-')} (CLONESERVICE_{setting.name.upper()}): {wrong}")


def _parsed(setting: dataclasses.Field[Any], value: Any) -> Any:
    if str(setting.type).startswith("bool"):
        return value if isinstance(value, bool) else _boolean(str(value))
    if setting.type == "int":
        return _integer(str(value), setting.metadata["low"], setting.metadata["high"])
    choices = setting.metadata.get("choices")
    if choices and value not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}")
    return ",".join(value) if setting.metadata.get("many") and isinstance(value, list) else str(value)


def _boolean(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError("must be true or false")
    return words[text.lower()]


def _integer(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"-?\d{1,9}", text) or not low <= int(text) <= high:
        raise ValueError(f"must be a whole number between {low} and {high}")
    return int(text)


def _check_secrets(given: dict[str, Any], problems: list[str]) -> None:
    for name, value in given.items():
        if name != "page_token_key" and isinstance(value, str) and _SECRET.search(value):
            given[name] = ""
            problems.append(
                f"--{name.replace('_', '-')} holds a key; give it by STRIPE_API_KEY or --stripe-api-key-file"
            )


def _default_ledger(settings: Settings) -> str:
    return LEDGER_OF_FAKE if settings.fake else LEDGER


def _stripe_key(settings: Settings, environ: Mapping[str, str], problems: list[str]) -> str:
    in_environment = environ.get("STRIPE_API_KEY", "").strip()
    if not settings.stripe_api_key_file:
        return in_environment
    if in_environment:
        problems.append("STRIPE_API_KEY and --stripe-api-key-file are both given; unset one of them")
        return in_environment
    try:
        return Path(settings.stripe_api_key_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as wrong:
        reason = wrong.strerror if isinstance(wrong, OSError) else "not a text file"
        problems.append(f"--stripe-api-key-file: cannot read {settings.stripe_api_key_file}: {reason}")
        return ""


def _check(settings: Settings, environ: Mapping[str, str], problems: list[str]) -> None:
    try:
        parse_address(settings.listen)
    except ValueError as wrong:
        problems.append(str(wrong))
    for flag, text in (("--admin-listen", settings.admin_listen), ("--channelz-listen", settings.channelz_listen)):
        try:
            parse_address(text or "localhost:0", flag)
        except ValueError as wrong:
            problems.append(str(wrong))
    if settings.admin_token_file and not settings.admin_listen:
        problems.append("--admin-token-file is for the page on the admin port: give --admin-listen HOST:PORT, too")
    if settings.otlp_endpoint and not settings.otlp_endpoint.startswith(("http://", "https://")):
        problems.append("--otlp-endpoint must be http://host:4317 or https://host:4317")
    if settings.batch_retention_days < settings.request_retention_days:
        problems.append("--batch-retention-days must not be less than --request-retention-days")
    _check_workers(settings, problems)
    _check_webhooks(settings, problems)
    _check_tls(settings, problems)
    if not settings.ledger.startswith(("sqlite://", "postgresql://", "postgres://")):
        problems.append("--ledger must be sqlite:///PATH, sqlite://:memory: or postgresql://user@host/database")
    if settings.stripe not in ("", "live", "test", FAKE) and "://" not in settings.stripe:
        problems.append(f"--stripe must be live, test, fake or a URL such as https://host, not {settings.stripe!r}")
    elif settings.fake:
        _check_fake(settings, problems)
    elif settings.stripe_api_key:
        _check_key(settings, problems)
    elif not any("stripe-api-key-file" in problem for problem in problems):
        misnamed = next((f" ({name} is not read)" for name in _MISNAMED_KEYS if environ.get(name)), "")
        problems.append(
            f"no Stripe key: set STRIPE_API_KEY{misnamed} or give --stripe-api-key-file FILE (or try it out with "
            "--stripe fake)"
        )


def _check_workers(settings: Settings, problems: list[str]) -> None:
    if settings.workers == 1:
        return
    if settings.fake:
        problems.append("--workers with --stripe fake: the embedded double lives in one process; leave one of them out")
    elif settings.ledger.startswith("sqlite:"):
        problems.append(
            "--workers needs a ledger that several processes can write: --ledger postgresql://...; a SQLite ledger "
            "belongs to one process, which is how it stays correct"
        )


def _check_webhooks(settings: Settings, problems: list[str]) -> None:
    if settings.stripe_webhook_secrets and settings.stripe_webhook_secrets_file:
        problems.append("STRIPE_WEBHOOK_SECRETS and --stripe-webhook-secrets-file are both given; unset one of them")
    if not settings.webhook_listen:
        return
    try:
        parse_address(settings.webhook_listen, "--webhook-listen")
    except ValueError as wrong:
        problems.append(str(wrong))
    if not (settings.stripe_webhook_secrets or settings.stripe_webhook_secrets_file):
        problems.append(
            "--webhook-listen needs the endpoint's secrets: set STRIPE_WEBHOOK_SECRETS or give "
            "--stripe-webhook-secrets-file FILE"
        )


def _check_tls(settings: Settings, problems: list[str]) -> None:
    if bool(settings.tls_cert_file) != bool(settings.tls_key_file):
        problems.append("--tls-cert-file and --tls-key-file go together")
    if settings.tls_client_ca_file and not settings.tls_cert_file:
        problems.append("--tls-client-ca-file needs --tls-cert-file and --tls-key-file")
    problems.extend(
        f"--trusted-proxy must be spiffe://..., dns:NAME or {LOOPBACK}, not {identity!r}"
        for identity in sorted(settings.trusted_proxies)
        if identity != LOOPBACK and not identity.startswith("dns:") and "://" not in identity
    )


def _check_fake(settings: Settings, problems: list[str]) -> None:
    """A live key beside a double is a mistake in waiting; a test key is simply not used."""
    if settings.stripe_api_key and not settings.stripe_api_key.startswith(("sk_test_", "rk_test_")):
        problems.append("--stripe fake and a live Stripe key: unset STRIPE_API_KEY, or leave out --stripe fake")


def _check_key(settings: Settings, problems: list[str]) -> None:
    try:
        livemode = settings.livemode
    except ValueError as wrong:
        problems.append(str(wrong))
        return
    if settings.stripe == "live" and not livemode:
        problems.append("--stripe live needs a live key (sk_live_... or rk_live_...); this one is for test mode")
    if settings.stripe == "test" and livemode:
        problems.append("--stripe test needs a test key (sk_test_... or rk_test_...); this one moves real money")
