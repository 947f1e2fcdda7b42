"""A ticket's whole life, by the client that openapi-python-client makes of /openapi.json."""

import sys

from lastseat_client import AuthenticatedClient
from lastseat_client.api.events import change_event, create_event, get_event, list_events
from lastseat_client.api.tickets import (
    cancel_ticket,
    check_in_ticket,
    confirm_ticket,
    get_ticket,
    list_tickets,
    register_for_event,
)
from lastseat_client.models import Buyer, EventChange, Holder, NewEvent, Problem, ProblemCode, TicketStatus


def client(role):
    return AuthenticatedClient(base_url=sys.argv[1], token=role, prefix="", auth_header_name="X-Role")


organizer, user = client("organizer"), client("user")
event = create_event.sync(client=organizer, body=NewEvent(name="Concert", total_spots=1))
assert event.available_spots == 1, event
event = change_event.sync(event.id, client=organizer, body=EventChange(total_spots=2))
assert event.total_spots == 2, event

ada = Buyer(email="ada@example.com")
ticket = register_for_event.sync(event.id, client=user, body=ada, idempotency_key="python-1")
assert ticket.status == TicketStatus.RESERVED and ticket.expires_at > ticket.created_at, ticket
again = register_for_event.sync_detailed(event.id, client=user, body=ada, idempotency_key="python-1")
assert again.parsed.ticket_id == ticket.ticket_id and again.headers["Idempotent-Replayed"] == "true"
refused = register_for_event.sync(event.id, client=user, body=ada)
assert isinstance(refused, Problem) and refused.code == ProblemCode.ALREADY_REGISTERED, refused

assert confirm_ticket.sync(ticket.ticket_id, client=user, body=Holder()).status == TicketStatus.CONFIRMED
assert check_in_ticket.sync(ticket.ticket_id, client=organizer).checked_in_at
refused = cancel_ticket.sync(ticket.ticket_id, client=user, body=Holder(email="ada@example.com"))
assert refused.code == ProblemCode.ALREADY_CHECKED_IN and refused.checked_in_at, refused

bob = register_for_event.sync(event.id, client=user, body=Buyer(email="bob@example.com"))
refused = register_for_event.sync(event.id, client=user, body=Buyer(email="eve@example.com"))
assert refused.code == ProblemCode.SOLD_OUT and refused.next_expiry == bob.expires_at, refused
assert cancel_ticket.sync(bob.ticket_id, client=user).status == TicketStatus.CANCELLED
assert get_ticket.sync(bob.ticket_id, client=user).cancel_reason == "holder"

assert [t.email for t in list_tickets.sync(event.id, client=organizer)] == ["ada@example.com", "bob@example.com"]
assert get_event.sync(event.id, client=user).available_spots == 1
assert event.id in [e.id for e in list_events.sync(client=user, limit=100)]
print("openapi-python-client: a ticket's whole life")
