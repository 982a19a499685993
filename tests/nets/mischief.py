"""A server on this machine that misbehaves on purpose."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 300
LENGTH = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PAGE = b"\n<!DOCTYPE html><html><body>Please accept our cookies</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 76800\n"


class Handler(BaseHTTPRequestHandler):
    """Each path is a way to behave."""

    protocol_version = "HTTP/1.0"

    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.agents.add(self.headers["User-Agent"])
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, self.path[1:].replace("-", "_"))()

    def log_message(self, *_):
        pass

    def head(self, length=LENGTH, code=200, **fields):
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()

    def good(self):
        self.head()
        self.wfile.write(CONTENT)

    def slow(self):
        self.head()
        for start in range(0, len(CONTENT), 7680):
            self.wfile.write(CONTENT[start : start + 7680])
            time.sleep(0.1)

    def silent_about_its_length(self):
        self.head(None)
        self.wfile.write(CONTENT)

    def chunked(self):
        self.protocol_version = "HTTP/1.1"
        self.head(None, **{"Transfer-Encoding": "chunked", "Connection": "close"})
        for start in range(0, len(CONTENT), 10000):
            piece = CONTENT[start : start + 10000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def missing(self):
        self.send_error(404)

    def broken(self):
        self.send_error(500)

    def empty(self):
        self.head(0)

    def nothing(self):
        self.head(None)

    def no_content(self):
        self.head(None, 204)

    def short(self):
        self.head(len(CONTENT) - 10)
        self.wfile.write(CONTENT[:-10])

    def promises_more(self):
        self.head(len(CONTENT) + 10)
        self.wfile.write(CONTENT)

    def breaks_off(self):
        self.head()
        self.wfile.write(CONTENT[:20000])

    def long(self):
        self.head(None)
        self.wfile.write(CONTENT + b"?")

    def endless(self):
        self.head(None)
        while True:
            self.wfile.write(CONTENT)

    def wrong_bytes(self):
        self.head()
        self.wfile.write(CONTENT[::-1])

    def one_bit(self):
        self.head()
        self.wfile.write(CONTENT[:-1] + b"\xfe")

    def page(self):
        self.head(len(PAGE))
        self.wfile.write(PAGE)

    def pointer(self):
        self.head(len(POINTER))
        self.wfile.write(POINTER)

    def compressed(self):
        import gzip

        packed = gzip.compress(CONTENT)
        self.head(len(packed), **{"Content-Encoding": "gzip"})
        self.wfile.write(packed)

    def silent(self):
        time.sleep(8)

    def stalls(self):
        self.head()
        self.wfile.write(CONTENT[:20000])
        time.sleep(8)

    def drips(self):
        self.head()
        for byte in CONTENT[:800]:
            self.wfile.write(bytes([byte]))
            time.sleep(0.01)

    def drips_headers(self):
        for byte in b"HTTP/1.0 200 OK\r\nX-Long: " + b"x" * 800:
            self.wfile.write(bytes([byte]))
            time.sleep(0.01)

    def resets(self):
        self.head()
        self.wfile.write(CONTENT[:20000])
        self._reset()

    def resets_at_once(self):
        self._reset()

    def _reset(self):
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()

    def gibberish(self):
        self.wfile.write(b"\x16\x03\x01 this is no HTTP at all\r\n\r\n")

    def redirects(self):
        self.head(0, 302, Location="/good")

    def loops(self):
        self.head(0, 302, Location="/loops")

    def to_a_file(self):
        self.head(0, 302, Location="file:///etc/hostname")

    def to_ftp(self):
        self.head(0, 302, Location="ftp://127.0.0.1/good")

    def to_nowhere(self):
        self.head(0, 302, Location="http://[::1")


@contextmanager
def serving():
    """Serve until the block ends; yields the server, whose ``url(path)`` gives addresses."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    server.handle_error = lambda *_: None
    server.asked, server.agents = [], set()
    server.url = lambda path: f"http://127.0.0.1:{server.server_port}/{path}"
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    ).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
