"""For all tests: hypothesis judges results, not times; the machines that run this are shared and noisy."""

from hypothesis import HealthCheck, settings

settings.register_profile("kubinet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kubinet")
