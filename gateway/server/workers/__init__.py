"""Several processes behind one port.

supervisor.py  starts, watches (pulse.py) and ends them; each by its child.py, over its channel.py
worker.py      one of them;  crowd.py  so that none has most of the connections
siblings.py    how one asks the others, who answer by gathering.py: metrics (merging.py, counts.py), states, drops
"""
