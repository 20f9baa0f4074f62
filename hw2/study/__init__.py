"""What the pictures show, as numbers: a judge's opinion, distances, walks and probes, and the claims that rest on them.

Notebooks call its modules by name: `judge`, `metrics`, `walks`, `probes` and `claims`.
"""
