"""Hundreds of damaged, disguised and swollen pictures against a running server: each is answered, none with a
fault, and the server lives on. ``make soak`` sends thousands."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx

from benchmarks.mutations import Mutation, mutations
from tests.serving.conftest import Photo, Server

NUMBER = 300
EXPECTED = {200, 400, 413, 415, 422}


def test_no_mutation_is_a_fault(server: Server, photo: Photo) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:

        def send(mutation: Mutation) -> tuple[str, httpx.Response]:
            headers = {"Content-Type": mutation.content_type}
            return mutation.name, client.post("/v1/screen", content=mutation.data, headers=headers)

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(send, mutations(photo.image, number=NUMBER)))
        wrong = [(name, r.status_code, r.text) for name, r in answers if r.status_code not in EXPECTED]
        assert not wrong
        statuses = Counter(response.status_code for _, response in answers)
        assert min(statuses[status] for status in (200, 413, 415, 422)) > 3, statuses
        assert client.get("/readyz").status_code == 200
    assert server.process.poll() is None
