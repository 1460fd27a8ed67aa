"""What happens is noted as it happens, in almost no time; what is told of it is made later, in batches.

front, pipeline, provider ──note()──▸ Notes (bounded; what finds no place is counted)
                                        └─ every 0.02 s, and before a scrape ─▸ readers
                                             counting.py   /metrics
                                             lately.py     /ui, told as in recent.py
                                             lines.py      lines in the log ─▸ writing.py, a thread
                                             spans.py      spans ─▸ exporting.py, a thread ─▸ otlp.py, sending.py

sorts.py: what is the same of many requests is told once; of each the readers add its time and its trace.

trace.py, propagation.py: whose trace it is, what vendors are told. tracing.py: traces as they are configured.
"""
