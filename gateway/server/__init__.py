"""HTTP on our side: endpoints, problems, documents, the admin listener, and the life of a process.

run.py, process.py   a process that serves: load, listen, signals, reload (watching.py), drain
workers/             several of them behind one port
runtime.py           what one process serves with; swapped in parts at a reload
listening.py         where connections come in;  edges.py  what is not let in
fast/, front.py      before the pipeline: plain requests here, everything else by aiohttp
endpoints/           every operation: method, path, scope, what it takes and answers
handlers/            what each operation does, but for questions: those are the pipeline's
documents/           the operations and problems in words: OpenAPI, `/docs`
ui/                  the page for people
problems.py          errors as problems (RFC 9457)
mistakes.py          everything wrong with a request, at once
query.py, bodies.py  the URL form of a request; bodies, within bounds
dressing.py, cors.py, tracing.py   what every answer carries
"""
