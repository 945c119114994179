"""A DynamoDB at which some calls fail: dynalite, and before it a proxy that answers as it likes.

    python benchmarks/records_store.py PORT STORE_PORT SHARE SEED

Of the requests to PORT a SHARE fails: by 500, by a connection that is closed before or after the request has reached
the store at STORE_PORT, or by an answer that never comes. Prints how many passed and failed when it is stopped.
"""

import asyncio
import json
import random
import signal
import sys
from collections import Counter

FAULTS = ("500", "cut before", "cut after", "silence")
FAILURE = json.dumps({"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": "failed"}).encode()


async def read_message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + (await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b"")


async def forward(request: bytes, port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await read_message(reader)
    finally:
        writer.close()


async def main(port: int, store_port: int, share: float, seed: int) -> None:
    drawn, counts, stopped = random.Random(seed), Counter[str](), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await read_message(reader)
                counts["all"] += 1
                fault = drawn.choice(FAULTS) if drawn.random() < share else ""
                counts[fault or "passed"] += 1
                if fault == "500":
                    head = f"HTTP/1.1 500 Internal Server Error\r\nContent-Length: {len(FAILURE)}\r\n\r\n"
                    writer.write(head.encode() + FAILURE)
                    continue
                reply = b"" if fault == "cut before" else await forward(request, store_port)
                if fault == "silence":
                    await reader.read()  # until the other side gives up
                if fault:
                    return
                writer.write(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    print("ready", flush=True)
    await stopped.wait()
    server.close()
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
