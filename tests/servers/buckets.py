"""Buckets on an S3 server, each with a client to look into it."""

from __future__ import annotations

import io
import uuid
from dataclasses import dataclass
from typing import Any

from lidloop.storage import Store, open_store
from tests.servers.rclone import Rclone
from tests.servers.rgw import Rgw


def client_of(server: Rgw | Rclone) -> Any:
    """Return a MinIO client with the keys of the server's user."""
    import minio

    from lidloop.storage.transport import RetryingPool

    return minio.Minio(
        server.endpoint.removeprefix("http://"), server.access_key, server.secret_key,
        secure=False, region="us-east-1", http_client=RetryingPool(),
    )  # fmt: skip


@dataclass
class Bucket:
    """An empty bucket, and a client of its own to look into it."""

    name: str
    server: Rgw | Rclone
    client: Any

    @classmethod
    def make(cls, server: Rgw | Rclone) -> Bucket:
        """Make one with a new name."""
        client = client_of(server)
        name = f"test-{uuid.uuid4().hex[:16]}"
        client.make_bucket(name)
        return cls(name, server, client)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables by which a program finds the bucket."""
        return {
            "AWS_ENDPOINT_URL_S3": self.server.endpoint,
            "AWS_ACCESS_KEY_ID": self.server.access_key,
            "AWS_SECRET_ACCESS_KEY": self.server.secret_key,
        }

    def address(self, prefix: str = "", **parameters: str) -> str:
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"s3://{self.name}/{prefix}" + (f"?{query}" if query else "")

    def store(self, prefix: str = "", **parameters: str) -> Store:
        from lidloop.storage.transport import RetryPolicy

        quick = RetryPolicy(tries=4, first=0.01, longest=0.05)
        return open_store(self.address(prefix, **parameters), retry_policy=quick)

    def put(self, key: str, content: bytes, sha256: str = "") -> None:
        metadata = {"sha256": sha256} if sha256 else None
        self.client.put_object(self.name, key, io.BytesIO(content), len(content), metadata=metadata)

    def get(self, key: str) -> bytes:
        response = self.client.get_object(self.name, key)
        try:
            return bytes(response.data)
        finally:
            response.release_conn()

    def keys(self) -> list[str]:
        return [str(item.object_name) for item in self.client.list_objects(self.name, recursive=True)]
