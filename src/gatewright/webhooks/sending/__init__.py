"""Webhooks of one's own: signed, sent to addresses that were checked, and tried again.

::

    sender = WebhookSender()
    result = await sender.send(customer.url, InvoicePaid(...), secret=customer.secret)
"""

from __future__ import annotations

__all__: list[str] = []
