"""A receiver of webhooks that says in Slack who waits and what failed.

Needs `pip install standardwebhooks`, WEBHOOK_SECRET (shown when the webhook is made) and SLACK_URL (an
"incoming webhook" of Slack). PORT is where it listens.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

done: set[str] = set()


def text_of(event: dict[str, Any]) -> str | None:
    """What to say about an event; None: nothing."""
    data = event["data"]
    if event["type"] == "question:asked":
        return f"An agent asks: {data['question']['title']} <{data['url']}|Answer>"
    if event["type"] == "run:status_changed" and data["new_status"] == "failed":
        return f"A run failed. <{data['url']}|Look>"
    return None


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            event = Webhook(os.environ["WEBHOOK_SECRET"]).verify(body, dict(self.headers))
        except WebhookVerificationError:
            return self.answer(401)
        # The same event may come again: its id says so.
        id = self.headers["webhook-id"]
        if id not in done and (text := text_of(event)) is not None:
            said = json.dumps({"text": text}).encode()
            headers = {"Content-Type": "application/json"}
            urlopen(Request(os.environ["SLACK_URL"], said, headers), timeout=10).close()
        done.add(id)
        return self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Receiver)
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()
