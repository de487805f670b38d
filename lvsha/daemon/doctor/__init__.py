"""What is wrong, or about to be, with this director, and what would mend it.

look        sees: sysctls, interfaces, addresses, ways, neighbours, modules, the speaker's report
facts       what was seen, as one value
judge       every judgement; the modules below judge one matter each, without looking at anything
machine     settings, modules, the table, other programs that write it
vips        who holds the services' addresses
claims      who else answers for them
ways        how packets get from here to each server
forward     whether a firewall here lets their answers through, where they come back this way
nat tun fullnat     what only one mode needs (all that direct routing needs is in `ways`)
unseen      what no check looks at
sync        connection sync
serving     directors that are real servers as well
vrrp        the speaker and the pair

A finding of severity `ok` says what was looked at. `error`: clients are not served, or will not be after
a failover; `warning`: some are not, or something else is about to fail; `info`: worth knowing.
"""

from lvsha.daemon.doctor.facts import Facts
from lvsha.daemon.doctor.judge import judge
from lvsha.daemon.doctor.look import look

__all__ = ["Facts", "judge", "look"]
