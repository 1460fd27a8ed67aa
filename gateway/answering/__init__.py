"""From a question to an answer's bytes: the parts that `gateway.pipeline` puts together.

asked.py         a question made ready: validated, its arm chosen, its cache key made
delivery.py      what comes in and goes out, without HTTP's machinery;  explaining.py  its way, told to ops
fetching.py      what is not at hand: one flight a key, and kept for the next
second_level.py  and for other processes
rounds.py        through a placement's providers;  curfew.py  in time;  concluding.py  where none of them answered
tailoring.py     a question fitted to one provider, and its answer mended;  seen.py  with what the log knows
asker.py         questions that travel together;  fusion.py  several answers as one
shadowing.py     a provider asked beside, and compared
rendering.py     the bytes
"""
