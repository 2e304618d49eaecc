"""What ingest counts of itself, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

readings = Counter("muster_ingest_readings_total", "Readings stored", ["partition"])
batches = Counter("muster_ingest_batches_total", "Batches stored", ["partition"])
duplicates = Counter("muster_ingest_duplicates_total", "Batches that had been stored before", ["partition"])
quarantined = Counter("muster_ingest_quarantined_total", "Batches refused", ["partition", "reason"])
lost = Counter("muster_ingest_breaks_total", "Breaks between database and stream", ["partition", "reason"])
fenced = Counter(
    "muster_ingest_fenced_total", "Transactions refused because another worker took over", ["partition"]
)
commit_seconds = Histogram(
    "muster_ingest_commit_seconds",
    "Time of one transaction",
    ["partition"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
owned = Gauge("muster_ingest_owned", "Whether this worker stores this partition", ["partition"])
waiting = Gauge("muster_ingest_waiting", "Batches waiting in the stream", ["partition"])
workers = Gauge("muster_ingest_workers", "Workers that live now")
