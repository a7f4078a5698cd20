"""The local page of a run: ``solsa watch DIR`` and ``solsa learn --live``.

A server of Python's standard library on the loopback address gives out two things, the page and the run's
``progress.json``; the page asks for the file twice a second and draws it.
"""

from __future__ import annotations

import errno
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

from solsa.contract import ConfigError

from .progress import PROGRESS_FILE

#: Only this machine can reach the page.
LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8137
#: Names under which a browser on this machine may ask. A page of the net that lets its name point here may not.
_HOSTS = ("127.0.0.1", "localhost")


class LivePage:
    """Server of the page of one run's folder, in a thread. A context manager.

    Parameters
    ----------
    folder : Path
        With ``progress.json``, now or later.
    port : int
        0 takes any that is free.

    Raises
    ------
    ConfigError
        If the port is taken.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        page = resources.files(__package__).joinpath("pages", "live.html").read_bytes()
        handler = type("Handler", (_Handler,), {"page": page, "file": folder / PROGRESS_FILE})
        try:
            self._server = ThreadingHTTPServer((LOOPBACK, port), handler)
        except OSError as error:
            why = "is taken by another program" if error.errno == errno.EADDRINUSE else f"{error.strerror or error}"
            raise ConfigError(f"--port {port}: {why}; 0 takes one that is free") from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}/"

    def wait(self) -> None:
        """Serve until interrupted."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _Handler(BaseHTTPRequestHandler):
    """Gives out the page and the file, and nothing else."""

    page: bytes
    file: Path
    server_version, sys_version = "solsa", ""

    def do_GET(self) -> None:
        """Answer a request."""
        if self.headers.get("Host", "").rsplit(":", 1)[0] not in _HOSTS:
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"only for this machine\n")
        elif self.path == "/":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.page)
        elif self.path == f"/{PROGRESS_FILE}":
            self._progress()
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"not here\n")

    def _progress(self) -> None:
        try:
            tag = f'"{self.file.stat().st_mtime_ns}"'
            if self.headers.get("If-None-Match") == tag:
                self._send(HTTPStatus.NOT_MODIFIED, "application/json", b"", tag)
                return
            self._send(HTTPStatus.OK, "application/json", self.file.read_bytes(), tag)
        except FileNotFoundError:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"not there yet\n")

    def _send(self, status: HTTPStatus, kind: str, body: bytes, tag: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-cache")
        # The page draws itself: no script, picture or connection of anyone else.
        self.send_header("Content-Security-Policy", "default-src 'self' 'unsafe-inline' data:; frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the terminal for the run."""
