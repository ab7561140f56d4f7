"""A real S3 API (moto's server) on loopback, in a process of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from unittest import mock


@contextlib.contextmanager
def s3(bucket: str) -> Iterator[str]:
    """Its endpoint, with an empty bucket; the environment names it and its credentials, as a person would set them."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from moto.server import main; main(sys.argv[1:])", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "ved",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    try:
        while True:
            assert process.poll() is None, "moto's server did not start"
            try:
                request = urllib.request.Request(f"{endpoint}/{bucket}", method="PUT")
                with urllib.request.urlopen(request, timeout=10) as answer:
                    assert answer.status == 200
                break
            except OSError:
                time.sleep(0.05)
        with mock.patch.dict(os.environ, environment):
            yield endpoint
    finally:
        process.terminate()
        process.wait(timeout=20)
