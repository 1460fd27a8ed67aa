"""The API in words, as the OpenAPI document and the page for people begin."""

from __future__ import annotations

from typing import Final

TITLE: Final = "Recommendation gateway"

ABOUT: Final = """
One normalized API in front of recommendation vendors. Every caller uses one internal URL and never names a
vendor: which of them answers, and which stands in for it, is the configuration's business.

* **vendor**: a company with an API
* **adapter**: the code that speaks it
* **provider**: one configured account at a vendor
* **placement**: the spot that asks (`home`, `product_page`, `cart`); configuration maps it to providers
* **kind**: what is asked: `for_you` `similar_items` `bought_together` `looking_similar` `trending_items`
  `trending_facets`
* **arm**: one side of a traffic split
* **source**: what an answer was made from
* **capability**: an operation, or a part of one, that a provider can serve

One gateway serves one tenant: keys differ in rights, never in data. A request is **personal** when it names a
user, a history or `exclude_seen`.

Credentials are `Authorization: Bearer <key or token>` or `X-Api-Key: <key>`, and each has scopes; a publishable
key may also stand in `?key=` of `POST /v1/events`. A token may speak for one user alone, who is filled in where a
request names none. Without `auth` in the configuration every caller has every scope, and only this machine may
call.

Bodies are JSON in UTF-8, sent as `application/json` or untyped. HEAD works where GET does; another method is 405
with `Allow`. Whether an answer came from the cache stands in `Cache-Status` and not in the body. Every error is
`application/problem+json` (RFC 9457), and its `type` is a page that says what to do.
""".strip()

TAGS: Final = {
    "recommendations": "What to show to whom, for a placement.",
    "search": "The same for words or an item to be found by.",
    "rules": "Merchandising rules: when they apply, what they promote, hide, filter and add. The first provider "
    "that has them is asked, or the one that `provider` names.",
    "tasks": "Whether a change that was begun has taken effect.",
    "personalization": "What makes the profiles of users.",
    "users": "Records of users, which travel to every vendor that keeps them; erasure; what vendors believe that "
    "users like.",
    "training": "When a vendor's model is made anew.",
    "items": "Records of items, which travel to every vendor that keeps them.",
    "events": "What users did: told once here, and brought to every vendor.",
    "ops": "The state of the providers and of the configuration, for those who run the gateway.",
    "documents": "This API, for machines and for people. Needs no credentials.",
    "admin": "The state of the process and a page for people, on the admin listener alone, which is never public. "
    "What the page shows and does needs credentials.",
}
