"""An ssh server for tests: `python ssh_server.py ADDRESS HOST_KEY AUTHORIZED_KEYS`.

It runs commands as sshd does: in a shell, and after the client is gone they see the end of stdin.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

import asyncssh

PORT = 2222
BLOCK_BYTES = 65536


async def feed(process: asyncssh.SSHServerProcess[bytes], stdin: asyncio.StreamWriter) -> None:
    """Pass on what the client sends, to a command that may read nothing, or be gone."""
    with suppress(ConnectionError, asyncssh.Error):
        while data := await process.stdin.read(BLOCK_BYTES):
            stdin.write(data)
            await stdin.drain()
    stdin.close()


async def pass_on(reader: asyncio.StreamReader, writer: asyncssh.SSHWriter[bytes]) -> None:
    """Pass on all that a command writes, as long as the client is there."""
    while data := await reader.read(BLOCK_BYTES):
        with suppress(ConnectionError, asyncssh.Error):
            writer.write(data)
            await writer.drain()


async def serve(address: str, host_key: str, authorized_keys: str) -> None:
    """Serve until killed; say so once it listens."""

    async def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            process.command or "true",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        feeding = asyncio.create_task(feed(process, child.stdin))
        await asyncio.gather(
            pass_on(child.stdout, process.stdout), pass_on(child.stderr, process.stderr)
        )
        code = await child.wait()
        feeding.cancel()
        process.exit(code if code >= 0 else 128 - code)

    await asyncssh.listen(
        address,
        PORT,
        server_host_keys=[host_key],
        authorized_client_keys=authorized_keys,
        process_factory=run,
        encoding=None,
        keepalive_interval=2,
        keepalive_count_max=3,
    )
    print("listening", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:4]))
