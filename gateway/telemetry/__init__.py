"""What happens is noted as it happens, in almost no time; what is told of it is made later, in batches.

front, pipeline, provider ──note()──▸ Notes (bounded; what finds no place is counted)
                                        └─ every 0.1 s, and before a scrape ─▸ readers
                                             counting.py   /metrics
                                             lines.py      a line in the log for each request
                                             spans.py      spans, for the requests that are sampled
"""
