"""Accept mode of VRRP: packets to an address that is held, but not this node's own, are dropped.

    nft        the rules as an nftables table     iptables   as chains of the older firewall
    choose     which of the two this kernel has

RFC 9568, section 6.4.3: a master that may not accept them still answers for the address, by ARP (which
no firewall of IP meets) and by neighbour discovery (which must not be dropped, and is let through). The
rules stand while they are configured, whoever is master: only who holds an address receives what is sent
to it, and what is forwarded never comes to `input`.

Either firewall writes only into what is its own: the table `inet lvsha_accept`, or the chains
LVSHA-ACCEPT and the jumps that lead there.
"""

from lvsha.kernel.acceptance.choose import Rules, choose, holder

__all__ = ["Rules", "choose", "holder"]
