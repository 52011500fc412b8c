"""The official stripe SDK without a socket: an HTTP client for it that calls the double in this process."""

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from fake_stripe.wire import Fate, Request, Response

if TYPE_CHECKING:
    from fake_stripe.app import FakeStripe


class Headers(dict[str, str]):
    """Response headers, looked up without regard to case, as the SDK expects."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__((name.lower(), value) for name, value in pairs)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a header, in any spelling of its name."""
        return super().get(name.lower(), default)


def request_of(method: str, url: str, headers: Mapping[str, str] | None, post_data: Any) -> Request:
    """The SDK's request as the double takes it."""
    parts = urlsplit(url)
    body = post_data.encode() if isinstance(post_data, str) else bytes(post_data or b"")
    sent = {str(name).lower().encode(): str(value).encode("latin-1") for name, value in (headers or {}).items()}
    base = f"{parts.scheme}://{parts.netloc}"
    return Request(
        method.upper(), unquote(parts.path), query=parts.query.encode(), headers=sent, body=body, base_url=base
    )


def in_process_client() -> Any:
    """The class of HTTP clients for the stripe SDK whose requests end in a `FakeStripe`; loads the SDK.

    Its instances are made with the double: `in_process_client()(fake)`. Between retries they do not wait.
    """
    try:
        import stripe  # noqa: PLC0415 - the double itself does without the SDK
    except ModuleNotFoundError as missing:
        raise ImportError(
            "stripe_client() is Stripe's own SDK, which is not installed: pip install stripe", name="stripe"
        ) from missing

    base: Any = stripe.HTTPClient
    broken: Any = stripe.APIConnectionError

    class InProcessClient(base):  # type: ignore[misc]  # the SDK's own annotations differ from what it accepts
        name = "fake_stripe"

        def __init__(self, app: "FakeStripe") -> None:
            super().__init__()
            self._app = app

        def _sleep_time_seconds(self, num_retries: int) -> float:  # noqa: ARG002 - the SDK's signature
            return 0.0

        def request(
            self, method: str, url: str, headers: Any, post_data: Any = None, **_: Any
        ) -> tuple[bytes, int, Mapping[str, str]]:
            response = self._app.handle(request_of(method, url, headers, post_data))
            self._app.hand_over(response.deliveries)
            time.sleep(response.delay)
            return _outcome(response)

        def request_stream(
            self, method: str, url: str, headers: Any, post_data: Any = None, **_: Any
        ) -> tuple[Any, int, Mapping[str, str]]:
            import io  # noqa: PLC0415 - hardly ever used

            body, status, answered = self.request(method, url, headers, post_data)
            return io.BytesIO(body), status, answered

        async def request_async(
            self, method: str, url: str, headers: Any, post_data: Any = None, **_: Any
        ) -> tuple[bytes, int, Mapping[str, str]]:
            response = self._app.handle(request_of(method, url, headers, post_data))
            self._app.hand_over(response.deliveries)
            if response.delay:
                await asyncio.sleep(response.delay)
            return _outcome(response)

        async def sleep_async(self, secs: float) -> None:
            await asyncio.sleep(secs)

        def close(self) -> None:
            pass

        async def close_async(self) -> None:
            pass

    def _outcome(response: Response) -> tuple[bytes, int, Mapping[str, str]]:
        if response.release is not None:
            response.release()
        if response.fate is Fate.DROP:
            raise broken("fake_stripe dropped the connection", should_retry=True)
        if response.fate is Fate.RESET:
            raise broken("fake_stripe reset the connection", should_retry=True)
        return response.body, response.status, Headers(response.headers)

    return InProcessClient
