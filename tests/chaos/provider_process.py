"""The simulated provider as a process with a door: SIGUSR1 refuses every connection, SIGUSR2 takes them again.

Its ledger lives in memory, so an outage must not be a restart: the ledger is what everybody is judged by.
"""

import asyncio
import signal
import sys

from aiohttp import web

from invoices.dev.simulator import Simulator


class BlockableSimulator(Simulator):
    async def shut(self) -> None:
        for site in list(self._runner.sites):
            await site.stop()
        for connection in list(self._runner.server.connections):  # what is being answered is cut off in the middle
            connection.force_close()

    async def unlock(self) -> None:
        await web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=2048).start()


async def live(port: int, seed: int) -> None:
    loop, stop, acts = asyncio.get_running_loop(), asyncio.Event(), set()
    simulator = BlockableSimulator(port, seed=seed)
    await simulator.open()

    def act(what: object) -> None:
        acts.add(loop.create_task(what()))  # held, or it may be collected while it runs

    loop.add_signal_handler(signal.SIGUSR1, act, simulator.shut)
    loop.add_signal_handler(signal.SIGUSR2, act, simulator.unlock)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await simulator.close()


if __name__ == "__main__":
    asyncio.run(live(int(sys.argv[1]), int(sys.argv[2])))
