"""What a request costs, beside nginx on the same core, in one run: `python -m tests.benchmarks`.

    core 0   the server that is measured: the gateway, or nginx
    core 1   the load (wrk, 64 connections), the stub of a vendor (nginx), a collector, a witness of answers

    hit      the same POST body again and again, answered from the cache
             ▸ nginx: `proxy_cache` with the body in its key, serving the gateway's own answer
    miss     nothing is cached: an adapter asks the stub and its answer is translated
             ▸ nginx: a plain `proxy_pass` of the vendor's call to the same stub
    TLS      a miss whose vendor is asked over TLS
             ▸ nginx: `proxy_pass` over TLS, connections kept too

Beside these: a lone request, memory, what each feature costs a hit, the same with many placements, keys, providers
and arms, accepted events. `--only hit,miss` measures some of it, `--quick` shows that all works.

Each round measures every subject once, one after the other, so that what else the machine does falls on all alike.
Nothing is asserted about speed. A wrong or failed answer ends the run.

    required.py     what must be installed     configuration.py  the gateways: what is on in them, and how much
    processes.py    servers pinned to cores    subjects.py       requests, and how right answers look
    nginx.py        the stub, nginx as rival   witness.py        answers read while the load runs
    certificate.py  for TLS                    rounds.py         servers up, what a round measures
    collector.py    for traces                 stages.py         what is measured beside what
    load.py         wrk                        lone.py           one request after the other
    figures.py      what is wanted             memory.py         cached answers, workers
    plot.py         the picture                report.py         the tables, RESULTS.md, the README's block
"""
