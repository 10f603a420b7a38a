"""An S3 that holds objects in memory: as much of the protocol as `obstore` speaks, on loopback.

Put, get, head, delete, and multipart uploads; who asks isn't checked. `serve` is a process of its own.
"""

from __future__ import annotations

import itertools
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def environment(port: int) -> dict[str, str]:
    """What a client of the store needs in its environment."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-central-1",
    }


def serve(started: Connection) -> None:
    """Serves until the process is ended; sends its port first."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    started.send(server.server_port)
    server.serve_forever()


class Handler(BaseHTTPRequestHandler):
    """One request; objects and uploads belong to the process."""

    protocol_version = "HTTP/1.1"
    objects: ClassVar[dict[str, bytes]] = {}
    uploads: ClassVar[dict[str, dict[int, bytes]]] = {}
    numbers = itertools.count(1)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if "uploadId" in self.query:
            part = int(self.query["partNumber"][0])
            self.uploads[self.query["uploadId"][0]][part] = content
        else:
            self.objects[self.key] = content
        self.answer(200, b"", ETag='"e"')

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "delete" in self.query:
            for key in re.findall(rb"<Key>(.*?)</Key>", sent):
                self.objects.pop(f"{self.key.rstrip('/')}/{key.decode()}", None)
            self.answer(200, _xml("DeleteResult", ""))
            return
        if "uploads" in self.query:
            upload = str(next(self.numbers))
            self.uploads[upload] = {}
            body = f"<UploadId>{upload}</UploadId>"
            self.answer(200, _xml("InitiateMultipartUploadResult", body))
            return
        parts = self.uploads.pop(self.query["uploadId"][0])
        self.objects[self.key] = b"".join(parts[number] for number in sorted(parts))
        self.answer(200, _xml("CompleteMultipartUploadResult", "<ETag>e</ETag>"))

    def do_GET(self) -> None:
        content = self.objects.get(self.key)
        if content is None:
            self.answer(404, _xml("Error", "<Code>NoSuchKey</Code>"))
            return
        modified = "Fri, 20 Nov 2026 14:00:00 GMT"
        self.answer(200, content, ETag='"e"', **{"Last-Modified": modified})

    do_HEAD = do_GET

    def do_DELETE(self) -> None:
        if "uploadId" in self.query:
            self.uploads.pop(self.query["uploadId"][0], None)
        else:
            self.objects.pop(self.key, None)
        self.answer(204, b"")

    @property
    def key(self) -> str:
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def _xml(name: str, body: str) -> bytes:
    return f'<?xml version="1.0"?><{name} {NAMESPACE}>{body}</{name}>'.encode()
