"""The loop, closed: traffic shifts, an alert fires, a run grows labels and trains, a better champion serves.

Every piece is the real one, as a process of its own on this machine: ``lidloop serve``, Prometheus with the
chart's rules, Alertmanager with its routes, ``lidloop trigger``, and the ``lidloop run`` that it starts.
Only time is shortened: how long an alert must hold, and how often things are asked.
"""
