"""An ssh server for tests: `python -m support.ssh_server ADDRESS HOST_KEY AUTHORIZED_KEYS`.

It runs commands as sshd does: in a shell, and after the client is gone they see the end of stdin.
"""

from __future__ import annotations

import asyncio
import sys

import asyncssh

PORT = 2222


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
        await process.redirect(child.stdin, child.stdout, child.stderr)
        code = await child.wait()
        await process.stdout.drain()
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
