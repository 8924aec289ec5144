"""Counters of a server, in the text format of Prometheus."""

from ulmfit_easy.extras import optional_package


class Metrics:
    """Counts requests by path and status, their seconds, and texts per batch by model, for `/metrics`.

    On Linux it also tells the memory and the processor time of the process. Raises: E507 without prometheus_client.
    """

    def __init__(self) -> None:
        p = optional_package("prometheus_client")
        self._registry, self._write, self.content_type = p.CollectorRegistry(), p.generate_latest, p.CONTENT_TYPE_LATEST
        p.ProcessCollector(registry=self._registry)
        own = {"registry": self._registry, "namespace": "ulmfit"}
        self._requests = p.Counter("requests", "Requests that were answered", ["path", "status"], **own)
        self._seconds = p.Histogram("request_seconds", "Time from a request to its answer", ["path"], **own)
        self._texts = p.Histogram("batch_texts", "Texts that a model read together", ["model"],
                                  buckets=(1, 2, 4, 8, 16, 32, 64), **own)
        self._waiting = p.Gauge("waiting_texts", "Texts that wait for a model", ["model"], **own)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, model: str, n_texts: int) -> None:
        """Count a batch."""
        self._texts.labels(model).observe(n_texts)

    def text(self, waiting: dict[str, int]) -> bytes:
        """Return all counters, and how many texts wait for each model."""
        for model, n in waiting.items():
            self._waiting.labels(model).set(n)
        return self._write(self._registry)
