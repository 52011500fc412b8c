"""Each button of the page does what it says, says what it did, and shows the page as it is now."""

from __future__ import annotations

import pytest

from tests.fake_stripe.page_story import Story, shop_api, tell
from tests.fake_stripe.page_visits import press, pressed, seen
from tests.fake_stripe.stripe_calls import Api


@pytest.fixture
def told() -> tuple[Api, Story]:
    api = shop_api()
    story = tell(api)
    api.world.faults.clear()
    return api, story


@pytest.mark.parametrize(("outcome", "status"), [("succeeded", "succeeded"), ("failed", "requires_payment_method")])
def test_a_challenge_is_answered_both_ways(told: tuple[Api, Story], outcome: str, status: str) -> None:
    api, story = told
    page = pressed(api, "resolve", on=f"/payments/{story.waiting}", intent=story.waiting, outcome=outcome)
    assert f"Authentication {outcome}: {story.waiting} is {status}." in page
    assert api.get(f"/v1/payment_intents/{story.waiting}", account=story.sellers[0])["status"] == status
    assert 'class="timeline"' in page


def test_a_challenge_is_answered_once(told: tuple[Api, Story]) -> None:
    api, story = told
    pressed(api, "resolve", intent=story.waiting, outcome="succeeded")
    assert "waits for no authentication" in pressed(api, "resolve", intent=story.waiting, outcome="failed")


def test_the_clock_is_frozen_advanced_and_let_go() -> None:
    api = shop_api()
    assert "The clock stands still." in pressed(api, "freeze", on="/controls")
    before = api.world.clock.now()
    assert "Moved on by 7 days; nothing was due." in pressed(api, "advance", advance="604800")
    assert api.world.clock.now() == before + 604_800
    assert "The clock runs on." in pressed(api, "resume")
    assert not api.world.clock.frozen


@pytest.mark.parametrize("seconds", ["-5", "soon", ""])
def test_a_wrong_number_of_seconds_is_refused_in_words(seconds: str) -> None:
    api = shop_api()
    api.world.clock.freeze(1_800_000_000)
    assert 'class="notice bad"' in pressed(api, "advance", advance=seconds)
    assert api.world.clock.now() == 1_800_000_000


def test_settle_lets_what_waits_happen(told: tuple[Api, Story]) -> None:
    api, _ = told
    assert api.world.scheduled
    assert "Settled:" in pressed(api, "settle")
    assert not api.world.scheduled


def test_a_fault_is_added_by_its_form_fires_and_is_removed() -> None:
    api = shop_api()
    page = pressed(
        api,
        "fault",
        on="/faults",
        act="status-503",
        method="POST",
        path="/v1/customers",
        times="1",
        commit="1",
        nth="2",
    )
    assert "Installed fault_1." in page
    assert "after the commit" in page
    assert [api.send("POST", "/v1/customers")[0] for _ in range(3)] == [200, 503, 200]
    assert "spent" in seen(api, "/faults")
    assert "Took fault_1 away." in pressed(api, "remove-fault", id="fault_1")
    assert not api.world.has_faults


def test_an_empty_how_often_means_always() -> None:
    api = shop_api()
    pressed(api, "fault", act="status-500", times="")
    assert [api.send("GET", "/v1/customers")[0] for _ in range(3)] == [500] * 3
    assert "Took all faults away." in pressed(api, "clear-faults")


@pytest.mark.parametrize(
    "form", [{"act": "explode"}, {"act": "latency", "latency": "long"}, {"act": "drop_before", "times": "x"}]
)
def test_a_fault_that_makes_no_sense_is_refused_in_words(form: dict[str, str]) -> None:
    api = shop_api()
    assert 'class="notice bad"' in pressed(api, "fault", **form)
    assert not api.world.has_faults


def test_a_snapshot_is_taken_and_restored(told: tuple[Api, Story]) -> None:
    api, _ = told
    pressed(api, "snapshot", label="before")
    count = api.world.platform_scope(livemode=False).count("customer")
    api.customer()
    page = pressed(api, "restore", on="/controls", label="before")
    assert "Back at “before”." in page
    assert api.world.platform_scope(livemode=False).count("customer") == count
    assert "no snapshot" in pressed(api, "restore", label="never")


def test_reset_begins_anew_and_shows_the_page_that_is_left(told: tuple[Api, Story]) -> None:
    api, story = told
    page = pressed(api, "reset", on=f"/payments/{story.payment}")
    assert "The world begins anew" in page
    assert len(api.world.journal) == 0


def test_an_event_is_delivered_again(told: tuple[Api, Story]) -> None:
    api, story = told
    scope = api.world.scope(story.sellers[0], livemode=False)
    event = next(iter(scope.list("event")))
    response = press(api, "resend", on="/events", event=event["id"])
    assert "goes to 1 endpoint." in response.body.decode()
    assert len(response.deliveries) == 1


def test_webhooks_are_kept_instead_of_sent(told: tuple[Api, Story]) -> None:
    api, story = told
    assert "kept here, and not sent" in pressed(api, "webhooks", on="/events", mode="collect")
    api.customer(account=story.sellers[0], name="Kept")
    page = seen(api, "/events")
    assert "Kept deliveries" in page
    assert "customer.created" in page[page.index("Kept deliveries") :]


def test_the_journal_is_forgotten() -> None:
    api = shop_api()
    api.customer()
    assert "No calls yet" in pressed(api, "clear-journal", on="/requests")


def test_a_form_without_its_fields_says_so() -> None:
    assert "The form has no 'intent'" in pressed(shop_api(), "resolve")


def test_there_is_no_other_button() -> None:
    assert press(shop_api(), "explode").status == 404
