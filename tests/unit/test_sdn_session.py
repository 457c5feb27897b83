"""A bridge's session against a switch that is a few lines of Python."""

import queue
import struct

from controller.generations import Generations
from controller.openflow.actions import Goto, Output, ToController
from controller.openflow.decode import BundleAnswer, FlowCookies, GroupIds, Refusal
from controller.openflow.encode import BundleControl, MessageType, Multipart
from controller.openflow.fields import IP, Match
from controller.openflow.flow import Category, Flow, Owner
from controller.program import Layer, Part, Program
from controller.sdn_session import Session
from kubinet.addressing import INTEGRATION_BRIDGE, datapath_id

DEADLINE = 20.0


class Agreeable:
    """A switch without flows or groups that commits every bundle."""

    id = datapath_id(1, INTEGRATION_BRIDGE)

    def __init__(self, *, meters: bool = True) -> None:
        self.session: Session | None = None
        self._meters = meters

    def send(self, data: bytes) -> bool:
        assert self.session is not None
        while data:
            _, kind, length, xid = struct.unpack_from("!BBHI", data)
            if kind == MessageType.MULTIPART_REQUEST:
                (part,) = struct.unpack_from("!H", data, 8)
                empty = FlowCookies(xid, (), False) if part == Multipart.FLOW_DESC else GroupIds(xid, (), False)
                self.session.received(empty)
            if kind == MessageType.BUNDLE_CONTROL:
                bundle, word = struct.unpack_from("!IH", data, 8)
                if word == BundleControl.COMMIT_REQUEST:
                    self.session.received(BundleAnswer(xid, bundle, BundleControl.COMMIT_REPLY))
            if kind == MessageType.METER_MOD and not self._meters:
                self.session.received(Refusal(xid, 12, 11))  # OFPET_METER_MOD_FAILED, OFPMMFC_OUT_OF_METERS
            data = data[length:]
        return True


def program(*actions: Output | Goto | ToController) -> Program:
    flow = Flow(0, 1, Match.of(IP), actions, Owner("Node", "n1"), Category.BASE)
    return Program((Layer({"base": Part((flow,))}),))


def test_a_program_that_cannot_be_encoded_does_not_end_the_writer() -> None:
    """Generation and errors, as they are told: it is an error of the bridge, and the next program is realised."""
    switch, news = Agreeable(), queue.Queue[tuple[int, int]]()
    session = Session(switch, lambda: news.put((session.realised[0], session.errors)))
    switch.session = session
    session.start()
    try:
        session.want(program(Output(1)), Generations(1))
        assert news.get(timeout=DEADLINE) == (1, 0)
        session.want(program(Goto(3), Output(1)), Generations(2))
        assert news.get(timeout=DEADLINE) == (1, 1)
        assert session.last_error.startswith("ValueError: goto is an instruction")
        session.want(program(Output(2)), Generations(3))
        assert news.get(timeout=DEADLINE) == (3, 1)
        assert session.flows == 1
    finally:
        session.end()


def test_a_switch_without_meters_gets_no_flows_that_need_one() -> None:
    """It is no error while there are none; then the bridge says that denied packets are not logged."""
    switch, news = Agreeable(meters=False), queue.Queue[tuple[int, int]]()
    session = Session(switch, lambda: news.put((session.realised[0], session.errors)))
    switch.session = session
    session.start()
    try:
        session.want(program(Output(1)), Generations(1))
        assert news.get(timeout=DEADLINE) == (1, 0)
        assert (session.flows, session.last_error) == (1, "")
        session.want(program(ToController(b"\x05", 128, 2)), Generations(2))
        assert news.get(timeout=DEADLINE) == (2, 0)
        assert session.flows == 0
        assert session.last_error == "the datapath has no meters: denied packets are counted, but cannot be logged"
    finally:
        session.end()
