"""One HTTP exchange with a vendor: bytes out, bytes back, or a typed error. No retries, no meaning.

TLS is verified, redirects are never followed, cookies and proxies of the environment are ignored, and an
answer is bounded after decompression.
"""

from gateway.transport.outgoing import Outgoing, Transport
from gateway.transport.with_aiohttp import AiohttpTransport

__all__ = ["AiohttpTransport", "Outgoing", "Transport"]
