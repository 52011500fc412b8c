"""Worlds: isolation, ids, clock, jobs, snapshots, forks, and the stores inside them."""

import re

import pytest
from fake_stripe.app import FakeStripe
from fake_stripe.errors import ApiError
from fake_stripe.ids import Ids
from fake_stripe.world import World

from tests.fake_stripe.stripe_calls import SELLER, Api


@pytest.fixture
def api() -> Api:
    return Api()


def make(world: World, count: int = 1, **members: object) -> list[str]:
    scope = world.platform_scope(livemode=False)
    made = []
    for _ in range(count):
        made.append(scope.new_id("cus"))
        scope.insert({"id": made[-1], "object": "customer", "created": world.now, **members})
    return made


# ---- isolation


def test_every_key_opens_a_world_of_its_own(api: Api) -> None:
    made = api.customer()
    assert api.send("GET", f"/v1/customers/{made}", key="sk_test_other")[0] == 404


def test_a_world_has_the_same_platform_account_every_time() -> None:
    assert FakeStripe().world("sk_test_a").platform == FakeStripe().world("sk_test_a").platform
    assert FakeStripe().world("sk_test_a").platform != FakeStripe().world("sk_test_b").platform


def test_resetting_a_world_empties_it_alone(api: Api) -> None:
    made = api.customer()
    api.send("POST", "/v1/customers", key="sk_test_other")
    api.fake.worlds.reset(api.world.name)
    assert api.send("GET", f"/v1/customers/{made}")[0] == 404
    assert len(api.send("GET", "/v1/customers", key="sk_test_other")[1]["data"]) == 1


def test_too_many_worlds_are_refused_with_what_to_do() -> None:
    fake = FakeStripe(max_worlds=2)
    fake.world("sk_test_1")
    fake.world("sk_test_2")
    with pytest.raises(ApiError, match=r"holds 2 worlds.*--max-worlds"):
        fake.world("sk_test_3")
    fake.worlds.close("1")
    fake.world("sk_test_3")


# ---- ids


LENGTHS = {
    "acct": 21, "cus": 18, "pm": 27, "ch": 27, "pi": 27, "re": 27, "py": 27, "ba": 27, "dp": 27, "tr": 27, "po": 27,
    "fr": 27, "tok": 28, "src": 28, "txn": 28, "fee": 28, "trr": 28, "pyr": 28, "card": 29, "seti": 29, "file": 29,
    "person": 31, "setatt": 31, "req": 18,
}  # fmt: skip


@pytest.mark.parametrize(("prefix", "length"), LENGTHS.items())
def test_facts_7_6_ids_have_stripes_prefixes_and_lengths(prefix: str, length: int) -> None:
    made = FakeStripe().world().platform_scope(livemode=False).new_id(prefix)
    assert re.fullmatch(rf"{prefix}_[A-Za-z0-9]+", made)
    assert len(made) == length


def test_ids_carry_the_infix_of_their_account_and_customers_do_not() -> None:
    world = FakeStripe().world()
    scope = world.scope("acct_1U09He3hqqVUd30l", False)
    assert scope.new_id("pm")[9:19] == "3hqqVUd30l"
    assert "3hqqVUd30l" not in scope.new_id("cus")


def test_ids_of_one_payment_share_their_middle() -> None:
    scope = FakeStripe().world().platform_scope(livemode=False)
    intent = scope.new_id("pi")
    charge = scope.new_id("ch", like=intent)
    assert charge[3:20] == intent[3:20]
    assert charge[20:] != intent[20:]


def test_ids_never_come_twice() -> None:
    ids = Ids("seed", "world")
    assert len({ids.new("pm", "acct_1234567890123456", 0) for _ in range(20_000)}) == 20_000


def test_the_same_seed_makes_the_same_ids_whatever_the_time() -> None:
    def run(at: int) -> list[str]:
        world = World("x", seed="s")
        world.clock.freeze(at)
        return [world.platform_scope(livemode=False).new_id(prefix) for prefix in ("pm", "pi", "cus", "acct")]

    assert run(1_700_000_000) == run(1_800_000_000)
    assert run(1) != [
        World("x", seed="t").platform_scope(livemode=False).new_id(p) for p in ("pm", "pi", "cus", "acct")
    ]


