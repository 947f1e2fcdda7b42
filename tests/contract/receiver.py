"""A receiver of webhooks that verifies each by the reference library, and takes it when it likes.

Usage: receiver.py SECRET CHANGES. Prints its URL; ends when it has been told of all changes of event 1,
with 0 if each was told in order."""

import json
import os
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook

webhook, changes = Webhook(sys.argv[1]), int(sys.argv[2])
seed = int(os.environ.get("SEED", random.randrange(2**32)))
chance = random.Random(seed)
told, ids, lock = [], {}, threading.Lock()
done = threading.Event()


def fail(why):
    print(f"{why} (SEED={seed})", file=sys.stderr)
    os._exit(1)


class Hook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            message = webhook.verify(body, dict(self.headers))
        except Exception as error:
            fail(f"not verified: {error!r}")
        n = message["data"]["n"]
        with lock:
            told.append(n)
            if ids.setdefault(n, self.headers["webhook-id"]) != self.headers["webhook-id"]:
                fail(f"change {n} has two ids")
            mood = chance.random()
        if mood < 0.1:
            self.close_connection = True
            return
        if mood < 0.2:
            time.sleep(chance.random() / 5)
        self.send_response(500 if mood > 0.8 else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if mood <= 0.8 and n == changes:
            done.set()

    def log_message(self, *_):
        pass


class Receiver(ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # The relay was killed.


server = Receiver(("127.0.0.1", 0), Hook)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
if not done.wait(180):
    sys.exit(f"told of {len(set(told))} changes only (SEED={seed})")
first = list(dict.fromkeys(told))
assert first == list(range(1, changes + 1)), f"not in order: {json.dumps(first)} (SEED={seed})"
print(f"standardwebhooks: {changes} changes in order, in {len(told)} attempts", file=sys.stderr)
