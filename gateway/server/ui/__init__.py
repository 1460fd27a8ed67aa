"""The state of things for people: `GET /ui` on the admin listener.

    telemetry/lately.py ─┐                            page.html + page.css + *.js
    ops.providers ───────┼─▸ state.py ─▸ GET /ui/state ─▸ (page.py: one document, one policy of what it may load)
    experiments, store ──┘     verdict.py: is it well?     asks every 2 s, draws what it gets

letters.py      dead letters page by page ─▸ GET /ui/dead-letters, when somebody turns to older ones
handlers.py     the operations; their words: gateway/server/endpoints/ui_words.py
"""
