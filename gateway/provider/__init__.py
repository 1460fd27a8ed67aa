"""One configured account at a vendor, from "ask this" to the request that goes out.

account.py       the whole of it: one call after the other
gates.py         may it be asked? throttle, bulkhead, breaker, rate;  health.py  how it has been doing
translation.py   which words are respelled;  dialect.py  how: ids, names, dates
conversation.py  what an adapter's flow yields, performed;  dialogue.py  drives the flow
attempts.py      one request made to arrive: hosts, retries, credentials;  drift.py  is the answer as documented?
token.py         the access token, fetched and renewed;  token_sharing.py  among processes
settings.py      what is configured of it;  redaction.py  what is never said of it
"""
