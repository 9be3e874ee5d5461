"""Whoever is woken by an alarm finds what to do, and finds nothing about alarms that there aren't."""

import re

from lib.environments import ENVIRONMENTS
from payments.runtime.topology import SERVICES, Service
from tests.infrastructure.conftest import ROOT, Synthesised

_REFERENCE = re.compile(r"docs/runbook\.md#([a-z0-9-]+)$")


def sections() -> set[str]:
    """The runbook's sections for alarms, all headings of the third level, as links name them."""
    text = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    return {heading.strip().lower().replace(" ", "-") for heading in re.findall(r"^### (.+)$", text, re.MULTILINE)}


def described(synthesised: Synthesised) -> dict[str, str | None]:
    """The section that each alarm's description names, by alarm."""
    alarms = synthesised.all("AWS::CloudWatch::Alarm")
    found = {name: _REFERENCE.search(alarm["Properties"]["AlarmDescription"]) for name, alarm in alarms.items()}
    return {name: None if reference is None else reference[1] for name, reference in found.items()}


def test_every_alarm_names_a_section_of_the_runbook(synthesised: Synthesised) -> None:
    assert len(described(synthesised)) == 30
    assert {name: section for name, section in described(synthesised).items() if section not in sections()} == {}


def test_every_section_for_an_alarm_has_its_alarm(prod: Synthesised) -> None:
    assert sections() - set(described(prod).values()) == set()


def test_no_two_alarms_share_a_section(prod: Synthesised) -> None:
    assert len(set(described(prod).values())) == len(described(prod))


def test_the_runbook_names_the_thresholds_of_connections() -> None:
    text = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    prod, staging, dev = (ENVIRONMENTS[name].database_connections_many for name in ("prod", "staging", "dev"))
    assert f"More than {prod:,} connections ({staging} in staging, {dev} in dev)" in text
    api, processor, notification = (
        SERVICES[each].connections_max for each in (Service.PAYMENT_API, Service.TRANSACTION_PROCESSOR, Service.NOTIFICATION_SERVICE)
    )
    assert f"(a copy of payment-api {api}, of transaction-processor {processor}, of notification-service {notification})" in text


def test_links_within_the_documentation_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)", text):
            linked = page if target == "" else (page.parent / target).resolve()
            assert linked.exists(), f"{page.name} links to {target}"
            if anchor and linked.suffix == ".md":
                assert anchor in anchors(linked.read_text(encoding="utf-8")), f"{page.name} links to {target}#{anchor}"


def anchors(text: str) -> set[str]:
    """What GitHub makes of headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_all_work_in_the_background_is_explained_by_its_name() -> None:
    runbook = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]
    named = r'\b(?:background\.(?:keep|repeat|watch)\(|Job\(\s*name=)\s*"([^"]+)"'
    names = {name for text in sources for name in re.findall(named, text)}
    assert {"watch database", "sweep attempts", "commit 1", "deliver"} <= names
    assert [name for name in sorted(names) if f"`{name}`" not in runbook] == []
