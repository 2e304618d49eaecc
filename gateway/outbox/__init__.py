"""What a gateway has sealed and what the bus has not yet taken, on the edge's own disk.

`records` is the format and pure; `segments` and `shelf` the files; `store` the outbox, which the recorder
fills and the publisher empties, through `reader`; `mending` what is done at a start; `journal` the slots
that are not sealed yet; `folder` the lock, the epoch and small files written whole.
"""
