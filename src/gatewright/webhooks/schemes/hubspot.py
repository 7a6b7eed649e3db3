"""HubSpot, which signs its URL with some of the escapes taken out."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote

from gatewright.webhooks.scheme import Delivery
from gatewright.webhooks.schemes.hmac import HmacScheme
from gatewright.webhooks.schemes.signed import Signed
from gatewright.webhooks.secret import Secret

__all__ = ["HubSpotScheme", "hubspot"]

# The twelve that HubSpot lists: : / ? @ ! $ ' ( ) * , ;
_ESCAPES = re.compile(r"%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)


def hubspot(*, tolerance: float = 300) -> HubSpotScheme:
    """Verify HubSpot's `X-HubSpot-Signature-v3`
    (https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation).

    Method, URL, body and time are signed. Versions 1 and 2, which come along, are no HMAC and sign no time: they never
    count. The body is a list of events, so there is neither an event id nor an event type.

    Args:
        tolerance: seconds that the time of signing may be off, either way.
    """
    return HubSpotScheme(
        name="hubspot",
        header="X-HubSpot-Signature-v3",
        timestamp_header="X-HubSpot-Request-Timestamp",
        template="{method}{url}{body}{timestamp}",
        encoding="base64",
        unit="ms",
        tolerance=tolerance,
    )


class HubSpotScheme(HmacScheme):
    """Verify an HMAC over a URL that HubSpot decodes in part."""

    def read(self, delivery: Delivery) -> Signed:
        """Return the signature of *delivery*, and what it would be of."""
        return super().read(replace(delivery, url=_decoded(delivery.url)))

    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Return *body* as HubSpot would deliver it; see `SignedScheme.sign`."""
        signed = super().sign(body, secret, now, url=_decoded(url), method=method, event_id=event_id)
        return replace(signed, url=url)


def _decoded(url: str) -> str:
    return _ESCAPES.sub(lambda escape: unquote(escape.group()), url)
