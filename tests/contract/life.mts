// A ticket's whole life, by the client that openapi-ts makes of /openapi.json.
import assert from "node:assert/strict";
import { cancelTicket, checkInTicket, confirmTicket, createEvent, getEvent, listTickets, registerForEvent } from "./client/index.js";
import { client } from "./client/client.gen.js";

client.setConfig({ baseUrl: process.argv[2] });
const organizer = { headers: { "X-Role": "organizer" } };
const user = { headers: { "X-Role": "user" } };

const created = await createEvent({ ...organizer, body: { name: "Concert", total_spots: 2 } });
const event = created.data!;
assert.equal(event.available_spots, 2);
const path = { id: event.id };

const buyer = { email: "ada@example.com" };
const headers = { ...user.headers, "Idempotency-Key": "ts-1" };
const sold = await registerForEvent({ headers, path, body: buyer });
const ticket = sold.data!;
assert.equal(sold.response!.status, 201);
assert.equal(ticket.status, "reserved");
const again = await registerForEvent({ headers, path, body: buyer });
assert.equal(again.data!.ticket_id, ticket.ticket_id);
const refused = await registerForEvent({ ...user, path, body: buyer });
assert.equal(refused.error!.code, "already_registered");

const ticketPath = { id: ticket.ticket_id };
const confirmed = await confirmTicket({ ...user, path: ticketPath, body: {} });
assert.equal(confirmed.data!.status, "confirmed");
const entered = await checkInTicket({ ...organizer, path: ticketPath });
assert.ok(entered.data!.checked_in_at);
const late = await cancelTicket({ ...user, path: ticketPath });
assert.equal(late.error!.checked_in_at, entered.data!.checked_in_at);

const bob = await registerForEvent({ ...user, path, body: { email: "bob@example.com" } });
const soldOut = await registerForEvent({ ...user, path, body: { email: "eve@example.com" } });
assert.equal(soldOut.error!.code, "sold_out");
assert.equal(soldOut.error!.next_expiry, bob.data!.expires_at);
assert.equal((await cancelTicket({ ...user, path: { id: bob.data!.ticket_id } })).data!.status, "cancelled");
const tickets = await listTickets({ ...organizer, path });
assert.ok(Array.isArray(tickets.data));
assert.equal((await getEvent({ path })).data!.available_spots, 1);
console.log("openapi-ts: a ticket's whole life");
