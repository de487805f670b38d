"""The VRRP process: one Router per instance, driven with raw sockets, addresses and trackers.

    process.py     the process itself: memory, priority, signals, the listening socket
    speaker.py     all instances, the director's commands, the start gate and the grace
    instance.py    the shell of one Router: performs its effects, keeps its one timer
    announce.py    gratuitous ARP and unsolicited NA after a take-over
    lease.py       the addresses of an instance, with their lifetime in the kernel
    state.py       what a killed speaker needs to go on
    trackers/      interfaces, scripts, files, processes, gateways
    spec.py        what an instance is told to be
    messages.py    what passes between director and speaker
    link.py        the director's end of that

It imports little, because it is restarted in a hurry: no configuration, no check, no pyroute2.
"""
