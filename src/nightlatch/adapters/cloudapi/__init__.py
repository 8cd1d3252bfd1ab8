"""Meta's Cloud API over HTTP: how it is asked, and what its answers mean.

Its JSON and its codes end here. What is asked when, and what an answer changes,
is in ``domain/linked.py`` and in ``usecases/``.
"""

from nightlatch.adapters.cloudapi.late import LateCloudApi

__all__ = ["LateCloudApi"]
