"""A proxy before a node's listener that does to connections what networks do: it refuses, cuts, swallows, delays and
loses them. It sees no more than an eavesdropper."""

import asyncio
import contextlib
import random
import threading

PASS, REFUSE, HOLE, CUT, SLOW, LOSSY = "pass", "refuse", "hole", "cut", "slow", "lossy"
MODES = (PASS, REFUSE, HOLE, CUT, SLOW, LOSSY)


class Proxy:
    """`port` leads to the target port of this machine while `mode` lets it."""

    def __init__(self, target, seed=0):
        self.target = target
        self.mode = PASS
        self.chosen = random.Random(seed)
        self.connections = set()
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0))
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def set(self, mode):
        """From now on; connections that last are broken when it is no longer PASS."""
        self.mode = mode
        if mode != PASS:
            self.loop.call_soon_threadsafe(self.hang_up)

    def hang_up(self):
        for writer in list(self.connections):
            writer.transport.abort()

    def close(self):
        async def end():
            self.server.close()
            self.hang_up()
            tasks = asyncio.all_tasks(self.loop) - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()

    async def serve(self, reader, writer):
        mode = self.mode
        self.connections.add(writer)
        try:
            if mode == REFUSE or (mode == LOSSY and self.chosen.random() < 0.5):
                writer.transport.abort()
                return
            if mode == HOLE:
                while await reader.read(65536):
                    pass
                return
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
            self.connections.add(back)
            try:
                await asyncio.gather(self.pump(reader, back, mode), self.pump(there, writer, mode))
            finally:
                self.connections.discard(back)
                back.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass  # cut, or the proxy ends
        finally:
            self.connections.discard(writer)
            writer.transport.abort()

    async def pump(self, reader, writer, mode):
        left = self.chosen.randrange(1, 20_000) if mode == CUT else None  # bytes until it breaks
        with contextlib.suppress(OSError):
            while True:
                data = await reader.read(65536 if mode != SLOW else 2048)
                if not data:
                    break
                if mode == SLOW:
                    await asyncio.sleep(0.01)
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                writer.write(data)
                await writer.drain()
                if left == 0:
                    writer.transport.abort()
                    return
        with contextlib.suppress(OSError):
            writer.write_eof()
