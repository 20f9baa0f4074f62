"""Sliders to explore trained models with: settings go to a picture (`views`), and controls stand around it (`widgets`).

A notebook shows `beta_explorer`, `interpolation_explorer`, `plane_explorer` and `traversal_explorer`.
"""

from .pictures import chart
from .views import BetaEntry
from .widgets import beta_explorer, interpolation_explorer, plane_explorer, traversal_explorer

__all__ = ["BetaEntry", "beta_explorer", "chart", "interpolation_explorer", "plane_explorer", "traversal_explorer"]
