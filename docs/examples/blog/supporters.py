"""Who supports the blog, as Stripe tells it."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from blog.db import User

T = TypeVar("T")


class Data(BaseModel, Generic[T]):
    """Stripe's wrapping of what an event is about."""

    object: T


class Checkout(BaseModel):
    """A paid checkout; the user's id was put there when it was opened."""

    client_reference_id: str


class Subscription(BaseModel):
    """A subscription; the user's id was put into its metadata."""

    class Metadata(BaseModel):
        """What we keep at Stripe."""

        user_id: str

    metadata: Metadata


class CheckoutCompleted(BaseModel):
    """Somebody paid."""

    type: Literal["checkout.session.completed"]
    data: Data[Checkout]


class SubscriptionDeleted(BaseModel):
    """Somebody stopped paying."""

    type: Literal["customer.subscription.deleted"]
    data: Data[Subscription]


StripeEvent = CheckoutCompleted | SubscriptionDeleted


async def follow(db: AsyncSession, stripe_event: StripeEvent) -> None:
    """Do what an event says. Stripe may deliver it again, and late: the guard lets each event through once."""
    match stripe_event:
        case CheckoutCompleted():
            await _set(db, stripe_event.data.object.client_reference_id, True)
        case SubscriptionDeleted():
            await _set(db, stripe_event.data.object.metadata.user_id, False)


async def _set(db: AsyncSession, user_id: str, is_supporter: bool) -> None:
    await db.execute(update(User).where(User.id == user_id).values(is_supporter=is_supporter))
