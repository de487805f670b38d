"""The channel between the directors of a pair: what an operator says to one holds on both.

`protocol` is the conversation without its socket; `link` is one connection; `channel` listens,
dials and keeps one link to each peer. Nothing here decides anything: overrides are merged by
the director, with the rules of `lvsha.overrides`.
"""
