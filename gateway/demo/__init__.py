"""`gateway demo`: the emulated vendors with people's behaviour in all of them, and a gateway before them.

run.py        the order of it all: ports ▸ vendors ▸ data ▸ gateway ▸ feeding ▸ what to try ▸ until stopped
places.py     ports, the directory `.demo/` and the configuration in it
children.py   the two processes: started, watched, ended
data.py       items, people and what they did        movielens.py, generated.py: where that comes from
feeding.py    all of it to every vendor, through the gateway that runs
tries.py      the six things that are printed        asking.py: over HTTP, what the demo itself asks
progress.py   what is said meanwhile
"""

from gateway.demo.run import main

__all__ = ["main"]
