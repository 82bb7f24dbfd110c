"""The commands by which operators add what is offered, and see what needs a person."""

import json

import pytest
import responses
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from bookings.attention import close_attention, raise_attention
from bookings.facts import AttentionKind
from bookings.models import Attention, Builder, SessionType

pytestmark = pytest.mark.django_db

OFFER = {
    "--name": "Consultation",
    "--duration-minutes": "60",
    "--price": "120",
    "--currency": "USD",
    "--event-type": "https://api.calendly.com/event_types/ET1",
    "--scheduling-url": "https://calendly.com/bo/consultation",
}


def add_session_type(**changed):
    builder = Builder.objects.first() or Builder.objects.create(name="Bo", email="bo@example.com")
    options = OFFER | {"--builder": builder.id} | {f"--{name.replace('_', '-')}": v for name, v in changed.items()}
    call_command("add_session_type", *[part for pair in options.items() for part in pair])


def test_add_builder_prints_the_id_and_nothing_else(capsys):
    call_command("add_builder", "--name", "Bo Builder", "--email", "bo@example.com")
    assert capsys.readouterr().out == f"{Builder.objects.get().id}\n"


def test_add_builder_refuses_what_is_no_address():
    with pytest.raises(CommandError, match="valid email"):
        call_command("add_builder", "--name", "Bo", "--email", "nonsense")
    assert not Builder.objects.exists()


def test_add_session_type_prints_the_id_and_keeps_minor_units(capsys):
    add_session_type(price="90.50", hold_minutes="0.5", policy="48:100,24:25")
    made = SessionType.objects.get()
    assert capsys.readouterr().out == f"{made.id}\n"
    assert (made.price_minor, made.hold_seconds, made.event_type_id) == (9050, 30, "ET1")
    assert made.policy.tiers == [{"hours": 48, "percent": 100}, {"hours": 24, "percent": 25}]


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"builder": "bp_nobody"}, "no builder"),
        ({"price": "0.30"}, "at least 50 minor units"),
        ({"price": "1.005"}, "not an amount of USD"),
        ({"price": "free"}, "Not accepted"),
        ({"price": "NaN"}, "Not accepted"),
        ({"currency": "usd"}, "Not accepted"),
        ({"event_type": "nonsense here"}, "Not accepted"),
        ({"scheduling_url": "not a url"}, "valid URL"),
        ({"policy": "24:50,12:100"}, "More notice must not give back less"),
        ({"policy": "24"}, "not a policy"),
        ({"hold_minutes": "0"}, "more than nothing"),
        ({"active_since": "2026-11-23"}, "needs an offset"),
    ],
)
def test_add_session_type_refuses_what_cannot_be_sold(changed, complaint):
    with pytest.raises(CommandError, match=complaint):
        add_session_type(**changed)
    assert not SessionType.objects.exists()


def test_one_event_type_is_one_session_type():
    add_session_type()
    with pytest.raises(CommandError, match="already exists"):
        add_session_type()


def event_type(name: str, base: str) -> dict[str, object]:
    uri = f"{base}/event_types/{name[:2]}"
    about = {"slug": "x", "duration": 30, "kind": "solo", "is_paid": False, "active": True}
    return {"uri": uri, "name": name, "scheduling_url": f"{base}/bo/{name[:2]}", **about}


@responses.activate
def test_load_demo_twice_makes_one_of_each(settings):
    settings.DEBUG = True
    base = settings.CALENDLY_API_BASE
    offered = [event_type("Code review", base), event_type("Something else", base)]
    responses.get(f"{base}/event_types", json={"collection": offered, "pagination": {}})
    call_command("load_demo")
    call_command("load_demo")
    assert [one.name for one in SessionType.objects.all()] == ["Code review"]
    assert User.objects.get(username="client@example.com").client.name == "Casey Client"
    assert User.objects.get(username="staff@example.com").is_superuser


def test_load_demo_is_refused_with_debug_off(settings):
    settings.DEBUG = False
    with pytest.raises(CommandError, match="passwords are public"):
        call_command("load_demo")
    assert not User.objects.exists()


def test_attention_lists_what_is_open_and_exits_with_2(capsys):
    raise_attention(AttentionKind.FRAUD_WARNING, "ch_1", text="Look at it")
    raise_attention(AttentionKind.FRAUD_WARNING, "ch_1", text="Look at it again")
    with pytest.raises(SystemExit) as ended:
        call_command("attention", "--json")
    assert ended.value.code == 2
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["kind"], one["object"], one["text"]) for one in told] == [("FRAUD_WARNING", "ch_1", "Look at it")]
    close_attention(AttentionKind.FRAUD_WARNING, "ch_1")
    call_command("attention")
    assert capsys.readouterr().out == ""
    assert Attention.objects.count() == 1
