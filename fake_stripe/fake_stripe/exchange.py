"""One request through the double: key, account, route, faults, idempotency, validation, handler, rendering, journal."""

import logging
from typing import Any

from fake_stripe.errors import API, INVALID_REQUEST, ApiError, invalid
from fake_stripe.faults import Fault, Seen
from fake_stripe.http import idempotency
from fake_stripe.http.forms import decode, is_multipart
from fake_stripe.http.keys import (
    RESTRICTED_WITHOUT_CONNECT,
    Key,
    account_invalid,
    check_permissions,
    check_platform,
    check_power,
    test_account,
)
from fake_stripe.injected import error_of, stops_at_the_door
from fake_stripe.journal import Entry, raw_params
from fake_stripe.objects.registry import Call, handler_for
from fake_stripe.openapi.catalog import Operation, catalog
from fake_stripe.rates import check_rate
from fake_stripe.render.envelope import envelope, log_url, to_json
from fake_stripe.render.expansion import expand, tree_of
from fake_stripe.scope import Scope
from fake_stripe.versions import exists, reshape, reshape_error
from fake_stripe.wire import Fate, Request, Response
from fake_stripe.world import World

log = logging.getLogger("fake_stripe")

_FORM = "application/x-www-form-urlencoded"
_EXPOSED = (
    "Request-Id, Stripe-Manage-Version, Stripe-Should-Retry, X-Stripe-External-Auth-Required,"
    " X-Stripe-Privileged-Session-Required"
)
_CORS_HEADERS = [
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Allow-Methods", "GET, HEAD, PUT, PATCH, POST, DELETE"),
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", _EXPOSED),
    ("Access-Control-Max-Age", "300"),
]
_CONSTANT_HEADERS = [
    ("Content-Type", "application/json"),
    *_CORS_HEADERS,
    ("Cache-Control", "no-cache, no-store"),
    ("Content-Security-Policy", "base-uri 'none'; default-src 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("Vary", "Origin"),
    ("Server", "fake-stripe"),
]
_TIER = "X-Stripe-Routing-Context-Priority-Tier"
_WITH_LEGACY_MEMBERS = ("/v1/charges", "/v1/payment_intents", "/v1/refunds")
_FATES = {"drop_before": Fate.DROP, "commit_then_drop": Fate.DROP, "reset_mid_body": Fate.RESET}


def refused(error: ApiError) -> Response:
    """An answer to a request whose key opens no world: no Request-Id, no request log."""
    return Response(error.status, list(_CONSTANT_HEADERS), to_json(envelope(error, request_log_url=None)))


def preflight(request: Request) -> Response:
    """The answer to a browser that asks whether a page of another origin may call the API: as Stripe's, it may."""
    asked = request.headers.get(b"access-control-request-headers", b"").decode("latin-1")
    return Response(200, [*_CORS_HEADERS, ("Access-Control-Allow-Headers", asked)], b"")


def _from_fixture(call: Call) -> dict[str, Any]:
    """The answer of an operation that no module handles; without a state, nothing is kept of it."""
    if call.world.stateless:
        from fake_stripe.fixtures import answer as fixture  # noqa: PLC0415 - only for operations that are not modelled

        return fixture(call)
    from fake_stripe.kept import answer  # noqa: PLC0415 - as above

    return answer(call)


class Exchange:
    """The state of one request on its way."""

    __slots__ = (
        "account",
        "connect",
        "entry",
        "fault",
        "given_key",
        "idempotency_key",
        "key",
        "operation",
        "path_params",
        "request",
        "request_id",
        "scope",
        "strict_version",
        "trusted",
        "version",
        "world",
    )

    def __init__(self, world: World, key: Key, request: Request, number: int, *, strict_version: bool = False) -> None:
        self.world = world
        self.key = key
        self.request = request
        self.request_id = "req_" + world.request_ids.text(14)
        self.account = world.platform
        self.connect = False
        self.trusted = True
        self.version = world.api_version
        self.strict_version = strict_version
        self.operation: Operation | None = None
        self.path_params: dict[str, str] = {}
        self.scope: Scope = world.platform_scope(key.livemode)
        self.fault: Fault | None = None
        self.idempotency_key: str | None = None
        self.given_key = False
        self.entry = Entry(number, world.clock.now(), request.method, request.path, raw_params(request))

    # ---- the way through

    def run(self) -> Response:
        """Answer; whatever happens inside, the client gets an envelope of Stripe's shape."""
        world = self.world
        world.begin_call()
        try:
            self._find_operation()
            self._find_version()
            self._find_account()
            response = self._front() or self._answer()
        except ApiError as error:
            response = self._failed(error)
        except Exception:
            log.exception("%s %s failed inside fake_stripe", self.request.method, self.request.path)
            world.take_back()
            text = "fake_stripe failed to handle this request; its log has the traceback. Please report it."
            response = self._failed(ApiError(500, API, text))
        finally:
            world.current = None
        self._befall(response)
        self._note(response)
        return response

    def _find_version(self) -> None:
        asked = self.request.headers.get(b"stripe-version")
        if asked is None:
            return
        version = asked.decode("latin-1").strip()
        if not exists(version) and not self.world.stateless:
            raise invalid(f"Invalid Stripe API version: {version}")
        if self.strict_version and version != self.world.api_version:
            raise invalid(f"Only Stripe API version {self.world.api_version} is taken (--strict-version-check).")
        self.version = version

    def _find_operation(self) -> None:
        found = catalog().match(self.request.method, self.request.path)
        if found is not None:
            self.operation, self.path_params = found
            self.entry.operation = self.operation

    def _find_account(self) -> None:
        named = self.request.headers.get(b"stripe-account")
        world = self.world
        account = named.decode("latin-1") if named else ""
        in_path = self.path_params.get("account")
        if in_path is not None and self.request.path.startswith("/v1/accounts/"):
            account = in_path
        if not account:
            return
        check_platform(self.key)
        if not world.stateless and not world.reaches(account):
            self.trusted = False
            raise account_invalid(self.key, account)
        if self.key.livemode and world.only_in_test_mode(account):
            raise test_account(account)
        if named and self.key.kind == "rk" and self._granted() is not None and "connect" not in (self._granted() or ()):
            raise ApiError(403, INVALID_REQUEST, RESTRICTED_WITHOUT_CONNECT)
        self.account = account
        self.connect = True
        self.scope = world.scope(account, self.key.livemode)

    def _granted(self) -> frozenset[str] | None:
        return self.world.restricted.get(self.key.text)

    def _front(self) -> Response | None:
        """What stands before the idempotency layer: rate limits, and faults that keep a request from executing."""
        world, request = self.world, self.request
        header = request.headers.get(b"idempotency-key")
        if header is not None and request.method != "GET":
            self.idempotency_key = header.decode("latin-1")
            self.given_key = True
        elif request.method == "POST":
            # Recorded in 2026 (not before 2022): a POST without a key is given one, and answered like any other.
            self.idempotency_key = world.request_ids.uuid()
        check_rate(world, self.account, request.method, self.operation.path if self.operation else request.path)
        if not world.has_faults:
            return None
        self.fault = world.faults.pick(
            Seen(
                request.method,
                request.path,
                self.account,
                not self.connect,
                self.idempotency_key,
                self.entry.raw_params,
            )
        )
        if self.fault is None:
            return None
        act = self.fault.act
        if act.kind == "drop_before":
            return Response(0, [], b"")
        if act.kind == "answer":
            return self._reply(act.status, to_json(act.body), retry=None, more=list(act.headers.items()))
        if stops_at_the_door(act):
            raise error_of(act, self.idempotency_key)
        return None

    def _answer(self) -> Response:
        key = self.idempotency_key
        if key is None or self.request.method != "POST":
            status, body, fidelity = self._execute()
            self._lose_after_commit()
            return self._reply(status, body, retry=None, fidelity=fidelity)
        if self.given_key:
            return self._answer_once(key)
        # Nobody repeats a key that was not theirs: its result is not worth keeping.
        status, body, retry, fidelity = self._outcome()
        self._lose_after_commit()
        return self._reply(status, body, retry=retry, fidelity=fidelity)

    def _answer_once(self, key: str) -> Response:
        """Execute under an idempotency key, or answer what was answered under it before."""
        idempotency.check_key(key)
        world, path = self.world, self.request.path
        slot = (self.account, self.key.livemode, key)
        sent = self._sent()
        earlier = idempotency.find(world, slot, path, sent)
        if earlier is not None:
            return self._replay(earlier)
        record = idempotency.Record(path, sent, self.request_id, world.clock.now())
        status, body, retry, fidelity = self._outcome()
        record.finish(status, body, retry, fidelity)
        idempotency.keep(world, slot, record)
        if self._loses_after_commit():
            record.release()
            self._lose_after_commit()
        response = self._reply(status, body, retry=retry, fidelity=fidelity)
        response.release = record.release
        return response

    def _outcome(self) -> tuple[int, bytes, str | None, str]:
        """The result that is kept under a key: status, body, `Stripe-Should-Retry`, fidelity. Raises what is not."""
        try:
            status, body, fidelity = self._execute()
        except ApiError as error:
            if not _is_kept(error):
                raise
            self.entry.note_error(error)
            retry = error.headers.get("Stripe-Should-Retry", None if error.status >= 500 else "false")
            return error.status, self._error_body(error), retry, ""
        return status, body, "false", fidelity

    def _sent(self) -> bytes:
        """What a repetition under the same key must equal."""
        request = self.request
        sent = request.body + b"&" + request.query if request.query else request.body
        if len(sent) > idempotency.LARGEST_KEPT or is_multipart(request):
            return idempotency.digest(self._pairs())
        return sent

    def _replay(self, record: idempotency.Record) -> Response:
        self.entry.replayed = True
        more = [("Idempotent-Replayed", "true")]
        return self._reply(
            record.status,
            record.response,
            retry=record.retry,
            more=more,
            original=record.request_id,
            fidelity=record.fidelity,
        )

    def _execute(self) -> tuple[int, bytes, str]:
        """Validate, run the handler, render: status, body, fidelity."""
        operation = self.operation
        if operation is None:
            raise self._unknown_route()
        params = operation.validate(self._pairs())
        check_power(self.key, operation.method, operation.path, params)
        if self.key.kind == "rk":
            check_permissions(self.key, self._granted(), operation.method, operation.path, self.account)
        expanded: list[str] = params.pop("expand", None) or []
        tree = tree_of(expanded) if expanded else None
        call = self._call(operation, params, expanded)
        handler = None if self.world.stateless else handler_for(operation.method, operation.path)
        self.world.current = call
        try:
            result = _from_fixture(call) if handler is None else handler(call)
            if tree:
                result = expand(result, tree, self.scope)
        except ApiError as error:
            if not error.executed:
                self.world.take_back()
            else:
                self._fail_at_the_end()
            raise
        old = not call.pinned or self.version < "2022-11-15"
        if old and handler is not None and self.request.path.startswith(_WITH_LEGACY_MEMBERS):
            from fake_stripe.objects.legacy_members import complete  # noqa: PLC0415 - payments only

            result = complete(self.scope, result)
        self._fail_at_the_end()
        return 200, to_json(reshape(result, self.version)), "modelled" if handler else "fixture"

    def _fail_at_the_end(self) -> None:
        """A fault of 500 comes out of the endpoint itself, whatever that would answer; its key keeps it."""
        fault = self.fault
        if fault is None or fault.act.kind != "status" or fault.act.status != 500:
            return
        if not fault.act.commit:
            self.world.take_back()
        raise error_of(fault.act, self.idempotency_key)

    def _loses_after_commit(self) -> bool:
        fault = self.fault
        return fault is not None and fault.act.kind == "status" and fault.act.commit and fault.act.status != 500

    def _lose_after_commit(self) -> None:
        """Any other status that comes after the commit is an edge in front of Stripe: the key keeps the true result."""
        if self.fault is not None and self._loses_after_commit():
            raise error_of(self.fault.act, self.idempotency_key)

    def _call(self, operation: Operation, params: dict[str, Any], expanded: list[str]) -> Call:
        world, key = self.world, self.key
        return Call(
            world=world,
            scope=self.scope,
            platform=world.platform_scope(key.livemode),
            params=params,
            path=self.path_params,
            version=self.version,
            connect=self.connect,
            key_kind=key.kind,
            livemode=key.livemode,
            operation=operation,
            idempotency_key=self.idempotency_key,
            request_id=self.request_id,
            now=world.clock.now(),
            expand=expanded,
            url=self.request.path,
            base_url=self.request.base_url,
            pinned=b"stripe-version" in self.request.headers,
        )

    def _pairs(self) -> list[tuple[str, str]]:
        request = self.request
        pairs = decode(request.query, "") if request.query else []
        if not request.body:
            return pairs
        content_type = request.headers.get(b"content-type", b"").decode("latin-1")
        if content_type.startswith("application/json") and request.path.startswith("/v1/"):
            raise invalid(
                f"Invalid request (check that your POST content type is {_FORM}). If you have any questions, we can"
                " help at https://support.stripe.com/."
            )
        return pairs + decode(request.body, content_type)

    def _unknown_route(self) -> ApiError:
        method, path = self.request.method, self.request.path
        return ApiError(
            404,
            INVALID_REQUEST,
            f"Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove the trailing"
            " slash. If you are trying to retrieve an object, make sure you passed a valid (non-empty) identifier in"
            " your code. Please see https://stripe.com/docs or we can help at https://support.stripe.com/.",
        )

    # ---- answers

    def _failed(self, error: ApiError) -> Response:
        self.entry.note_error(error)
        retry = error.headers.get("Stripe-Should-Retry")
        body = self._error_body(error)
        more = [(name, value) for name, value in error.headers.items() if name != "Stripe-Should-Retry"]
        return self._reply(error.status, body, retry=retry, more=more)

    def _error_body(self, error: ApiError) -> bytes:
        url = log_url(self.world.platform, self.request_id, self.key.livemode) if self.trusted else None
        error.extra = reshape_error(error.extra, self.version)
        return to_json(envelope(error, request_log_url=url))

    def _reply(
        self,
        status: int,
        body: bytes,
        *,
        retry: str | None,
        more: list[tuple[str, str]] | None = None,
        original: str | None = None,
        fidelity: str = "",
    ) -> Response:
        headers = list(_CONSTANT_HEADERS)
        if self.trusted:
            headers.append(("Request-Id", self.request_id))
            headers.append(("Stripe-Version", self.version))
            headers.append((_TIER, "api-livemode" if self.key.livemode else "api-testmode"))
        if self.connect:
            headers.append(("Stripe-Account", self.account))
        key = self.idempotency_key
        if key is not None and status != 401 and self.trusted:
            headers.append(("Idempotency-Key", key))
            if self.request.method == "POST":
                headers.append(("Original-Request", original or self.request_id))
                if retry is not None:
                    headers.append(("Stripe-Should-Retry", retry))
        elif retry == "true":
            headers.append(("Stripe-Should-Retry", retry))
        if more:
            headers += more
        if fidelity == "fixture":
            headers.append(("Fake-Stripe-Fidelity", fidelity))
        self.entry.fidelity = fidelity
        return Response(status, headers, body)

    def _befall(self, response: Response) -> None:
        """Let the fault have its way with the answer, now that the work is done."""
        fault = self.fault
        if fault is None:
            return
        self.entry.fault = fault.id
        if fault.latency is not None:
            response.delay = fault.latency(fault.rng)
        kind = fault.act.kind
        if kind in _FATES:
            response.fate = _FATES[kind]
        elif kind == "malformed_body":
            response.body = response.body[: max(1, len(response.body) // 2)]
        if kind not in ("latency", "answer", "status", "lock_timeout"):
            self.entry.fate = kind

    def _note(self, response: Response) -> None:
        world, entry = self.world, self.entry
        entry.status = response.status
        entry.note_answer(response.body)
        entry.account = self.account
        entry.connect = self.connect
        entry.livemode = self.key.livemode
        entry.key = self.key.masked
        entry.version = self.version
        entry.idempotency_key = self.idempotency_key
        entry.request_id = self.request_id
        if world.changes:
            entry.note_changes(world.changes)
        world.journal.append(entry)
        if response.release is not None and not response.delay:
            response.release()
            response.release = None


def _is_kept(error: ApiError) -> bool:
    """Whether a failure is stored under its idempotency key: it is once the endpoint had begun to execute."""
    return error.executed or (error.status == 500)
