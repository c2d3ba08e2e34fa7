"""DNS as the registry speaks it: the wire format, the zone of a directory, the server, the way upstream."""

from bayplan.dns.forward import Forwarder
from bayplan.dns.network_names import NetworkNames
from bayplan.dns.network_zone import NetworkZone, Scope
from bayplan.dns.responder import Responder
from bayplan.dns.server import Desk, DnsServer, bind
from bayplan.dns.zone import APEX, Zone

__all__ = [
    "APEX",
    "Desk",
    "DnsServer",
    "Forwarder",
    "NetworkNames",
    "NetworkZone",
    "Responder",
    "Scope",
    "Zone",
    "bind",
]
