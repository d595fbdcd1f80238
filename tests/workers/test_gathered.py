import pytest

from gateway.workers.gathered import backends, merge_of, replicas, sample_of, samples, sums


def state(ready=True, problem="", **more):
    return {"ready": ready, "problem": problem, **more}


def backend(*versions, replicas=None):
    models = {"m": state(all(each["ready"] for each in versions), versions=dict(zip("12", versions, strict=False)))}
    return {"b": {"kind": "oip", "url": "http://h", "models": models if versions else {}, "replicas": replicas or {}}}


@pytest.mark.parametrize(
    ("path", "merge"),
    [
        ("/backends", backends),
        ("/backends/", backends),
        ("/backends/a/replicas/refresh", replicas),
        ("/backends/a/replicas/h:1/drain", replicas),
        ("/shadow", sums),
        ("/v2/models/stats", sums),
        ("/v2/models/a%2Fb/stats", sums),
        ("/v2/models/a/versions/1/stats", sums),
        ("/v2/models/a", None),
        ("/backends/a", None),
        ("/shadow/samples/3", None),
        ("/v2", None),
    ],
)
def test_what_workers_answer_differently_is_merged(path, merge):
    assert merge_of(path) is merge


def test_a_model_is_ready_where_it_is_for_all():
    good, bad = state(), state(False, "no connection")
    assert backends({0: backend(good), 1: backend(good)}) == backend(good)
    told = backends({0: backend(good, good), 1: backend(good, bad)})["b"]
    assert (told["kind"], told["url"]) == ("oip", "http://h")
    assert told["models"]["m"] == state(False, versions={"1": good, "2": state(False, "worker 1: no connection")})
    assert backends({0: backend(bad), 2: backend(bad)}) == backend(bad)


def test_a_model_that_one_worker_has_yet_to_learn_of_is_there():
    assert backends({0: backend(), 1: backend(state())}) == backend(state())


@pytest.mark.parametrize(
    ("states", "worst"), [(("up", "up"), "up"), (("up", "draining"), "draining"), (("draining", "down"), "down")]
)
def test_a_replica_has_the_requests_of_all_and_the_worst_state(states, worst):
    told = {worker: {"h:1": {"state": each, "in_flight": worker + 1}} for worker, each in enumerate(states)}
    assert replicas(told) == {"h:1": {"state": worst, "in_flight": 3}}
    whole = {worker: backend(replicas=each) for worker, each in told.items()}
    assert backends(whole)["b"]["replicas"] == replicas(told)


def test_statistics_are_added_up_by_model_and_batch_size():
    def told(name, count, last, *sizes):
        batches = [{"batch_size": size, "compute_infer": {"count": count, "ns": 10 * count}} for size in sizes]
        return {
            "name": name,
            "version": "1",
            "last_inference": last,
            "inference_count": count,
            "inference_stats": {"success": {"count": count, "ns": 5}},
            "batch_stats": batches,
        }

    one = {"model_stats": [told("b", 1, 50, 1, 16), told("a", 7, 60)]}
    two = {"model_stats": [told("a", 1, 80), told("b", 2, 40, 2, 16), told("c", 1, 1)]}
    b, a, c = sums({0: one, 1: two})["model_stats"]
    assert [each["name"] for each in (b, a, c)] == ["b", "a", "c"]
    assert (a["version"], a["last_inference"], a["inference_count"]) == ("1", 80, 8)
    assert a["inference_stats"]["success"] == {"count": 8, "ns": 10}
    found = {each["batch_size"]: each["compute_infer"] for each in b["batch_stats"]}
    assert list(found) == [1, 2, 16]
    assert found[16] == {"count": 3, "ns": 30}
    assert c == told("c", 1, 1)


def test_what_shadows_found_is_added_up_but_for_the_largest():
    def told(ok, max_abs, **more):
        top1 = {"rows": ok, "agreeing": ok - 1}
        return {"m/1": {"name": {"requests": {"ok": ok, **more}, "dropped": {}, "max_abs": max_abs, "top1": top1}}}

    both = sums({0: told(3, 0.5), 1: told(4, "inf", differs=2)})
    assert both == {
        "m/1": {
            "name": {
                "requests": {"ok": 7, "differs": 2},
                "dropped": {},
                "max_abs": "inf",
                "top1": {"rows": 7, "agreeing": 5},
            }
        }
    }
    assert sums({0: told(3, 0.5), 1: told(4, 0.25)})["m/1"]["name"]["max_abs"] == 0.5
    assert sums({0: {}, 1: told(3, 0.5)}) == told(3, 0.5)


def test_samples_of_all_workers_have_numbers_of_their_own():
    told = {0: [{"number": 1, "at": 5.0}, {"number": 2, "at": 9.0}], 2: [{"number": 1, "at": 7.0}]}
    listed = samples(told, of=3)
    assert [(each["at"], each["worker"]) for each in listed] == [(5, 0), (7, 2), (9, 0)]
    assert len({each["number"] for each in listed}) == 3
    assert [sample_of(each["number"], 3) for each in listed] == [(0, 1), (2, 1), (0, 2)]
