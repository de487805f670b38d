"""A real server made ready for direct routing or a tunnel, on the server itself, without a daemon.

What is needed, and whether it is there, is for `checks.audit` to say, as it does for a check over SSH.
Here a server is changed: what is missing is done, each thing in an order that is safe to stop after, and
written down before it is done, so that it can be taken back to the last bit, today or in a year.

    look      this machine as facts
    plan      wanted, facts, what was done before -> what to do now, what to take back
    record    what was done, as it is kept
    earlier   what the set-up that is there is for
    left      what taking back leaves open
    apply     one step done or taken back
    setup     the whole of it: set up, take back
    file      /etc/lvsha/realserver.toml
    persist   the files by which it outlives a reboot
    remote    what a server named in the director's configuration must be like

A second set-up declares the whole again: what the first did and the second has no use for goes.
"""
