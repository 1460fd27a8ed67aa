"""The transport over aiohttp's client: complete, and dear. The lean one is checked against it."""

from __future__ import annotations

import asyncio

import aiohttp
from yarl import URL

from gateway.adapter import Response
from gateway.errors import Disconnected, Malformed, Misconfigured, NotConnected, TimedOut
from gateway.transport.outgoing import ACCEPT_ENCODING, USER_AGENT, Outgoing


class AiohttpTransport:
    """Transport over one aiohttp session: a pool of kept-alive connections of one provider."""

    def __init__(self, *, connect_timeout: float, max_answer: int, max_connections: int) -> None:
        self._connect_timeout = connect_timeout
        self._max_answer = max_answer
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:  # replaced at a reload: whoever comes this late must neither crash nor open it anew
            raise NotConnected("the provider was replaced")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._max_connections, ttl_dns_cache=60, keepalive_timeout=60
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"user-agent": USER_AGENT, "accept-encoding": ACCEPT_ENCODING},
                skip_auto_headers=("accept", "content-type"),
            )
        return self._session

    async def exchange(self, outgoing: Outgoing, seconds: float) -> Response:
        try:
            async with self._open().request(
                outgoing.method,
                URL(outgoing.url, encoded=True),
                headers=outgoing.headers,
                data=outgoing.body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=self._connect_timeout),
            ) as answer:
                body = await self._read(answer)
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status, headers, body)
        except aiohttp.ConnectionTimeoutError as error:
            raise NotConnected(f"no connection within {self._connect_timeout:g} s") from error
        except TimeoutError as error:
            raise TimedOut(f"no answer within {seconds:.3f} s") from error
        except aiohttp.ClientConnectorError as error:
            raise NotConnected(f"cannot connect: {error.strerror or 'failed'}") from error
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
            raise Malformed("the answer is not whole, or not HTTP") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Disconnected("the connection broke") from error
        except ValueError as error:
            raise Misconfigured("the request cannot be said in HTTP") from error

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > self._max_answer:
                answer.close()
                raise Malformed(f"the answer is longer than {self._max_answer} bytes", status=answer.status)
        return bytes(body)

    async def open(self, url: str) -> None:
        session = self._open()
        assert session.connector is not None  # noqa: S101  # it has one until it is closed
        request = aiohttp.ClientRequest("GET", URL(url), loop=asyncio.get_running_loop())
        timeout = aiohttp.ClientTimeout(sock_connect=self._connect_timeout)
        try:
            connection = await session.connector.connect(request, [], timeout)
        except (aiohttp.ClientError, OSError) as error:
            raise NotConnected("cannot connect") from error
        connection.release()  # into the pool, unused

    async def close(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)  # let the transports see the close
