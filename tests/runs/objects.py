"""An S3 server for the tests, in a process of its own: `python -m tests.runs.objects` prints its address."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": "topsecret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def serving() -> Iterator[dict[str, str]]:
    """Run a server with a bucket named lab; yield the environment in which it is found."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.runs.objects"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **CREDENTIALS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "the S3 server has not started"
        yield {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": address}
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="lab")
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()
