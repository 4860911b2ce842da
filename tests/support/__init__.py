"""What tests stand on: a Gong we do not ship, data as odd as Gong's may get, and the rows they make."""

from tests.support.gong_faults import Faults
from tests.support.gong_service import GongService
from tests.support.odd_world import OddWorld, odd_world
from tests.support.ports import babbling_port, closed_port, silent_port

__all__ = ["Faults", "GongService", "OddWorld", "babbling_port", "closed_port", "odd_world", "silent_port"]
