from gateway.config.settings import GatewayConfig, Listener
from gateway.workers.assignment import assignment

SHARED = {"http": Listener(port=1234), "grpc": Listener(port=1235)}
HERE = Listener(host="127.0.0.1", port=0)


def config(**changes):
    return GatewayConfig.model_validate({"backends": {}, "workers": 2, **changes})


def test_ports_of_the_clients_are_shared_and_the_others_are_its_own_on_loopback():
    wild = {"host": "0.0.0.0", "port": 8002}
    told = assignment(config(metrics=wild, admin=wild | {"port": 8003}), 1, SHARED)
    assert (told.http, told.grpc) == (SHARED["http"], SHARED["grpc"])
    assert (told.metrics, told.admin) == (HERE, HERE)
    assert told.workers == 2


def test_without_an_admin_port_no_worker_has_one():
    assert assignment(config(admin=None), 0, SHARED).admin is None


def test_one_worker_watches_parity_for_all():
    told = [assignment(config(), index, SHARED).parity for index in range(3)]
    assert told == [config().parity, None, None]


def test_it_survives_the_way_to_the_worker():
    told = assignment(config(), 0, SHARED)
    assert GatewayConfig.model_validate_json(told.model_dump_json()) == told
