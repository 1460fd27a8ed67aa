"""What may stand around a provider, a file each: its configuration, its class, one docstring.

    split     which arm of an experiment a unit is in
    cache     answers kept as the bytes that go out (key: what names them, flights: one request for many callers)
    bulkhead  how many requests are at one provider at once
    rate      how many are sent in a second
    throttle  left alone after a 429
    breaker   left alone while it fails
    budget    how many retries are fair
    hosts     in which order a provider's hosts are tried

None knows another, an adapter or HTTP; `gateway.pipeline` and `gateway.provider` put them together. Time and
randomness are given to them, so that a test can be a day long and take no time. What several are built from
is in `settings` (their configuration) and `window` (counts over the last seconds).
"""
