"""One run of a probe or hook, whatever its handler."""

import asyncio

from agents.probes.command import exec_check
from agents.probes.dial import dial
from agents.probes.grpc import grpc_probe
from agents.probes.http import http_hook, http_probe
from agents.probes.spec import Exec, Grpc, Handler, HttpGet, Sleep, TcpSocket
from agents.probes.target import Result, Target, errored, failed, succeeded
from kubinet.cri import RuntimeClient
from kubinet.errors import KubinetError


async def check(runtime: RuntimeClient, target: Target, handler: Handler, timeout: float) -> Result:
    """Run a probe's handler within `timeout` seconds."""
    match handler:
        case Exec(command):
            return await exec_check(runtime, target, command, timeout)
        case HttpGet():
            return await http_probe(target, handler, timeout)
        case TcpSocket():
            return await _tcp(target, handler, timeout)
        case Grpc():
            return await grpc_probe(target, handler, timeout)
        case Sleep():
            return errored("sleep is for life-cycle hooks only")


async def run_hook(runtime: RuntimeClient, target: Target, handler: Handler, timeout: float) -> Result:
    """Run a life-cycle hook for at most `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            match handler:
                case Exec(command):
                    return await exec_check(runtime, target, command, timeout)
                case HttpGet():
                    return await http_hook(target, handler)
                case TcpSocket():
                    return succeeded()  # upstream accepts it for old manifests, and does nothing
                case Grpc():
                    return errored("grpc is for probes only")
                case Sleep(seconds):
                    await asyncio.sleep(seconds)
                    return succeeded()
    except TimeoutError:
        return failed(f"it did not end within {timeout:g} s")


async def _tcp(target: Target, handler: TcpSocket, timeout: float) -> Result:
    try:
        address = target.endpoint(handler.host, handler.port)
    except KubinetError as error:
        return errored(str(error))
    try:
        async with asyncio.timeout(timeout):
            (await dial(target.namespace, address)).close()
    except TimeoutError:
        return failed(f"dial tcp {address[0]}:{address[1]}: i/o timeout")
    except OSError as error:
        return failed(str(error.strerror))
    return succeeded()
