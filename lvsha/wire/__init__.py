"""The only raw sockets of lvsha: adverts, announcements of addresses, conflicts, echoes.

    advert.py      VRRP adverts, multicast and unicast, both families
    announce.py    gratuitous ARP and unsolicited neighbour advertisements: frames and their sender
    conflict.py    hears somebody else announce an address that is held here
    echo.py        echo requests, to see whether a neighbour is reachable

Nothing here decides anything: bytes in, bytes out, with the facts of the headers beside them.
"""
