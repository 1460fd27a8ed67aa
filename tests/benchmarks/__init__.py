"""Hits and translated misses, beside nginx on the same core, in one run: `python -m tests.benchmarks`.

    core 0   the server that is measured: the gateway, or nginx
    core 1   the load (wrk, 64 connections), the stub of a vendor (nginx), and a witness that reads answers

    hit      the same POST body again and again, answered from the cache
             ▸ nginx: `proxy_cache` with the body in its key, serving the gateway's own answer
    miss     nothing is cached: an adapter asks the stub and its answer is translated
             ▸ nginx: a plain `proxy_pass` of the vendor's call to the same stub

Both servers run all the time; each round measures all four, one after the other, so that what else the machine
does falls on all alike. Nothing is asserted about speed. A wrong or failed answer ends the run.

    required.py   what must be installed       processes.py   servers pinned to cores, their CPU time
    nginx.py      the stub, nginx as rival     subjects.py    the gateway, and what is sent and expected
    load.py       wrk                          witness.py     answers read while the load runs
    rounds.py     what a round measures        report.py      the table, RESULTS.md, the README's block
"""
