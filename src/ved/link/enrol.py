"""Enrolment: the car trades a one-time code for its own key."""

import asyncio
import ssl
import time
from pathlib import Path
from typing import Final, TypeVar

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from ved.codec.link import Authority, Enrol, Enrolled, Refused, decode_message, encode_message
from ved.errors import CorruptDataError, LinkLostError, LinkRefusedError
from ved.link.credentials import (
    Credentials,
    check_state,
    fingerprint,
    load_credentials,
    make_code,
    parse_code,
    parse_server_url,
    save_credentials,
)
from ved.link.dial import ENROL_PATH, Dialer
from ved.link.trust import client_context, unverified_context

__all__ = ["enrol", "load_credentials", "make_code", "parse_code"]

ANSWER_TIMEOUT_S: Final = 10.0

T = TypeVar("T", Authority, Enrolled)


async def enrol(server_url: str, code: str, state_dir: Path) -> Credentials:
    """Trade `code` for a key and keep it in `state_dir`.

    The secret is sent only after the server has proved, over a verified connection, that it owns the authority whose
    fingerprint stands in the code. UserError for a bad code or URL, LinkLostError when the server cannot be reached,
    LinkRefusedError when it is another server or the code is used up, StorageError when the key could not be kept.
    """
    parsed = parse_code(code)
    await asyncio.to_thread(check_state, state_dir)  # a code works once: not for a key that cannot be kept
    dialer = Dialer([parse_server_url(server_url)])
    ca_der = await _fetch_authority(dialer)
    if fingerprint(ca_der) != parsed.fingerprint:
        raise LinkRefusedError(f"{server_url} is not the server that printed this code; nothing was sent to it")
    ca_pem = ssl.DER_cert_to_PEM_cert(ca_der)
    connection = await dialer.open(ENROL_PATH, client_context(ca_pem, time.time()), {})
    try:
        await _receive(connection, Authority)
        await connection.send(encode_message(Enrol(parsed.secret)))
        enrolled = await _receive(connection, Enrolled)
    except ConnectionClosed as error:
        raise LinkLostError(f"{server_url} closed the connection during enrolment") from error
    finally:
        await connection.close()
    credentials = Credentials((server_url,), enrolled.vehicle, enrolled.key, ca_pem)
    await asyncio.to_thread(save_credentials, state_dir, credentials)
    return credentials


async def _fetch_authority(dialer: Dialer) -> bytes:
    connection = await dialer.open(ENROL_PATH, unverified_context(), {})
    try:
        return (await _receive(connection, Authority)).ca_der
    except ConnectionClosed as error:
        raise LinkLostError("the server closed the connection before it named its authority") from error
    finally:
        await connection.close()


async def _receive(connection: ClientConnection, wanted: type[T]) -> T:
    """The next message, which must be a `wanted`."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            data = await connection.recv()
    except TimeoutError as error:
        raise LinkLostError("the server does not answer the enrolment") from error
    try:
        message = decode_message(data if isinstance(data, bytes) else b"")
    except CorruptDataError as error:
        raise LinkLostError(f"the server's answer is not understood: {error}") from error
    if isinstance(message, Refused):
        raise LinkRefusedError(message.text)
    if not isinstance(message, wanted):
        raise LinkLostError(f"the server answers {type(message).__name__} to the enrolment")
    return message
