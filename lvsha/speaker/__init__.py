"""The VRRP process: one Router per instance, driven with raw sockets, addresses and trackers.

    process.py     the process itself: its parts, signals, start and end
    speaker.py     all instances, the director's commands, the start gate and the grace
    groups.py      which instances belong together;  handover.py: planned hand-overs
    news.py        what the kernel and the neighbours tell, and whom it concerns
    shell.py       the shell of one election: performs its effects, keeps its one timer
    instance.py    one virtual router's hands and ears: adverts, addresses, trackers
    node.py        the machine as its instances see it
    sockets.py     the advert sockets of all instances
    lease.py       the addresses that are held, with their lifetime in the kernel
    announce.py    gratuitous ARP and unsolicited neighbour advertisements
    conflicts.py   somebody else announces an address that is held here
    virtual_mac.py macvlans for instances that want a MAC of their own
    trackers/      scripts, files, processes, gateways; witness.py before a take-over
    state.py       what a killed speaker needs to go on
    realtime.py    memory, priority, garbage;  loop.py: timers to the microsecond
    pulse.py       notices when the process did not run
    port.py        the speaker's end of the socket to the director;  voice.py: its log without one
    spec.py        what an instance is told to be
    messages.py    what passes between director and speaker;  codec.py: as JSON, strictly
    link.py        the director's end of that

It imports little, because it is restarted in a hurry: no configuration, no check, no pyroute2.
"""
