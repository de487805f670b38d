"""The kernel's side of the house: netlink and sysctl, and nothing above them.

What crosses this boundary are the values of `lvsha.model` and the steps of `lvsha.plan`; no
netlink attribute leaves it, and no other room opens a netlink socket.
"""
