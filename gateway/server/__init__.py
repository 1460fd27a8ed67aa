"""HTTP on our side: endpoints, problems, documents, the admin listener, and the life of a process.

run.py        the process: load, listen, signals, reload, drain
runtime.py    what one process serves with; swapped in parts at a reload
front.py      aiohttp before the pipeline: requests in, deliveries out
endpoints.py  every operation: method, path, scope, what it takes and answers
problems.py   errors as problems (RFC 9457)
mistakes.py   everything wrong with a request, at once
query.py      the URL form of a request
openapi.py    the endpoints as OpenAPI 3.1;  pages.py  the same for people
"""
