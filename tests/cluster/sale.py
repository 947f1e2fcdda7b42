"""A sale that goes on while parts of the cluster die, and the proof afterwards that it was sound."""

import csv
import http.client
import json
import random
import threading
import time
import uuid

BUYERS = 24
# They hold few tickets of few, and give them back: that event is sold out again and again.
CHURNERS = 8
CHURNED_SPOTS = 5
ENDLESS = 1_000_000
PATIENCE_SECONDS = 60


class Client:
    """A connection that is opened again when it breaks."""

    def __init__(self, port):
        self.port = port
        self.connection = None
        self.was_replayed = False

    def ask(self, method, path, body=None, key=None, role="admin", accept="application/json"):
        """Status and body; status 0 if there was no whole answer."""
        headers = {"X-Role": role, "Accept": accept}
        if key:
            headers["Idempotency-Key"] = key
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
            self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = self.connection.getresponse()
            text = response.read().decode()
            self.was_replayed = response.getheader("Idempotent-Replayed") is not None
            if response.will_close:
                self.close()
            return response.status, text
        except (OSError, http.client.HTTPException):
            self.close()
            return 0, ""

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def insist(self, *request, **more):
        """Asks again, with the same key, until there is an answer."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            status, text = self.ask(*request, **more)
            if status not in (0, 502, 503, 504):
                return status, text if text[:1] not in "{[" else json.loads(text)
            if time.monotonic() > until:
                raise RuntimeError(f"no answer to {request} in {PATIENCE_SECONDS} s, but {status} {text}")
            time.sleep(0.05)


class Bought:
    """A ticket that was acknowledged."""

    def __init__(self, event, key, answer):
        self.event, self.key = event, key
        self.ticket, self.email, self.status = answer["ticket_id"], answer["email"], answer["status"]
        self.at = time.monotonic()


class Sale:
    def __init__(self, port, name):
        self.port = port
        self.boss = Client(port)
        self.event = self.make_event(name, ENDLESS)
        self.tight = self.make_event(f"{name}, tight", CHURNED_SPOTS)
        self.bought = []
        self.faults = []
        self.refused = self.learnt_later = 0
        self.is_closing = False
        work = [self.buy] * BUYERS + [self.churn] * CHURNERS
        self.threads = [threading.Thread(target=self.guarded, args=(one,), daemon=True) for one in work]
        for thread in self.threads:
            thread.start()

    def make_event(self, name, spots):
        body = {"name": name, "total_spots": spots, "hold_seconds": 3600}
        status, event = self.boss.insist("POST", "/events", body, str(uuid.uuid4()))
        assert status == 201, event
        return event["id"]

    def guarded(self, work):
        try:
            work(Client(self.port), random.Random())
        except Exception as e:
            self.faults.append(f"a buyer gave up: {e!r}")

    def register(self, client, event):
        """None: sold out."""
        key = str(uuid.uuid4())
        body = {"email": f"{key}@example.com"}
        status, answer = client.insist("POST", f"/events/{event}/register", body, key, role="user")
        if status == 201:
            bought = Bought(event, key, answer)
            self.bought.append(bought)
            self.learnt_later += client.was_replayed
            return bought
        if (status, answer.get("code")) != (409, "sold_out"):
            self.faults.append(f"register: {status} {answer}")
        self.refused += 1
        return None

    def change(self, client, bought, verb):
        status, answer = client.insist("POST", f"/tickets/{bought.ticket}/{verb}", role="user")
        if status != 200:
            self.faults.append(f"{verb}: {status} {answer}")
            return
        bought.status = answer["status"]

    def buy(self, client, dice):
        while True:
            bought = self.register(client, self.event)
            if bought is None:
                return
            luck = dice.random()
            if luck < 0.25:
                self.change(client, bought, "confirm")
            elif luck < 0.35:
                self.change(client, bought, "cancel")
            time.sleep(dice.uniform(0, 0.06))

    def churn(self, client, dice):
        held = []
        while not self.is_closing:
            bought = self.register(client, self.tight)
            if bought:
                held.append(bought)
            if held and (bought is None or dice.random() < 0.5):
                self.change(client, held.pop(0), "cancel")
            time.sleep(dice.uniform(0, 0.1))

    def sold_since(self, moment):
        return sum(1 for bought in list(self.bought) if bought.event == self.event and bought.at > moment)

    def close(self):
        """Leaves a last few spots, and waits until they are gone."""
        self.is_closing = True
        while True:
            _, event = self.boss.insist("GET", f"/events/{self.event}")
            left = event["total_spots"] - event["available_spots"] + 200
            status, answer = self.boss.insist("PATCH", f"/events/{self.event}", {"total_spots": left})
            if status == 200:
                break
            assert answer["code"] == "capacity_below_committed", answer
        for thread in self.threads:
            thread.join(PATIENCE_SECONDS + 20)
            if thread.is_alive():
                self.faults.append("a buyer does not come to an end")
        # A buyer who was told of the end may have been followed by one who gave a ticket back.
        while self.register(self.boss, self.event):
            pass

    def gap(self):
        """The longest time without a sale."""
        times = sorted(bought.at for bought in self.bought if bought.event == self.event)
        return max(after - before for before, after in zip(times, times[1:]))

    def check(self):
        """All that was acknowledged is there with its state, and nothing else; exactly the capacity is
        sold. Returns how many were lost, and oversold."""
        lost = oversold = 0
        for event in (self.event, self.tight):
            acknowledged = {bought.ticket: bought for bought in self.bought if bought.event == event}
            status, text = self.boss.insist("GET", f"/events/{event}/tickets", accept="text/csv")
            assert status == 200, text
            there = {row["ticket_id"]: row for row in csv.DictReader(text.splitlines())}
            for ticket, bought in acknowledged.items():
                row = there.get(ticket)
                if row is None or (row["status"], row["email"]) != (bought.status, bought.email):
                    lost += 1
                    self.faults.append(f"{ticket} was acknowledged as {bought.status}: {row}")
            for ticket in there.keys() - acknowledged.keys():
                self.faults.append(f"nobody was told of {ticket}")
            _, shown = self.boss.insist("GET", f"/events/{event}")
            live = sum(1 for row in there.values() if row["status"] != "cancelled")
            total, free = shown["total_spots"], shown["available_spots"]
            oversold += max(0, live - total)
            if live + free != total or (event == self.event and free != 0):
                self.faults.append(f"of {total} spots {live} have a ticket and {free} are free")
        return lost, oversold

    def check_keys(self, ports):
        """The same key gives the same ticket: those before and behind the longest gap, and others."""
        in_order = sorted(self.bought, key=lambda bought: bought.at)
        gaps = [after.at - before.at for before, after in zip(in_order, in_order[1:])]
        widest = gaps.index(max(gaps))
        asked = in_order[max(0, widest - 100) : widest + 100] + random.sample(in_order, min(100, len(in_order)))
        clients = [Client(port) for port in ports]
        for bought in asked:
            client, body = random.choice(clients), {"email": bought.email}
            status, answer = client.insist("POST", f"/events/{bought.event}/register", body, bought.key)
            if status != 201 or answer["ticket_id"] != bought.ticket:
                self.faults.append(f"key {bought.key} gave {bought.ticket}, then {status} {answer}")
