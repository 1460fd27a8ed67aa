"""One HTTP exchange with a vendor: bytes out, bytes back, or a typed error. No retries, no meaning.

TLS is verified, redirects are never followed, cookies and proxies of the environment are ignored, and an
answer is bounded after decompression.

    outgoing.py      a request, and what every transport is
    lean.py          the one that is used: HTTP/1.1, kept connections
      origin.py        one host     ├ heads.py       what it is sent
                                    ├ addresses.py   what its name means
                                    └ pool.py        its connections
      connection.py    one connection, one question at a time
        reading.py       answers out of bytes       unpacking.py   gzip, deflate
    with_aiohttp.py  the same over aiohttp's client, which knows more: to check the lean one against
"""

from gateway.transport.lean import LeanTransport
from gateway.transport.outgoing import Outgoing, Transport
from gateway.transport.with_aiohttp import AiohttpTransport

__all__ = ["AiohttpTransport", "LeanTransport", "Outgoing", "Transport"]
