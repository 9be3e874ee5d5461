"""The two load balancers: who gets to them, what they lead where, and what a release shifts."""

import json
from typing import Any

from payments.runtime.topology import SERVICES, Service, entered_by, route
from tests.infrastructure.conftest import Synthesised
from tests.infrastructure.test_traps import references, service_name
from tests.support.listener import route_by


def test_services_wait_for_both_listeners(synthesised: Synthesised) -> None:
    rules = synthesised.resources("Ecs", "AWS::ElasticLoadBalancingV2::ListenerRule")
    for service in synthesised.resources("Ecs", "AWS::ECS::Service").values():
        (target,) = references(service["Properties"]["LoadBalancers"])
        needed = {name for name, rule in rules.items() if target in references(rule["Properties"]["Actions"])}
        assert len(needed) == 2
        assert needed <= set(service["DependsOn"])


def test_port_80_leads_pages_on_and_no_request_that_carries_a_key(prod: Synthesised) -> None:
    listeners = prod.resources("Ecs", "AWS::ElasticLoadBalancingV2::Listener")
    (plain,) = [name for name, each in listeners.items() if each["Properties"]["Port"] == 80]
    rules = sorted(
        (
            each["Properties"]
            for each in prod.resources("Ecs", "AWS::ElasticLoadBalancingV2::ListenerRule").values()
            if plain in references(each)
        ),
        key=lambda rule: rule["Priority"],
    )
    keys, pages = rules
    assert keys["Conditions"] == [{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "Authorization", "Values": ["*"]}}]
    assert keys["Actions"][0]["FixedResponseConfig"]["StatusCode"] == "403"
    conditions = {each["Field"]: each for each in pages["Conditions"]}
    assert conditions["path-pattern"]["PathPatternConfig"]["Values"] == ["/pay/*"]
    assert conditions["http-request-method"]["HttpRequestMethodConfig"]["Values"] == ["GET", "HEAD"]
    assert pages["Actions"][0]["RedirectConfig"]["Protocol"] == "HTTPS"


def test_no_rule_and_no_load_balancer_has_more_than_may_be(synthesised: Synthesised) -> None:
    """Elastic Load Balancing, quotas: five values and five wildcards in a rule, a hundred rules in a load balancer."""
    rules = [each["Properties"] for each in synthesised.resources("Ecs", "AWS::ElasticLoadBalancingV2::ListenerRule").values()]
    assert 0 < len(rules) < 100
    for rule in rules:
        values = [
            value for each in rule["Conditions"] for config in each.values() if isinstance(config, dict) for value in config["Values"]
        ]
        assert len(values) <= 5
        assert "".join(values).count("*") + "".join(values).count("?") <= 5


def test_what_other_services_call_is_shifted_by_the_release_that_shifts_everything_else_of_it(synthesised: Synthesised) -> None:
    """Its name leads to the load balancer between the services, and CodeDeploy moves the listener there: it has one pair and one listener per service."""
    ecs = synthesised.resources("Ecs")
    (internal,) = [name for name, each in ecs.items() if each["Properties"].get("Scheme") == "internal"]
    named = {each["Properties"]["Name"]: name for name, each in ecs.items() if each["Type"] == "AWS::ServiceDiscovery::Service"}
    (instance,) = [each["Properties"] for each in ecs.values() if each["Type"] == "AWS::ServiceDiscovery::Instance"]
    assert references(instance["ServiceId"]) == {named[Service.TRANSACTION_PROCESSOR]}
    assert references(instance["InstanceAttributes"]["AWS_ALIAS_DNS_NAME"]) == {internal}
    registered = {
        service_name(synthesised, each)
        for each in ecs.values()
        if each["Type"] == "AWS::ECS::Service" and "ServiceRegistries" in each["Properties"]
    }
    assert registered == {Service.PAYMENT_API, Service.NOTIFICATION_SERVICE}, "tasks that a name leads to directly are shifted by nothing"
    ports = {name: each["Properties"]["Port"] for name, each in ecs.items() if each["Type"] == "AWS::ElasticLoadBalancingV2::Listener"}
    outputs = {name: references(each["Value"]) for name, each in synthesised.templates["Ecs"]["Outputs"].items()}
    for group in synthesised.resources("Deployment", "AWS::CodeDeploy::DeploymentGroup").values():
        (pair,) = group["Properties"]["LoadBalancerInfo"]["TargetGroupPairInfoList"]
        routes = []
        for route_name in ("ProdTrafficRoute", "TestTrafficRoute"):
            (parameter,) = references(pair[route_name]["ListenerArns"])
            (output,) = [name for name in outputs if parameter.endswith(name)]
            (listener,) = outputs[output]
            routes.append(ports[listener])
        production = 443 if synthesised.environment == "prod" else 80
        called = service_name_of_group(group) == f"tap-{synthesised.environment}-{Service.TRANSACTION_PROCESSOR}"
        assert routes == ([8080, 8081] if called else [production, 8443])


