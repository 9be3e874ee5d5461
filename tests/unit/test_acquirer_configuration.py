"""acquirers.toml is right before anything starts, or says in one line what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from payments.acquirers.configuration import Configuration, ConfigurationError, configured, parse, read
from payments.acquirers.routing import Facts, Routes
from payments.domain.errors import NoAcquirer
from payments.domain.settlement import Availability
from rehearsal.authority import Authority

BANK = {"name": '"acme-bank"', "kind": '"http"', "mode": '"live"', "url": '"https://acme.example/tap"', "key_id": '"tap"'}
SECRET = {"secret_variable": '"ACME_SECRET"'}
VALUE = "0123456789abcdef0123456789abcdef"


def toml(**changes: str | None) -> str:
    fields = {name: value for name, value in {**BANK, **SECRET, **changes}.items() if value is not None}
    return "[[acquirer]]\n" + "".join(f"{name} = {value}\n" for name, value in fields.items())


TWO = toml() + toml(name='"other"')


def route(**changes: str | None) -> str:
    fields = {name: value for name, value in {"name": '"r"', "acquirers": '["acme-bank"]', **changes}.items() if value is not None}
    return "[[route]]\n" + "".join(f"{name} = {value}\n" for name, value in fields.items())


def parsed(text: str) -> Configuration:
    return parse(text, "acquirers.toml", None)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[acquirer]", "acquirers.toml: "),
        ("[[acquirers]]\n", "unknown field `acquirers`"),
        (toml(name=None), "name"),
        (toml(name='"Acme"'), "acquirer[0].name"),
        (toml(name='"simulator"'), "acquirer simulator: the name is taken"),
        (toml() + toml(), "acquirer acme-bank: the name is taken"),
        (toml(kind='"smoke"'), "acquirer[0].kind"),
        (toml(kind=None), "kind"),
        (toml(mode='"both"'), "acquirer[0].mode"),
        (toml(currencies='["USD"]'), "acquirer[0].currencies[0]"),
        (toml(url='"ftp://acme.example"'), "url must be https"),
        (toml(url='"http://acme.example"'), "url must be https, since others could read"),
        (toml(url='"https://user:word@acme.example"'), "url must be https"),
        (toml(url='"https://acme.example/?a=b"'), "url must be https"),
        (toml(url='"https://acme.example:port"'), "url is not a URL"),
        (toml(url='"https://[acme"'), "url is not a URL"),
        (toml(url='"https://acme..example"'), "url is not a URL"),
        (toml(url='"https://acme.example/a b"'), "url is not a URL"),
        (toml(url=r'"https://acme.example/\u001b[31m"'), "url is not a URL"),
        (toml(name=r'"acme\n"'), "acquirer[0].name"),
        (toml(key_id=r'"tap\n"'), "acquirer[0].key_id"),
        (toml(currencies='["eurr"]'), "acquirer[0].currencies[0]"),
        (toml(currencies='["eur", "erp"]'), "there is no currency erp"),
        (toml(secret_variable=None, secret_file=r'"a\u0000b"'), "on one line"),
        (toml() + route(currencies='["erp"]'), "there is no currency erp"),
        (toml() + route(bins=r'["424242\n"]'), "route[0].bins[0]"),
        ("a = " + 5_000 * "[", "nested too deeply"),
        (toml(timeout_seconds="0"), "timeout_seconds"),
        (toml(timeout_seconds='"8"'), "timeout_seconds"),
        (toml(secret='"in plain"'), "unknown field `secret`"),
        (toml(secret_variable=None), "one of secret_file and secret_variable"),
        (toml(secret_file='"acme.key"'), "one of secret_file and secret_variable"),
        (toml(name='"none"'), "acquirer none: the name is taken"),
        (toml(breaker_failures="-1"), "breaker_failures"),
        (toml(availability='"never"'), "acquirer[0].availability"),
        (toml() + route(name=None), "name"),
        (toml() + route(name='"Rule 1"'), "route[0].name"),
        (toml() + route() + route(), "route r: the name is taken"),
        (toml() + route(acquirers="[]"), "acquirers"),
        (toml() + route(acquirers='["acme"]'), "route r: there is no acquirer acme"),
        (toml() + route(acquirers='["acme-bank", "acme-bank"]'), "stands twice"),
        (toml() + route(acquirers='["acme-bank", "simulator"]'), "of both modes"),
        (toml() + route(accounts='["1"]'), "route[0].accounts[0]"),
        (toml() + route(currencies='["EUR"]'), "route[0].currencies[0]"),
        (toml() + route(brands='["visas"]'), "route[0].brands[0]"),
        (toml() + route(bins='["4"]'), "route[0].bins[0]"),
        (toml() + route(bins='["424242-4242"]'), "bins: 424242-4242 is no range"),
        (toml() + route(bins='["43-42"]'), "bins: 43-42 is no range"),
        (toml() + route(countries='["Germany"]'), "route[0].countries[0]"),
        (toml() + route(amount_min="100"), "an amount says nothing without currencies"),
        (toml() + route(currencies='["eur"]', amount_min="2", amount_max="1"), "amount_min is more than amount_max"),
        (toml() + route(percent="0"), "percent"),
        (toml() + route(percent="101"), "percent"),
        (toml() + route(retry_declines='["try_again_later"]'), "retry_declines takes a second acquirer"),
        (TWO + route(acquirers='["acme-bank", "other"]', retry_declines='["lost_card"]'), "lost_card is not to be retried"),
        (TWO + route(acquirers='["acme-bank", "other"]', retry_declines='["later"]'), "later is no decline code"),
        (toml() + route(weekday='"monday"'), "unknown field `weekday`"),
        (toml() + '[card_countries]\nDE = ["43-42"]\n', "card_countries: DE: 43-42 is no range"),
        (toml() + '[card_countries]\nGermany = ["42"]\n', "card_countries"),
    ],
)
def test_what_is_wrong_is_one_line_that_says_where(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parsed(text)
    assert complaint in str(raised.value)
    assert str(raised.value).startswith("acquirers.toml: ")
    assert "\n" not in str(raised.value)


def test_funds_become_available_by_the_schedule_unless_it_is_said_that_they_wait_for_their_settlement() -> None:
    assert parsed(toml()).availability == {"acme-bank": Availability.SCHEDULE}
    assert parsed(toml(availability='"settlement"')).availability == {"acme-bank": Availability.SETTLEMENT}


def test_a_secret_comes_from_where_it_is_said_to_be(tmp_path: Path) -> None:
    assert parsed(toml()).secrets({"ACME_SECRET": VALUE}) == {"acme-bank": VALUE.encode()}
    file, key = tmp_path / "acquirers.toml", tmp_path / "acme.key"
    file.write_text(toml(secret_variable=None, secret_file='"acme.key"'))
    key.write_text(VALUE + "\n")
    key.chmod(0o600)
    assert configured({"TAP_ACQUIRERS": str(file)}).secrets({}) == {"acme-bank": VALUE.encode()}
    key.chmod(0o640)
    with pytest.raises(ConfigurationError, match="others may read"):
        read(file).secrets({})


@pytest.mark.parametrize("value", [None, "", "short"])
def test_a_secret_that_is_none_is_not_taken(value: str | None) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parsed(toml()).secrets({} if value is None else {"ACME_SECRET": value})
    assert "acme-bank" in str(raised.value)
    assert not value or value not in str(raised.value)


STRIPE = '[[acquirer]]\nname = "stripe"\nkind = "stripe"\nmode = "live"\nsecret_variable = "KEY"\n'


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"KEY": "sk_live_" + VALUE}, None),
        ({"KEY": "rk_live_" + VALUE}, None),
        ({"KEY": "sk_test_" + VALUE}, "no secret or restricted key for live mode"),
        ({"KEY": "pk_live_" + VALUE}, "no secret or restricted key for live mode"),
        ({"KEY": "sk_live_" + VALUE, "STRIPE_LOG": "debug"}, "card numbers would be printed"),
    ],
)
def test_a_key_of_stripes_is_of_the_mode_that_it_is_for(environment: dict[str, str], complaint: str | None) -> None:
    configuration = parsed(STRIPE)
    if complaint is None:
        assert configuration.secrets(environment) == {"stripe": environment["KEY"].encode()}
        return
    with pytest.raises(ConfigurationError, match=complaint) as refused:
        configuration.secrets(environment)
    assert VALUE not in str(refused.value)


def test_stripe_is_loaded_only_by_who_pays_through_it() -> None:
    loaded = "import sys, payments.transaction_processor.main; print([each for each in ('stripe', 'requests') if each in sys.modules])"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        read(tmp_path / "bytes.toml")


def test_it_may_be_given_in_a_variable() -> None:
    assert [each.name for each in configured({"TAP_ACQUIRERS_TOML": toml()}).acquirers] == ["acme-bank"]
    assert configured({}).acquirers == []
    assert "ACME_SECRET" not in os.environ


def test_secrets_that_are_injected_come_first(tmp_path: Path) -> None:
    (tmp_path / "acquirers.toml").write_text(toml(secret_variable=None, secret_file='"acme.key"'))
    configuration = read(tmp_path / "acquirers.toml")
    assert configuration.secrets({"TAP_ACQUIRER_SECRETS": f'{{"acme-bank": "{VALUE}"}}'}) == {"acme-bank": VALUE.encode()}
    for wrong in (f'{{"acme-bank": "{VALUE}"', f'["{VALUE}"]', f'{{"acme-bank": ["{VALUE}"]}}'):
        with pytest.raises(ConfigurationError, match="TAP_ACQUIRER_SECRETS isn't JSON") as raised:
            configuration.secrets({"TAP_ACQUIRER_SECRETS": wrong})
        assert VALUE not in str(raised.value)


def host(**changes: str) -> str:
    fields = {
        "name": '"host"',
        "kind": '"iso8583"',
        "mode": '"live"',
        "currencies": '["eur"]',
        "host": '"host.example"',
        "port": "5001",
        "terminal_id": '"1"',
        "merchant_id": '"1"',
        "merchant_location": '"Here"',
        "merchant_category_code": '"5999"',
        "institution": '"1"',
        **changes,
    }
    return "[[acquirer]]\n" + "".join(f"{name} = {value}\n" for name, value in fields.items())


def test_authorities_are_read_before_anything_starts_and_a_file_of_them_is_beside_the_configuration(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path, "host.example").ca_file
    (tmp_path / "acquirers.toml").write_text(host(ca_file=f'"{authority.name}"'))
    assert read(tmp_path / "acquirers.toml").secrets({}) == {}
    assert parsed(host(ca_pem=f'"""{authority.read_text()}"""')).secrets({}) == {}
    for wrong, complaint in (
        (host(ca_file='"none.pem"'), "ca_file none.pem can't be read: No such file"),
        (host(ca_pem='"none"'), "ca_pem can't be read: no certificates"),
        (host(ca_pem='"é"'), "ca_pem can't be read: no certificates"),
    ):
        with pytest.raises(ConfigurationError) as raised:
            parsed(wrong).secrets({})
        assert str(raised.value).startswith(f"acquirer host: {complaint}")
    with pytest.raises(ConfigurationError, match="one of ca_file and ca_pem"):
        parsed(host(ca_file='"a"', ca_pem='"b"'))


def test_what_names_files_is_not_for_other_machines() -> None:
    parsed(toml(secret_variable=None, secret_file='"acme.key"') + host()).check_elsewhere()
    with pytest.raises(ConfigurationError, match="acquirer host: ca_file isn't on other machines"):
        parsed(host(ca_file='"ca.pem"')).check_elsewhere()


def chosen(routes: Routes, livemode: bool, currency: str | None) -> str:
    return routes.choose(Facts(livemode=livemode, currency=currency)).acquirer


def test_the_first_that_takes_a_payment_gets_it() -> None:
    both = toml(name='"euros"', currencies='["eur"]') + toml(name='"all"') + toml(name='"trial"', mode='"test"', currencies='["usd"]')
    routes = parsed(both).routes
    assert [chosen(routes, True, currency) for currency in ("eur", "usd", None)] == ["euros", "all", "euros"]
    assert chosen(routes, False, "usd") == "trial"
    with pytest.raises(NoAcquirer):
        chosen(routes, False, "eur")
    assert routes.choose(Facts(livemode=True)).route.verifies_in == "eur"


def test_test_payments_go_to_the_sandbox_unless_there_is_another_for_them() -> None:
    assert chosen(parsed(toml()).routes, False, "usd") == "simulator"
    with pytest.raises(NoAcquirer) as refused:
        chosen(parsed("").routes, True, "usd")
    assert refused.value.code == "testmode_charges_only"
