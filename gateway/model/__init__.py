"""The normalized words as frozen values: what callers say, what adapters are asked, what they answer.

wire.py      what stands in HTTP bodies (API.md), decoded and validated in one step
query.py     what an adapter is asked, and its answer
filters.py   filters over properties: parse, evaluate, take apart
activity.py  events, users, items
control.py   profiles, strategies, rules, tasks, usage
"""
