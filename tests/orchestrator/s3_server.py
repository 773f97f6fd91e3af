"""A server that speaks S3, on this machine's loopback: moto's, with a switch that makes it refuse writes as a full store does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

_FULL = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its minimum free drive threshold.</Message></Error>"""


class S3Server:
    """A running server.

    Attributes:
        endpoint: Its address.
        refuses: Decides by method, path and query which requests find the store full; none by default.
        requests: Every request so far, as method and path.
    """

    def __init__(self) -> None:
        self.refuses: Callable[[str, str, str], bool] = lambda method, path, query: False
        self.requests: list[tuple[str, str]] = []
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler)
        self.endpoint = f"http://127.0.0.1:{self._server.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path, query = environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"]
        self.requests.append((method, path))
        if self.refuses(method, path, query):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("507 Insufficient Storage", [("Content-Type", "application/xml"), ("Content-Length", str(len(_FULL)))])
            return [_FULL]
        return self._app(environ, start)

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        client = boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1")
        client.create_bucket(Bucket=name)

    def close(self) -> None:
        """Stop it; its buckets are gone."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server for the time of the block, and the environment that leads every S3 client to it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = S3Server()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # or a client without credentials asks the network for some
        try:
            yield server
        finally:
            server.close()
