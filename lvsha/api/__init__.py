"""The control API: what an operator and a monitoring system may ask of a running director.

control   what the director promises, as a Protocol
views     the values it answers with
target    which servers an operator's words mean
metrics   the same values for Prometheus
app       HTTP over it; `serve` puts that on a Unix socket
"""
