"""The fast front: a protocol before `pipeline.at_once`, and nothing else. What it does not take is aiohttp's.

    bytes ─▸ connection.py   one complete, plain message, and nothing else in flight on this connection?
               │ no: all bytes go to aiohttp's handler untouched, so that two parsers never share a message
               ▾ yes
             heads.py        what a plain head says; strict, and checked against llhttp by a test
             lane.py         decided before? (memo.py) ▸ credentials ▸ limit ▸ pipeline ▸ bytes ▸ a note
             (gateway/departures.py: the bytes of all who were heard in one turn leave together)

Whatever leaves here is, byte for byte, what the ordinary front would have said: a test drives both.
"""
