"""Presets: functions from parameters to a Topology document, by name."""

from collections.abc import Callable, Mapping
from typing import Any

from topologies.presets.fabrics import fat_tree, leaf_spine
from topologies.presets.simple import dumbbell, linear, ring, single, star
from topologies.presets.wan import wan

Preset = Callable[..., dict[str, Any]]

PRESETS: Mapping[str, Preset] = {
    "single": single,
    "star": star,
    "linear": linear,
    "ring": ring,
    "dumbbell": dumbbell,
    "leaf-spine": leaf_spine,
    "fat-tree": fat_tree,
    "wan": wan,
}
