"""A merchant's server on a real socket. It verifies with the unmodified library and stores what it accepts."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from webhooks.models import WebhookEndpoint

Answer = tuple[int, dict[str, str]]
OK: Answer = (200, {})


class Receiver:
    def __init__(self) -> None:
        self.secrets: list[str] = []  # any of them is accepted
        self.answer: Callable[[dict[str, Any]], Answer] = lambda _: OK
        self.received: list[dict[str, Any]] = []  # verified and answered with 2xx, in order
        self.ids: list[str] = []
        self.signatures: list[int] = []  # number of signatures of each request
        self.tries = self.rejected = 0
        self.url = ""
        self._changed = threading.Condition()

    def receive(self, body: bytes, headers: dict[str, str]) -> Answer:
        with self._changed:
            self.tries += 1
            self.signatures.append(len(headers["webhook-signature"].split()))
            if not any(self._is_signed(secret, body, headers) for secret in list(self.secrets)):
                self.rejected += 1
                return 401, {}
        answer = self.answer(json.loads(body))
        if 200 <= answer[0] < 300:
            with self._changed:
                self.received.append(json.loads(body))
                self.ids.append(headers["webhook-id"])
                self._changed.notify_all()
        return answer

    def _is_signed(self, secret: str, body: bytes, headers: dict[str, str]) -> bool:
        try:
            Webhook(secret).verify(body, headers)
        except WebhookVerificationError:
            return False
        return True

    def endpoint(self, merchant: Any = None, **overrides: Any) -> WebhookEndpoint:
        row = WebhookEndpoint.objects.create(merchant=merchant, **{"url": self.url, **overrides})
        self.secrets.append(row.add_secret("1"))
        return row

    def wait(self, done: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until `done()`, checking after each received event."""
        with self._changed:
            assert self._changed.wait_for(done, seconds), f"{len(self.received)} received, {self.rejected} rejected"

    def values(self, name: str = "type") -> list[Any]:
        """One field of each received event, from its top level or its data."""
        return [event[name] if name in event else event["data"][name] for event in self.received]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Endpoint(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # otherwise a response with a body waits 40 ms for an ACK

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers = receiver.receive(body, {name.lower(): value for name, value in self.headers.items()})
            text = headers.pop("body", "").encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass  # tests close connections on purpose

    with Server(("127.0.0.1", 0), Endpoint) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/hooks"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield receiver
        finally:  # a server thread whose socket was closed would spin until the process ends
            server.shutdown()
