"""All metrics of ours, by the names that they are declared under."""

from __future__ import annotations

import pkgutil

from prometheus_client.metrics import MetricWrapperBase

import runcast_api
import runcast_hub
import runcast_server
import runcast_tailer


def metrics() -> dict[str, MetricWrapperBase]:
    """Those of the modules named `metrics`, where they all are."""
    found: dict[str, MetricWrapperBase] = {}
    for package in (runcast_server, runcast_api, runcast_hub, runcast_tailer):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.rpartition(".")[2] == "metrics":
                held = vars(pkgutil.resolve_name(module.name)).values()
                found |= {each._name: each for each in held if isinstance(each, MetricWrapperBase)}
    return found
