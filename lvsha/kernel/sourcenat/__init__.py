"""Source NAT in connection tracking, for mode fullnat: by nftables, or by the kernel's older firewall.

    pool       which address a client gets; the constant that both directors share
    ruleset    the values of the model as an nftables table      listing   and back
    chains     the values of the model as chains of iptables, and back
    nft        programs the tables      iptables   programs the chains      program   runs either
    choose     which of the two this kernel has

Either writes only into what is its own: the tables `ip lvsha` and `ip6 lvsha`, or the chains whose
names begin with LVSHA- and the jumps that lead there.
"""

from lvsha.kernel.sourcenat.choose import Rules, choose

__all__ = ["Rules", "choose"]
