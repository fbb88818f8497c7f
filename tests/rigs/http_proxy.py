"""An HTTP proxy that does what it is asked and then loses the answer, once for each distinct write."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

IsWrite = Callable[[str, bytes], bool]
"""(HTTP method, body) -> whether this request changes something."""


class LosingProxy:
    """Forwards to ``target``; while ``losing``, the answer to a write never seen before is cut off.

    The write has then been done: that is the point.
    """

    def __init__(self, target: str, is_write: IsWrite) -> None:
        self._target = target.rstrip("/")
        self._is_write = is_write
        self._seen: set[tuple[str, str, bytes]] = set()
        self.losing = True
        self.lost = 0
        self._client = httpx.Client(timeout=60)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy._forward(self)

            def do_POST(self) -> None:
                proxy._forward(self)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def _forward(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        names = ("authorization", "content-type", "idempotency-key")
        headers = {name: value for name in names if (value := request.headers.get(name))}
        answer = self._client.request(request.command, self._target + request.path, content=body, headers=headers)
        mark = (request.command, request.path, body)
        if self.losing and self._is_write(request.command, body) and mark not in self._seen:
            self._seen.add(mark)
            self.lost += 1
            request.close_connection = True
            return
        request.send_response(answer.status_code)
        request.send_header("Content-Type", answer.headers.get("content-type", "application/json"))
        request.send_header("Content-Length", str(len(answer.content)))
        request.end_headers()
        request.wfile.write(answer.content)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._client.close()