# ---- stores


def test_lists_are_newest_first_and_filtered_by_any_member() -> None:
    world = World("x")
    first, second, third = *make(world, 2, email="a@b.co"), *make(world, 1, email="c@d.co")
    scope = world.platform_scope(livemode=False)
    assert [found["id"] for found in scope.list("customer")] == [third, second, first]
    assert [found["id"] for found in scope.list("customer", email="a@b.co")] == [second, first]
    assert [found["id"] for found in scope.list("customer", email=None)] == [third, second, first]
    assert list(scope.list("nothing")) == []


def test_an_index_follows_updates_and_keeps_the_order() -> None:
    world = World("x")
    old, new = make(world, 2, email="a@b.co")
    scope = world.platform_scope(livemode=False)
    assert len(list(scope.list("customer", email="a@b.co"))) == 2
    stored = scope.require("customer", old)
    scope.update(stored, email="z@b.co")
    assert [found["id"] for found in scope.list("customer", email="a@b.co")] == [new]
    scope.update(stored, email="a@b.co")
    assert [found["id"] for found in scope.list("customer", email="a@b.co")] == [new, old]
    scope.delete(stored)
    assert [found["id"] for found in scope.list("customer", email="a@b.co")] == [new]


def test_update_answers_the_former_values_of_what_really_changed() -> None:
    world = World("x")
    (made,) = make(world, 1, email="a@b.co", name="A")
    scope = world.platform_scope(livemode=False)
    stored = scope.require("customer", made)
    assert scope.update(stored, email="c@d.co", name="A", phone="1") == {"email": "a@b.co", "phone": None}
    assert list(stored) == ["id", "object", "created", "email", "name", "phone"]


def test_what_a_call_wrote_can_be_taken_back_whole() -> None:
    world = World("x")
    kept, doomed = make(world, 2, email="a@b.co")
    scope = world.platform_scope(livemode=False)
    before = [dict(found) for found in scope.list("customer")]
    world.changes = []
    scope.update(scope.require("customer", kept), email="new")
    scope.delete(scope.require("customer", doomed))
    make(world)
    scope.emit("customer.updated", scope.require("customer", kept))
    world.take_back()
    assert list(scope.list("customer")) == before
    assert [found["id"] for found in scope.list("customer", email="a@b.co")] == [doomed, kept]
    assert scope.tombstone("customer", doomed) is None
    assert list(scope.list("event")) == []
    assert world.outbox == []


# ---- time


def note(world: World, text: str) -> None:
    make(world, 1, email=text)


def test_a_frozen_clock_stands_and_moves_only_when_told() -> None:
    world = World("x")
    world.clock.freeze(1000)
    assert (world.now, world.clock.frozen) == (1000, True)
    world.advance(60)
    assert world.now == 1060
    with pytest.raises(ValueError, match="never set back"):
        world.clock.advance(-1)


def test_jobs_run_at_their_time_in_their_order_and_each_sees_its_own_time() -> None:
    world = World("x")
    world.clock.freeze(1000)
    world.schedule(1300, note, "later")
    world.schedule(1100, note, "sooner")
    assert world.advance(50) == 0
    assert world.advance(500) == 2
    made = list(world.platform_scope(livemode=False).list("customer"))
    assert [(found["email"], found["created"]) for found in made] == [("later", 1300), ("sooner", 1100)]
    assert world.now == 1550


def test_settle_runs_whatever_waits_without_moving_the_clock() -> None:
    world = World("x")
    world.clock.freeze(1000)
    world.schedule(9999, note, "a")
    assert (world.settle(), world.now, world.scheduled) == (1, 1000, 0)


def test_a_job_that_a_snapshot_could_not_carry_is_refused() -> None:
    world = World("x")
    with pytest.raises(TypeError, match="module-level function"):
        world.schedule(1, lambda found: world.connect(found.name))


# ---- snapshots


