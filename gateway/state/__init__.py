"""What must outlive a process: id maps, records of items, keys, what `local` has learned.

One small interface (`store.Store`), an embedded store (`sqlite.py`), and what reads them.
"""
