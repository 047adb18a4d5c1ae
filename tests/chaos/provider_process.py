"""The simulated provider as a process: on SIGUSR1 it refuses all connections, on SIGUSR2 it accepts them again.

Its ledger, against which a round is judged, is in memory, so an outage must not be a restart.
"""

import asyncio
import signal
import sys

from aiohttp import web

from invoices.dev.simulator import Simulator


class BlockableSimulator(Simulator):
    async def refuse_connections(self) -> None:
        for site in list(self._runner.sites):
            await site.stop()
        for connection in list(self._runner.server.connections):  # open requests are cut off
            connection.force_close()

    async def accept_connections(self) -> None:
        await web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=2048).start()


async def serve(port: int, seed: int) -> None:
    loop, stop, tasks = asyncio.get_running_loop(), asyncio.Event(), set()
    simulator = BlockableSimulator(port, seed=seed)
    await simulator.open()

    def start(coroutine: object) -> None:
        tasks.add(loop.create_task(coroutine()))  # referenced, or it may be collected while it runs

    loop.add_signal_handler(signal.SIGUSR1, start, simulator.refuse_connections)
    loop.add_signal_handler(signal.SIGUSR2, start, simulator.accept_connections)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await simulator.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
