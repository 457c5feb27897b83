"""For all tests."""

import os

import pytest
from hypothesis import HealthCheck, settings
from stalls import Plugin

# eventlet, which os-ken brings, would load dnspython a second time, with classes of its own beside those that the
# cluster's DNS is made of.
os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")

# Hypothesis judges results, not times: the machines that run this are shared and noisy.
settings.register_profile("kubinet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kubinet")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Plugin(), "stalls")
