"""schemathesis, which makes requests from the OpenAPI description, right ones and wrong ones."""

from __future__ import annotations

import pytest
from clients.conftest import Installed
from support.processes import wait_until
from support.serving import Served

CLIENT = "schemathesis"
pytestmark = pytest.mark.slow
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance"


def test_no_request_that_fits_the_description_breaks_the_server(
    clients_server: Served, installed: Installed
) -> None:
    done = installed.run(
        "st",
        "run",
        f"{clients_server.url}/openapi.json",
        f"--checks={CHECKS}",
        "--phases=examples,coverage,fuzzing",
        "--max-examples=50",
        "--max-time=240",
        "--seed=1",
        "--continue-on-failure",
    )
    assert done.returncode == 0, done.stdout
    assert wait_until(lambda: clients_server.running() == 0)
    assert not [line for line in clients_server.heard.lines if " 500 " in line]
