"""Many clients at once, in processes of their own: one process of Python is slower than the server it would test.

Every answer is checked against what any client was told before, whichever process it is in: an answer must not be older
than what was known when its call began.
"""

import asyncio
import json
import multiprocessing
import random
import time
import traceback
from dataclasses import dataclass

import grpc

from grpc_client import CHANNEL_OPTIONS, Client, key, rename, to_call_error

spawn = multiprocessing.get_context("spawn")  # grpc's threads don't survive a fork


@dataclass
class Part:
    """What one process has done: [(user, name, version)] of its renames, and what is wrong with the answers."""

    renames: list
    violations: list
    seconds: float


class Floor:
    """Per user the newest version that anybody was told. Shared by all processes."""

    def __init__(self, users):
        self.versions = spawn.Array("q", [-1] * users)

    def get(self, user):
        with self.versions.get_lock():
            return self.versions[user]

    def raise_to(self, user, version):
        with self.versions.get_lock():
            self.versions[user] = max(self.versions[user], version)


def rename_and_read_back(addresses, users, renames, connections, processes, seed, timeout_s):
    """Sends `renames` commands at once, spread over the users, the connections and the addresses.

    Each rename's version is read back by another connection as soon as it is acknowledged. Returns
    (user, name, version) of each; fails with what clients were told that they should not have been.
    """
    floor, results = Floor(len(users)), spawn.Queue()
    workers = [
        spawn.Process(
            target=run_part,
            args=(addresses, users, range(at, renames, processes), connections // processes, floor, seed + at, results),
            daemon=True,
        )
        for at in range(processes)
    ]
    for worker in workers:
        worker.start()
    try:
        parts = [results.get(timeout=timeout_s) for _ in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    violations = [violation for part in parts for violation in part.violations]
    assert not violations, f"{len(violations)} violations:\n" + "\n".join(violations[:20])
    print(f"{renames} renames and as many reads took {max(part.seconds for part in parts):.1f} s")
    return [entry for part in parts for entry in part.renames]


def run_part(addresses, users, numbers, connections, floor, seed, results):
    try:
        with Client(addresses[0]) as client:
            methods = client.schema.methods
        results.put(asyncio.run(Renamer(methods, addresses, users, connections, floor, seed).run(numbers)))
    except BaseException:
        results.put(Part([], [traceback.format_exc()], 0))


class Renamer:
    def __init__(self, methods, addresses, users, connections, floor, seed):
        self.methods, self.users, self.floor = methods, users, floor
        self.rng = random.Random(seed)
        self.renames, self.violations = [], []
        self.addresses = [addresses[n % len(addresses)] for n in range(connections)]

    async def run(self, numbers):
        channels = [grpc.aio.insecure_channel(address, CHANNEL_OPTIONS) for address in self.addresses]
        self.submits = [self.methods["SubmitCommand"].stub(channel) for channel in channels]
        self.gets = [self.methods["GetSnapshot"].stub(channel) for channel in channels]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        begin = time.monotonic()
        outcomes = await asyncio.gather(*(self.one(number) for number in numbers), return_exceptions=True)
        self.violations += [f"a call failed: {outcome!r}" for outcome in outcomes if outcome is not None]
        for channel in channels:
            await channel.close()
        return Part(self.renames, self.violations, time.monotonic() - begin)

    async def one(self, number):
        user = number % len(self.users)
        name = f"Name {number}"
        writer = self.rng.randrange(len(self.submits))
        reader = (writer + self.rng.randrange(1, len(self.gets))) % len(self.gets)
        version = await self.rename(self.submits[writer], user, name)
        await self.read(self.gets[reader], user, name, version)

    async def rename(self, submit, user, name):
        before = self.floor.get(user)
        request = self.methods["SubmitCommand"].request(**rename(self.users[user], name))
        outcome = (await self.answer(submit(request, timeout=60))).outcome
        if outcome.version <= before:
            self.violations.append(f"{name} got version {outcome.version}, but {before} was known before")
        self.floor.raise_to(user, outcome.version)
        self.renames.append((user, name, outcome.version))
        return outcome.version

    async def read(self, get, user, name, version):
        before = self.floor.get(user)
        request = self.methods["GetSnapshot"].request(**key(self.users[user]))
        snapshot = (await self.answer(get(request, timeout=60))).snapshot
        if snapshot.version < before:
            self.violations.append(
                f"{self.users[user]} was read at version {snapshot.version} after {before} was known"
            )
        if snapshot.version == version and json.loads(snapshot.state.json)["name"] != name:
            self.violations.append(f"version {version} of {self.users[user]} was {name}, then {snapshot.state.json}")
        self.floor.raise_to(user, snapshot.version)

    @staticmethod
    async def answer(call):
        try:
            return await call
        except grpc.RpcError as error:
            raise to_call_error(error) from None
