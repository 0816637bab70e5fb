"""HTTP foundation shared by the serving endpoint, the trigger and the exporter.

A security fix is made here once, for all three.
"""
