"""Who may do what: what a request carries, to a caller with rights.

    door        Access: one request's credentials ▸ Caller; where there is no `auth`, this machine alone
    ├─ keys     API keys, found by their SHA-256; those for web pages bound to their origins
    ├─ tokens   JWTs of an identity provider, remembered until they expire
    │  └─ jwks  … and the keys that verify them, fetched ahead of requests, kept through an outage
    ├─ limits   how many requests a key may send, and what is said of it
    └─ machine  whose Host and Origin mean this machine

All of it is synchronous when a request comes: nothing here awaits on its way.
"""

from gateway.access.challenge import CHALLENGE
from gateway.access.door import NOBODY, OPEN, Access
from gateway.access.machine import is_loopback

__all__ = ["CHALLENGE", "NOBODY", "OPEN", "Access", "is_loopback"]
