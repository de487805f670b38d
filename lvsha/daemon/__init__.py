"""The director process and its parent: live state, reconciler, monitor, supervision.

The only room in which state lives. Everything that decides is pure and below (`lvsha.desired`,
`lvsha.plan`, `lvsha.health`, `lvsha.overrides`); everything that touches the world is below too
(`lvsha.kernel`, `lvsha.api`, `lvsha.store`, `checks`). Here they are put together.
"""
