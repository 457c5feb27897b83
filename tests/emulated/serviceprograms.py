"""Programs that run in pods, nodes and outside hosts of the tests of Services; texts, because pods have no checkout.

SERVER NAME PORT…   answers on TCP, UDP and, where the kernel has it, SCTP: `NAME CLIENT PORT`, then an echo.
ASK JSON            many connections at once, each said what it got.
HOLD JSON           opens connections and keeps them; each line on standard input makes all of them say something.
TRAFFIC JSON        one long transfer and many new connections a second until standard input ends.
"""

from pathlib import Path
from typing import Final

PYTHON: Final = "/usr/bin/python3"
"""Containers see the machine's /usr, not this environment."""

SERVER: Final = r"""
import os, signal, socket, sys, threading

signal.signal(signal.SIGTERM, signal.SIG_IGN)  # serves until the end of its grace
name, ports = sys.argv[1], [int(port) for port in sys.argv[2:]]


def talk(connection, peer, port):
    with connection:
        try:
            connection.sendall(f"{name} {peer[0]} {port}\n".encode())
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            pass


def accept(server, port):
    while True:
        connection, peer = server.accept()
        threading.Thread(target=talk, args=(connection, peer, port), daemon=True).start()


def answer(server, port):
    while True:
        data, peer = server.recvfrom(65535)
        server.sendto(f"{name} {peer[0]} {port}\n".encode() + data, peer)


for port in ports:
    for kind, protocol, serve in (
        (socket.SOCK_STREAM, 0, accept), (socket.SOCK_DGRAM, 0, answer), (socket.SOCK_STREAM, 132, accept)
    ):
        try:
            server = socket.socket(socket.AF_INET, kind, protocol)
        except OSError:
            continue
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A node has many addresses: what answers a datagram must have the one that was asked (as upstream's netexec).
        server.bind((os.environ.get("HOST_IP", "") if kind == socket.SOCK_DGRAM else "", port))
        if serve is accept:
            server.listen(512)
        threading.Thread(target=serve, args=(server, port), daemon=True).start()
print("serving", flush=True)
signal.pause()
while True:
    signal.pause()
"""

PATIENT: Final = Path(__file__).with_name("patient.py").read_text()
"""`PatientSocket`, for programs to begin with."""

_COMMON: Final = (
    PATIENT
    + r"""
import json, sys, threading, time

KINDS = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0), "sctp": (socket.SOCK_STREAM, 132)}


def opened(to):
    made = PatientSocket(*KINDS[to["protocol"]], to["timeout"])
    if to["bind"]:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((to["bind"], 0))
    try:
        made.connect((to["address"], to["port"]))
    except BaseException:
        made.close()
        raise
    return made


def word(error):
    if isinstance(error, (ConnectionRefusedError, PermissionError)):
        return "refused"
    if isinstance(error, (ConnectionError, EOFError)):
        return "closed"
    return "silence" if isinstance(error, TimeoutError) else os.strerror(error.errno)


def exactly(stream, count):
    parts = []
    while count:
        data = stream.recv(min(count, 65536))
        if not data:
            raise EOFError
        parts.append(data)
        count -= len(data)
    return b"".join(parts)


def greeting(stream):
    said = b""
    while not said.endswith(b"\n"):
        said += exactly(stream, 1)
    return said.decode().strip()


def echoed(stream, size):
    data = os.urandom(size)
    sender = threading.Thread(target=stream.sendall, args=(data,), daemon=True)
    sender.start()
    same = exactly(stream, size) == data
    sender.join()
    return same


def said_once(stream, to, size):
    if to["protocol"] == "udp":
        data = os.urandom(size)
        stream.send(data)
        said, _, rest = stream.recv(65535).partition(b"\n")
        return said.decode() if rest == data else "corrupt"
    said = greeting(stream)
    return said if echoed(stream, size) else "corrupt"
"""
)

ASK: Final = (
    _COMMON
    + r"""
questions = json.loads(sys.argv[1])
results = [None] * len(questions)


def run(number, to):
    said, slowest = [], 0.0
    for _ in range(to["times"]):
        begin = time.monotonic()
        try:
            with opened(to) as stream:
                said.append(said_once(stream, to, to["size"]))
        except (OSError, EOFError) as error:
            said.append(word(error))
        slowest = max(slowest, time.monotonic() - begin)
    results[number] = {"said": said, "seconds": slowest}


threads = [threading.Thread(target=run, args=pair) for pair in enumerate(questions)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(results))
"""
)

HOLD: Final = (
    _COMMON
    + r"""
to = json.loads(sys.argv[1])
streams = [opened(to) for _ in range(to["times"])]
udp = to["protocol"] == "udp"
print(json.dumps([said_once(stream, to, 1) if udp else greeting(stream) for stream in streams]), flush=True)


def again(stream):
    try:
        if udp:
            return said_once(stream, to, 100)
        return "same" if echoed(stream, to["size"]) else "corrupt"
    except (OSError, EOFError) as error:
        return word(error)


for _ in sys.stdin:
    results = [None] * len(streams)
    def run(number):
        results[number] = again(streams[number])
    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(streams))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(results), flush=True)
"""
)

TRAFFIC: Final = (
    _COMMON
    + r"""
to, stop = json.loads(sys.argv[1]), threading.Event()
result = {"bytes": 0, "transfer": "", "connections": 0, "failed": []}


def transfer():
    try:
        with opened(to) as stream:
            greeting(stream)
            while not stop.is_set():
                if not echoed(stream, 100_000):
                    result["transfer"] = "corrupt"
                    return
                result["bytes"] += 100_000
        result["transfer"] = "same"
    except (OSError, EOFError) as error:
        result["transfer"] = word(error)


def connect():
    try:
        with opened(to) as stream:
            said_once(stream, to, 100)
        result["connections"] += 1
    except (OSError, EOFError) as error:
        result["failed"].append(word(error))


long = threading.Thread(target=transfer)
long.start()
begin, made, threads = time.monotonic(), 0, []
print("begun", flush=True)
while not stop.is_set():
    if select.select([sys.stdin], [], [], max(0.0, begin + made / to["times"] - time.monotonic()))[0]:
        stop.set()
        break
    made += 1
    threads.append(threading.Thread(target=connect))
    threads[-1].start()
for thread in [long, *threads]:
    thread.join()
result["seconds"] = time.monotonic() - begin
print(json.dumps(result))
"""
)
