"""Reading one number out of the metrics."""

from nightlatch.faces.metrics import Metrics


def counted(metrics: Metrics, name: str, **labels: str) -> float:
    """The value of a sample, 0 when it is not there."""
    return metrics.registry.get_sample_value(name, labels) or 0.0