def test_a_snapshot_is_restored_whole_and_again(api: Api) -> None:
    owner, card = api.saved_card()
    api.send("POST", "/v1/customers", {}, idempotency_key="k")
    api.fake.worlds.snapshot(api.world.name, "before")
    for _ in range(2):
        api.delete(f"/v1/customers/{owner}")
        api.world.disconnect(SELLER)
        assert api.send("GET", f"/v1/customers/{owner}")[1].get("deleted") is True
        api.fake.worlds.restore(api.world.name, "before")
        assert api.get(f"/v1/payment_methods/{card}")["customer"] == owner
        assert api.send("GET", "/v1/customers", account=SELLER)[0] == 200
        _, _, response = api.send("POST", "/v1/customers", {}, idempotency_key="k")
        assert dict(response.headers)["Idempotent-Replayed"] == "true"


def test_a_restored_world_makes_the_same_ids_again(api: Api) -> None:
    api.fake.worlds.snapshot(api.world.name, "s")
    first = api.customer()
    api.fake.worlds.restore(api.world.name, "s")
    assert api.customer() == first


def test_a_restored_world_still_knows_what_is_to_happen(api: Api) -> None:
    api.world.clock.freeze(1000)
    api.world.schedule(1100, note, "from the snapshot")
    api.fake.worlds.snapshot(api.world.name, "s")
    api.world.settle()
    api.fake.worlds.restore(api.world.name, "s")
    assert api.world.advance(200) == 1
    assert [c["email"] for c in api.world.platform_scope(livemode=False).list("customer")] == ["from the snapshot"]


def test_a_snapshot_and_a_fork_carry_the_clock_and_the_keys_but_no_faults(api: Api) -> None:
    api.world.clock.freeze(1_800_000_000)
    api.send("POST", "/v1/customers", {}, idempotency_key="k")
    api.world.faults.add({"act": "drop_before", "times": None})
    api.fake.worlds.snapshot(api.world.name, "s")
    api.fake.worlds.fork(api.world.name, "fork")
    api.world.clock.advance(24 * 3600)
    for key, again in (("sk_test_fork", lambda: None), (api.key, lambda: api.fake.worlds.restore("calls", "s"))):
        again()
        status, body, response = api.send("POST", "/v1/customers", {}, key=key, idempotency_key="k")
        assert (status, dict(response.headers).get("Idempotent-Replayed")) == (200, "true")
        assert body["created"] == 1_800_000_000
        assert api.send("POST", "/v1/customers", {}, key=key)[1]["created"] == 1_800_000_000


def test_the_snapshots_of_a_world_go_with_it_but_not_with_a_reset(api: Api) -> None:
    made = api.customer()
    for label in ("one", "two"):
        api.fake.worlds.snapshot("calls", label)
    api.fake.worlds.snapshot("other", "kept")
    api.fake.worlds.reset("calls")
    assert api.send("GET", f"/v1/customers/{made}")[0] == 404
    api.fake.worlds.restore("calls", "one")
    assert api.send("GET", f"/v1/customers/{made}")[0] == 200
    api.fake.worlds.close("calls")
    assert api.fake.worlds.snapshots("calls") == []
    assert api.fake.worlds.snapshots("other") == ["kept"]


def test_a_fork_has_the_same_objects_and_goes_its_own_way(api: Api) -> None:
    made = api.customer(email="a@b.co")
    api.fake.worlds.fork(api.world.name, "fork")
    status, body, _ = api.send("POST", f"/v1/customers/{made}", {"email": "c@d.co"}, key="sk_test_fork")
    assert (status, body["email"]) == (200, "c@d.co")
    assert api.get(f"/v1/customers/{made}")["email"] == "a@b.co"


# ---- policies


def test_policies_are_per_account_and_name_their_mistakes(api: Api) -> None:
    api.world.set_policy({"fingerprints": "different"}, SELLER)
    assert api.world.policy(SELLER).fingerprints == "different"
    assert api.world.policy(api.world.platform).fingerprints == "same"
    with pytest.raises(ValueError, match="no such policy: 'colour'"):
        api.world.set_policy({"colour": "red"})
    with pytest.raises(ValueError, match="rate_limits must be one of off, test, live"):
        api.world.set_policy({"rate_limits": "sometimes"})
