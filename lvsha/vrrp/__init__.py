"""VRRP without I/O: bytes to adverts, adverts and time to effects.

    packet      bytes <-> `Advert`                       RFC 3768, RFC 9568
    auth        the HMAC trailer behind an advert, and its replay window
    admission   what is dropped before the election sees it, counted by reason
    member      one virtual router: its settings, timers and what it last heard
    notices     what is told to people, and how often at most
    effects     what the state machine asks of its shell
    machine     `Group`: the state machine; a lone virtual router is a group of one

Nothing here opens a socket or reads a clock. A shell hands in packets and the time, asks
`Group.deadline` when it is next needed, and performs the effects it is given.
"""
