"""Workers without processes: a test says what becomes of each."""

import asyncio

from gateway.workers.process import WorkerFailed


class PlayedWorker:
    """In place of a ``WorkerProcess``: ``become_ready``, ``fail``, ``hang``, ``end``: what that does by itself."""

    def __init__(self, pid, index, settings):
        self.pid, self.index, self.told = pid, index, [settings]
        self.refusal = ""
        self.logs = None
        self.drained = self.killed = self.aborted = False
        self.hangs = False
        loop = asyncio.get_running_loop()
        self._ready, self._ended, self._hung = (loop.create_future() for _ in range(3))

    def become_ready(self):
        self._ready.set_result({"metrics": f"m{self.index}", "admin": f"a{self.index}"})

    def fail(self, reason="no such model", code=1):
        self._ready.set_exception(WorkerFailed(reason, code))
        self.end(code)

    def end(self, status=-9):
        if not self._ended.done():
            self._ended.set_result(status)

    def hang(self):
        self._hung.set_result(None)

    async def until_hung(self):
        await asyncio.shield(self._hung)

    async def write_logs(self, settings):
        await asyncio.sleep(0)
        self.logs = settings

    async def abort(self):
        self.aborted = True
        await asyncio.sleep(1)
        self.end(-6)

    async def until_ready(self):
        return await asyncio.shield(self._ready)

    async def configure(self, settings):
        await asyncio.sleep(0)
        self.told.append(settings)
        return self.refusal

    def drain(self):
        self.drained = True
        if not self.hangs:
            self.end(0)

    def kill(self):
        self.killed = True
        self.end(-9)

    async def ended(self):
        return await asyncio.shield(self._ended)


class PlayedWorkers(list):
    """All that were started, in order; replaces ``WorkerProcess`` where that is looked up."""

    def __init__(self, monkeypatch):
        super().__init__()
        monkeypatch.setattr("gateway.workers.worker_slot.WorkerProcess", self)

    async def start(self, index, settings):
        self.append(PlayedWorker(100 + len(self), index, settings))
        return self[-1]
