"""Call decorated handlers and whole apps in process: no server, no HTTP client, time at a standstill.

::

    reply = await call(create_post, json={"title": "Hi"}, principal=Principal("u1"))
    assert reply.status == 201
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from gatewright._core.gate import forget_default_gate as forget_default_gate
from gatewright._core.late import late as _late
from gatewright._core.log import EventList as EventList
from gatewright.testing.bodies import Disconnect as Disconnect
from gatewright.testing.bodies import chunked as chunked
from gatewright.testing.bodies import disconnecting as disconnecting
from gatewright.testing.calls import Handshake as Handshake
from gatewright.testing.calls import call as call
from gatewright.testing.calls import enter as enter
from gatewright.testing.calls import handshake as handshake
from gatewright.testing.calls import make_call as make_call
from gatewright.testing.clock import FrozenClock as FrozenClock
from gatewright.testing.deliveries import signed as signed
from gatewright.testing.wire import Reply as Reply

if TYPE_CHECKING:
    from gatewright.testing.passwords import cheap_passwords as cheap_passwords

__all__ = [
    "Disconnect",
    "EventList",
    "FrozenClock",
    "Handshake",
    "Reply",
    "call",
    "cheap_passwords",
    "chunked",
    "disconnecting",
    "enter",
    "forget_default_gate",
    "handshake",
    "make_call",
    "signed",
]

_LATE = {"cheap_passwords": "passwords"}

__getattr__: Callable[[str], object] = _late(__name__, _LATE, globals())