def service_name_of_group(group: dict[str, Any]) -> str:
    return group["Properties"]["DeploymentGroupName"]


def test_an_environment_that_gets_a_certificate_frees_port_80_before_the_redirect_takes_it(prod: Synthesised) -> None:
    listeners = prod.resources("Ecs", "AWS::ElasticLoadBalancingV2::Listener")
    names = {each["Properties"]["Port"]: name for name, each in listeners.items()}
    assert names[443] in listeners[names[80]]["DependsOn"]


def test_access_logs_can_be_written_before_the_load_balancer_is_made(synthesised: Synthesised) -> None:
    balancers = synthesised.resources("Ecs", "AWS::ElasticLoadBalancingV2::LoadBalancer")
    policies = synthesised.resources("Ecs", "AWS::S3::BucketPolicy")
    assert len(balancers) == 2
    for name, balancer in balancers.items():
        assert set(policies) <= set(balancer["DependsOn"]), name
    assert "logdelivery.elasticloadbalancing.amazonaws.com" in json.dumps(policies)
    bucket = synthesised.only("Ecs", "AWS::S3::Bucket")
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_paths_go_where_the_code_routes_them(synthesised: Synthesised) -> None:
    resources = synthesised.resources("Ecs")
    short = {"api": Service.PAYMENT_API, "processor": Service.TRANSACTION_PROCESSOR, "notify": Service.NOTIFICATION_SERVICE}
    ports = {
        each["Properties"]["Port"]: name for name, each in resources.items() if each["Type"] == "AWS::ElasticLoadBalancingV2::Listener"
    }
    public, internal = {ports[443] if 443 in ports else ports[80], ports[8443]}, {ports[8080], ports[8081]}

    def balanced(path: str, listeners: set[str]) -> Service | None:
        """Traffic's listener and that for tests agree."""
        (group,) = {route_by(resources, listener)(path) for listener in listeners}
        return None if group is None else short[resources[group]["Properties"]["Name"].split("-")[1]]

    for path in (
        "/v1/payment_intents",
        "/v1/events",
        "/v1/events/evt_1",
        "/v1/webhook_endpoints/we_1/rotate_secret",
        "/v1/balance",
        "/v1/balance_transactions/txn_1",
        "/v1/notifications/deliveries",
        "/pay/authenticate/test/1/pi_1",
        "/v1/eventsx",
    ):
        assert balanced(path, public) is entered_by(path)
        called = SERVICES[route(path)].is_called_by_services
        assert balanced(path, internal) is (route(path) if called else None)
    for path in ("/internal/attempts", "/health", "/", "/admin"):
        assert balanced(path, public) is None
    assert balanced("/internal/attempts", internal) is Service.TRANSACTION_PROCESSOR


def test_the_test_listener_is_open_to_our_own_nat_gateways_alone(synthesised: Synthesised) -> None:
    """Its load balancer has public addresses inside of the network too, so that a rule for the network's own would never match."""
    rules = [
        each["Properties"]
        for each in synthesised.resources("Security", "AWS::EC2::SecurityGroupIngress").values()
        if each["Properties"]["FromPort"] == 8443
    ]
    assert len(rules) == len(synthesised.resources("Networking", "AWS::EC2::NatGateway"))
    assert all("VpcpublicSubnet" in json.dumps(rule["CidrIp"]) and "/32" in json.dumps(rule["CidrIp"]) for rule in rules)
