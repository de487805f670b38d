"""Where the time went: stalls of the machine itself, and silences of a master on its way to the other one.

A process which wakes a thousand times a second, at the highest priority there is and bound to one processor,
tells when it did not run: nothing on that processor did then, but the kernel or whoever lends the machine
its time. And one on each end of a wire tells of each pause between two adverts of one sender, by the kernel's
time stamps: a pause that stands at both ends was the sender's, one that stands only at the receiver's was
the network's. Times are of CLOCK_REALTIME, which all of them share with the log of a director.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time

from lvsha.speaker import realtime

PERIOD = 0.001
ETH_P_IP = 0x0800
ETH_P_ALL = 3
PACKET_OUTGOING = 4
"""include/uapi/linux/if_packet.h."""
SO_TIMESTAMPNS = 35
"""include/uapi/asm-generic/socket.h."""
VRRP = 112


def canary(argv: list[str]) -> None:
    """On one processor: a line for each time at which this process was woken later than so many seconds."""
    processor, least = int(argv[0]), float(argv[1])
    os.sched_setaffinity(0, {processor})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
    realtime.lock_memory()
    realtime.calm()
    print(json.dumps({"event": "watching", "processor": processor}), flush=True)
    due = time.time() + PERIOD
    while True:
        time.sleep(max(0.0, due - time.time()))
        now = time.time()
        if now - due > least:
            line = {"event": "stall", "processor": processor, "seconds": round(now - due, 4), "at": now}
            print(json.dumps(line), flush=True)
        due = max(due, now - PERIOD) + PERIOD


def hear(argv: list[str]) -> None:
    """On a node: a line for each pause of a sender's adverts on an interface that is longer than so."""
    interface, source, least = argv[0], socket.inet_aton(argv[1]), float(argv[2])
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)) as sock:
        sock.bind((interface, ETH_P_ALL))
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        print(json.dumps({"event": "watching"}), flush=True)
        last = 0.0
        while True:
            packet, ancillary, _flags, sender = sock.recvmsg(200, 64)
            if sender[1] != ETH_P_IP or packet[9] != VRRP or packet[12:16] != source:
                continue
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            now = seconds + nanoseconds / 1e9
            if last and now - last > least:
                line = {"event": "silence", "seconds": round(now - last, 4), "at": now}
                print(json.dumps(line | {"sent": sender[2] == PACKET_OUTGOING}), flush=True)
            last = now
