import socket

import pytest

from longrun.dev.ports import Wanted, choose_ports
from longrun.dev.temporal.config import SetupError

HERE = "127.0.0.1"


def test_a_port_of_zero_takes_any_and_two_differ() -> None:
    one, two = choose_ports([Wanted(HERE, 0, "a", "--a"), Wanted(HERE, 0, "b", "--b")])
    assert one != two
    assert choose_ports([Wanted(HERE, one, "a", "--a")]) == [one]


def test_a_port_that_is_taken_is_named_with_its_option() -> None:
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(SetupError, match=f"port {port} is taken, the gateway needs it: .* set --port"):
            choose_ports([Wanted(HERE, port, "the gateway", "--port")])


def test_one_port_for_two_child_processes_is_refused() -> None:
    (port,) = choose_ports([Wanted(HERE, 0, "a", "--a")])
    with pytest.raises(SetupError, match="b needs it"):
        choose_ports([Wanted(HERE, port, "a", "--a"), Wanted(HERE, port, "b", "--b")])


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(SetupError, match=r"the gateway cannot listen on 192\.0\.2\.1"):
        choose_ports([Wanted("192.0.2.1", 8283, "the gateway", "--port")])
