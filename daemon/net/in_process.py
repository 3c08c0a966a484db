"""Requests that leave no process: an httpx transport stands in for the network (stand-ins, tests, the simulator)."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from yarl import URL


class InProcess:
    """A `daemon.net.http.Wire` over an httpx transport. Its errors become those that a socket would have raised."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def send(
        self, method: str, target: URL, headers: Mapping[str, str], content: bytes | None, max_bytes: int
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and body; reading stops beyond `max_bytes`."""
        request = httpx.Request(method, str(target), headers=dict(headers), content=content)
        body = b""
        try:
            response = await self._transport.handle_async_request(request)
            try:
                async for chunk in response.stream:  # type: ignore[union-attr]  # an async transport's stream
                    body += chunk
                    if len(body) > max_bytes:
                        break
            finally:
                await response.aclose()
        except httpx.TimeoutException as error:
            raise TimeoutError(str(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError) as error:
            raise ConnectionResetError(str(error)) from error
        return response.status_code, response.headers, body

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()
