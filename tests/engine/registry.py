"""A small image registry (Docker Registry HTTP API V2, only what a pull asks for), with a will of its own.

`python registry.py PORT`. What becomes of a pull follows from the repository: `good` is served, `drip`
slowly, `typo` is not known, `private` is denied, `stall` never ends, `stall-once` and `half-once` do not
end at the first try, one before its manifest and one amid its layer.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import sys
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
STALL_S = 600.0
#: `drip` sends its layer in so many pieces, one each DRIP_PERIOD_S.
DRIPS = 12
DRIP_PERIOD_S = 0.4


def digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


class Image:
    """One layer with a shell."""

    def __init__(self) -> None:
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as tar:
            tar.add(str(shutil.which("busybox")), "bin/sh")
        self.layer = gzip.compress(plain.getvalue(), 1)
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest(plain.getvalue())]},
        }
        self.config = json.dumps(config).encode()
        kind = "application/vnd.docker"
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._entry(f"{kind}.container.image.v1+json", self.config),
            "layers": [self._entry(f"{kind}.image.rootfs.diff.tar.gzip", self.layer)],
        }
        self.manifest = json.dumps(manifest).encode()
        self.blobs = {digest(blob): blob for blob in (self.layer, self.config)}

    def _entry(self, kind: str, blob: bytes) -> dict[str, object]:
        return {"mediaType": kind, "size": len(blob), "digest": digest(blob)}


class Handler(BaseHTTPRequestHandler):
    """Answers one engine."""

    protocol_version = "HTTP/1.1"
    image: Image
    stalled: set[str]
    lock: threading.Lock

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.path == "/v2/":
            self._send(200, b"{}", "application/json")
            return
        _, _, name, kind, reference = self.path.split("/")
        if kind == "manifests":
            self._send_manifest(name)
        else:
            self._send_blob(name, self.image.blobs[reference])

    def _send_manifest(self, name: str) -> None:
        if name == "typo":
            self._refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
        elif name == "private":
            self._refuse(403, "DENIED", "requested access to the resource is denied")
        elif name == "stall" or (name == "stall-once" and self._first(name)):
            time.sleep(STALL_S)
        else:
            self._send(200, self.image.manifest, MANIFEST)

    def _send_blob(self, name: str, blob: bytes) -> None:
        pieces = DRIPS if name == "drip" and blob is self.image.layer else 1
        half = name == "half-once" and blob is self.image.layer and self._first(name)
        self._begin(200, len(blob), "application/octet-stream")
        if half:
            self.wfile.write(blob[: len(blob) // 2])
            time.sleep(STALL_S)
        size = -(-len(blob) // pieces)
        for begin in range(0, len(blob), size):
            self.wfile.write(blob[begin : begin + size])
            time.sleep(DRIP_PERIOD_S if pieces > 1 else 0)

    def _first(self, name: str) -> bool:
        with self.lock:
            first = name not in self.stalled
            self.stalled.add(name)
            return first

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self._send(status, body, "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self._begin(status, len(body), kind)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _begin(self, status: int, length: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        if kind == MANIFEST:
            self.send_header("Docker-Content-Digest", digest(self.image.manifest))
        self.end_headers()


def main() -> None:
    Handler.image, Handler.stalled, Handler.lock = Image(), set(), threading.Lock()
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
