"""One connection to one or many units: pymodbus' transport moves the bytes, ``frames`` knows what they mean.

pymodbus' own transaction layer stays unused: it keeps one time-out for all units of a connection, takes answers
whose function or length is another than the request's, and turns registers into one Python object each. What is
used of it is pymodbus.transport: TCP, TLS and serial ports, on Linux and Windows alike, and CRC and LRC.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from functools import partial

from pymodbus.transport import CommParams, CommType, ModbusProtocol

from drivers.modbus.frames import Ascii, Ask, Broken, Failure, Framing, Mbap, Rtu, Unfit
from drivers.system_trouble import of_port, of_system
from drivers.tags import AnyModbusDevice, ModbusSerialDevice, ModbusTlsDevice
from records.clock import new_id
from records.trouble import Trouble

_LONGEST_BUFFER = 4096
_PARITY = {"none": "N", "even": "E", "odd": "O"}

logging.getLogger("pymodbus").addHandler(logging.NullHandler())  # an application that logs gets them all the same


class NoAnswer(Failure):
    """Nothing that answers the request came in time; says what came instead."""


class Lost(Failure):
    """The connection is gone, or must be given up; says why."""


class Wire(ModbusProtocol):
    """Opened once; carries one request at a time."""

    def __init__(self, settings: AnyModbusDevice) -> None:
        super().__init__(_parameters(settings), is_server=False)
        self.heard_at = 0.0
        """When the last byte came, by the loop's clock."""
        self._framing: Framing = _framing(settings)
        self._serial = isinstance(settings, ModbusSerialDevice)
        self._echo = isinstance(settings, ModbusSerialDevice) and settings.local_echo
        self._number = int(new_id(2), 16)  # an answer to the last connection's numbers shall not fit
        self._buffer = bytearray()
        self._sent = b""
        self._ask: Ask | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._lost: Trouble | None = None
        if isinstance(settings, ModbusTlsDevice):
            self.call_create = partial(
                self.loop.create_connection,
                self.handle_new_connection,
                settings.host,
                settings.port,
                ssl=_context(settings),
                server_hostname=settings.tls.server_name or settings.host,
            )

    @property
    def lost(self) -> Trouble | None:
        """Why the connection is gone, None while it is not."""
        return self._lost

    @property
    def is_open(self) -> bool:
        return self._lost is None and self.is_active()

    async def open(self, timeout: float) -> None:
        """Raises Lost: nothing there, or it is not who it should be."""
        self.is_closing = False
        try:
            async with asyncio.timeout(timeout):
                self.transport, _ = await self.call_create()
        except Exception as error:  # termios has errors of its own
            self.end(Trouble.of("connection-closed"))
            raise Lost(error.trouble if isinstance(error, Lost) else self._reason(error)) from None
        except BaseException:
            self.end(Trouble.of("connection-closed"))
            raise

    def end(self, why: Trouble) -> None:
        """Close the connection; a request that waits raises Lost."""
        if self._lost is None:
            self._lost = why
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Lost(why))
            self._answer.exception()  # seen, should nobody wait for it
        self.close()

    async def ask(self, ask: Ask, timeout: float) -> bytes:
        """The PDU of the answer.

        Raises:
            NoAnswer: none in time. Lost: the connection is gone.
        """
        if not self.is_open:
            raise Lost(self._lost or Trouble.of("not-connected"))
        self._number = self._number % 0xFFFF + 1
        self._buffer.clear()
        self._ask, self._answer = ask, self.loop.create_future()
        frame = self._framing.frame(ask, self._number)
        self._sent = frame if self._echo else b""
        began = self.loop.time()
        try:
            self.send(frame)
            async with asyncio.timeout(timeout):
                return await self._answer
        except TimeoutError:
            heard = self.heard_at >= began
            raise NoAnswer(Trouble.of("no-sense" if heard else "no-answer", limit=f"{timeout:g}")) from None
        finally:
            self._ask = self._answer = None

    async def quiet(self, span: float) -> None:
        """Wait until nothing has come for so long; what comes is thrown away. Never longer than ten times that."""
        now = self.loop.time()
        since, end = now, now + 10 * span
        while (rest := min(max(since, self.heard_at) + span, end) - self.loop.time()) > 0:
            await asyncio.sleep(rest)
        self._buffer.clear()

    # -- called by pymodbus ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()
        ask, answer = self._ask, self._answer
        if ask is None or answer is None or answer.done():
            return  # nobody asked: late
        buffer = self._buffer
        buffer += data
        if self._sent:
            if len(buffer) < len(self._sent) and self._sent.startswith(buffer):
                return
            if buffer.startswith(self._sent):
                del buffer[: len(self._sent)]
            self._sent = b""
        try:
            found = self._framing.take(buffer, ask, self._number)
        except Broken as error:
            self.end(error.trouble)
            return
        except Unfit as error:
            answer.set_exception(NoAnswer(error.trouble))
            return
        if found is not None:
            answer.set_result(found)
        elif len(buffer) > _LONGEST_BUFFER:
            buffer.clear()

    def callback_new_connection(self) -> ModbusProtocol:
        raise NotImplementedError("this is no server")

    def callback_connected(self) -> None:
        pass

    def callback_disconnected(self, exc: Exception | None) -> None:
        lost = Trouble.of("connection-lost")
        self.end(lost if exc is None else Trouble.of("connection-lost-by", why=self._reason(exc)))

    def _reason(self, error: BaseException) -> Trouble:
        return of_port(error) if self._serial else _network(error)

    def callback_data(self, data: bytes, addr: tuple[str, int] | None = None) -> int:
        return len(data)


def _framing(settings: AnyModbusDevice) -> Framing:
    if settings.has_transaction_ids:
        return Mbap()
    return Ascii() if settings.driver == "modbus_ascii" else Rtu()


def _parameters(settings: AnyModbusDevice) -> CommParams:
    if isinstance(settings, ModbusSerialDevice):
        return CommParams(
            comm_name=settings.bus,
            comm_type=CommType.SERIAL,
            host=settings.port,
            baudrate=settings.baudrate,
            bytesize=settings.bytesize,
            parity=_PARITY[settings.parity],
            stopbits=settings.stopbits,
        )
    return CommParams(comm_name=settings.bus, comm_type=CommType.TCP, host=settings.host, port=settings.port)


def _context(settings: ModbusTlsDevice) -> ssl.SSLContext:
    """TLS 1.2 and later; the machine's certificate is always verified, its name too."""
    tls = settings.tls
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.certificate is not None and tls.private_key is not None:
            context.load_cert_chain(tls.certificate, tls.private_key)
    except (OSError, ValueError) as error:
        raise Lost(Trouble.of("tls-files", why=_network(error))) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _network(error: BaseException) -> Trouble:
    if isinstance(error, TimeoutError):
        return Trouble.of("no-connection-in-time")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Trouble.of("tls-not-accepted", said=error.verify_message)
    return of_system(error)
