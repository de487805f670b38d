"""What the election does not get to see.

A packet on the VRRP socket of an interface may be anybody's. `Admission` is the door of one
virtual router: in the order of their cost it asks where the packet came from, whether its
bytes are an advert, whether it is about this router, and whether its sender can prove to be
one of us. A refusal is counted by its reason; everything else is the machine's business.

The TTL is the only thing about multicast that cannot be forged from afar: 255 says that no
router has handed the packet on (RFC 9568, 5.1.1.3). With unicast a peer may be further away,
so there the peers are a list, and the least TTL a setting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from lvsha.model import Address
from lvsha.vrrp.auth import Keyring, check_password
from lvsha.vrrp.member import Spec
from lvsha.vrrp.packet import Advert, PacketError, Reason, split, unpack


class Admission:
    """Lets in the adverts that are for one virtual router, and counts the others."""

    def __init__(
        self,
        spec: Spec,
        *,
        peers: Collection[Address] = (),
        ttl_min: int = 255,
        keyring: Keyring | None = None,
    ) -> None:
        """With `peers` the router speaks unicast with just these; `ttl_min` is for unicast."""
        self.spec = spec
        self.peers = frozenset(peers)
        self.ttl_min = ttl_min
        self.keyring = keyring
        self.admitted = 0
        self.refused: Counter[Reason] = Counter()

    def succeed(self, former: Admission) -> None:
        """Be the door after other settings: go on counting, and know what was heard before."""
        self.admitted, self.refused = former.admitted, former.refused
        if self.keyring is not None and former.keyring is not None:
            self.keyring.succeed(former.keyring)

    def admit(self, data: bytes, source: Address, destination: Address, ttl: int, now: float) -> Advert:
        """The advert in an IP payload, or PacketError. `now` is the wall clock."""
        try:
            origin(source, destination, ttl, peers=self.peers, ttl_min=self.ttl_min)
            advert = unpack(data, source, destination)
            self._ours(advert)
            self._proven(data, advert, source, now)
        except PacketError as error:
            self.refused[error.reason] += 1
            raise
        self.admitted += 1
        return advert

    def _ours(self, advert: Advert) -> None:
        if advert.vrid != self.spec.vrid:
            raise PacketError(Reason.VRID, f"virtual router {advert.vrid}, ours is {self.spec.vrid}")
        if advert.version != self.spec.version:
            raise PacketError(Reason.VERSION, f"version {advert.version}, ours is {self.spec.version}")

    def _proven(self, data: bytes, advert: Advert, source: Address, now: float) -> None:
        if advert.version == 2:
            check_password(advert, self.spec.password)
        pdu, trailer = split(data, source.version)
        if self.keyring is not None:
            self.keyring.verify(pdu, trailer, source, now)
        elif trailer:
            # What keepalived without auth_hmac does: the length is wrong.
            raise PacketError(Reason.LENGTH, "an authentication trailer, but no keys are configured")


def origin(
    source: Address, destination: Address, ttl: int, *, peers: Collection[Address], ttl_min: int
) -> None:
    """Raise PacketError unless the packet came the way that our adverts go."""
    if not peers:
        if not destination.is_multicast:
            raise PacketError(Reason.DESTINATION, f"sent to {destination}, but no unicast peer is configured")
        if ttl != 255:
            raise PacketError(Reason.TTL, f"TTL {ttl} from {source}: it was handed on by a router")
        return
    if destination.is_multicast:
        raise PacketError(Reason.DESTINATION, f"sent to {destination}, but the peers are unicast ones")
    if source not in peers:
        raise PacketError(Reason.SOURCE, f"{source} is not a unicast peer")
    if ttl < ttl_min:
        raise PacketError(Reason.TTL, f"TTL {ttl} from {source} is less than {ttl_min}")
