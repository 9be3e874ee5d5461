"""Load balancers: weighted forwarding to healthy targets.

A rule forwards to several target groups by weight, and each is spoken to in its own protocol. A target group without a target answers 503, a target that
can't be reached 502. With unhealthy targets only, requests go to all of them, as on AWS: what they answer says more than that a busy machine checks slowly.

Without an engine there is nobody to forward to: the load balancer itself answers 200 and says who would have got the request.
"""

import http.client
import json
import random
import re
from email.utils import formatdate
from typing import Any
from urllib.parse import urlencode

from rehearsal.emulator import cloudformation, forwarding, upstream
from rehearsal.emulator.targets import HEALTH
from rehearsal.emulator.upstream import Answer, Record

_ADDRESSED = re.compile(r"/_alb/(?P<name>[^/:]+)(?::(?P<port>\d+))?(?P<path>/.*)?")


def _alb() -> Any:
    return upstream.module("services.alb")


def normal(action: Record) -> Record:
    """Return a forward action as AWS tells it: always with `ForwardConfig`, and with `TargetGroupArn` when there is one group only."""
    if action.get("Type") != "forward":
        return action
    groups = (action.get("ForwardConfig") or {}).get("TargetGroups") or [{"TargetGroupArn": action.get("TargetGroupArn", "")}]
    weighted = [{"TargetGroupArn": each["TargetGroupArn"], "Weight": int(each.get("Weight", 1))} for each in groups]
    told = {key: value for key, value in action.items() if key != "TargetGroupArn"}
    if len(weighted) == 1:
        told["TargetGroupArn"] = weighted[0]["TargetGroupArn"]
    return {**told, "ForwardConfig": {"TargetGroups": weighted}}


def groups_of(action: Record) -> dict[str, int]:
    """Return the target groups that an action forwards to, with their weights."""
    if action.get("Type") != "forward":
        return {}
    return {each["TargetGroupArn"]: each["Weight"] for each in normal(action)["ForwardConfig"]["TargetGroups"]}


def forward(weights: dict[str, int], order: int = 1) -> Record:
    """Return an action that forwards by weight."""
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
    return normal({"Type": "forward", "Order": order, "ForwardConfig": {"TargetGroups": groups}})


def install() -> None:
    """Mend ministack's load balancers."""
    _install_actions()
    _install_traffic()
    app = upstream.module("app")
    original: Any = None

    async def handle(
        host: str, path: str, method: str, headers: Any, body: Any, query: Any, raw_query: Any = None, raw_path: Any = None
    ) -> Any:
        match = _ADDRESSED.fullmatch(path)
        balancer = _alb()._find_lb_by_name(match["name"]) if match else None
        if match is None or balancer is None:
            return await original(host, path, method, headers, body, query, raw_query, raw_path)
        inner = match["path"] or "/"
        raw = _ADDRESSED.fullmatch(raw_path) if raw_path else None
        return await _alb().dispatch_request(
            balancer,
            method,
            inner,
            headers,
            body,
            query,
            int(match["port"] or _production_port(balancer)),
            raw_query_string=raw_query,
            raw_path=(raw["path"] or "/") if raw else inner,
        )

    original = upstream.replace(app, "_handle_alb_request", handle)


def _production_port(balancer: Record) -> int:
    """Return 443 if it listens there, else 80: what a browser would use."""
    ports = {each["Port"] for each in _alb()._listeners.values() if each["LoadBalancerArn"] == balancer["LoadBalancerArn"]}
    return 443 if 443 in ports else 80


def _install_actions() -> None:
    alb, owner = _alb(), cloudformation.provisioners()

    def parse_actions(params: Record, prefix: str = "DefaultActions") -> list[Record]:
        actions = original_parse(params, prefix)
        for number, action in enumerate(actions, start=1):
            if groups := _parse_groups(params, f"{prefix}.member.{number}.ForwardConfig.TargetGroups"):
                action["ForwardConfig"] = {"TargetGroups": groups}
        return [normal(action) for action in actions]

    def template_actions(properties: Record, balancer: str | None, prop: str = "DefaultActions") -> list[Record]:
        actions = original_template(properties, balancer, prop)
        for action, given in zip(actions, properties.get(prop) or [], strict=True):
            if given.get("ForwardConfig"):
                action["ForwardConfig"] = given["ForwardConfig"]
        return [normal(action) for action in actions]

    def action_xml(action: Record) -> str:
        told = original_xml(action)
        groups = "".join(
            f"<member><TargetGroupArn>{arn}</TargetGroupArn><Weight>{weight}</Weight></member>" for arn, weight in groups_of(action).items()
        )
        if not groups:
            return told
        sticky = "<TargetGroupStickinessConfig><Enabled>false</Enabled></TargetGroupStickinessConfig>"
        config = f"<ForwardConfig><TargetGroups>{groups}</TargetGroups>{sticky}</ForwardConfig>"
        return told.removesuffix("</member>") + config + "</member>"

    original_parse = upstream.replace(alb, "_parse_actions", parse_actions)
    original_template = upstream.replace(owner, "_elbv2_listener_actions", template_actions)
    original_xml = upstream.replace(alb, "_action_xml", action_xml)


def _parse_groups(params: Record, prefix: str) -> list[Record]:
    groups: list[Record] = []
    while arn := _alb()._p(params, f"{prefix}.member.{len(groups) + 1}.TargetGroupArn"):
        weight = _alb()._p(params, f"{prefix}.member.{len(groups) + 1}.Weight")
        groups.append({"TargetGroupArn": arn, "Weight": int(weight or 1)})
    return groups


def _install_traffic() -> None:
    alb = _alb()

    async def execute_actions(actions: list[Record], *args: Any, **kwargs: Any) -> Answer:
        return await original_execute([_chosen(action) for action in actions], *args, **kwargs)

    async def forward_to_group(
        arn: str, method: str, path: str, headers: Any, body: Any, query: Any, raw_query: Any = None, raw_path: Any = None
    ) -> Answer:
        group = alb._tgs.get(arn)
        targets = HEALTH.served_by(arn) if group else []
        if not targets:
            return _html(503, "Service Temporarily Unavailable")
        target = random.choice(targets)  # noqa: S311 - it spreads load
        if not upstream.has_engine():
            return _say_who(arn, target.host)
        asked = urlencode(query or {}, doseq=True) if raw_query is None else raw_query
        connection = forwarding.connect(target.host, target.port, group["Protocol"])
        try:
            status, fields, runner = await forwarding.forward(
                connection, method, (raw_path or path) + (f"?{asked}" if asked else ""), headers, _bytes(body)
            )
        except (OSError, http.client.HTTPException):
            return _html(502, "Bad Gateway")
        # The load balancer writes its own date in place of the target's.
        return status, {**fields, "date": formatdate(usegmt=True)}, upstream.module("core.responses").StreamingResponse(runner)

    original_execute = upstream.replace(alb, "_execute_actions", execute_actions)
    upstream.replace(alb, "_forward_to_tg", forward_to_group)


def _bytes(body: Any) -> bytes | None:
    return body.encode() if isinstance(body, str) else bytes(body) if body else None


def _chosen(action: Record) -> Record:
    weights = {arn: weight for arn, weight in groups_of(action).items() if weight > 0}
    if not weights:
        return action
    return {**action, "TargetGroupArn": random.choices(list(weights), list(weights.values()))[0]}  # noqa: S311 - it spreads load


def _html(status: int, text: str) -> Answer:
    page = f"<html>\r\n<head><title>{status} {text}</title></head>\r\n<body>\r\n<center><h1>{status} {text}</h1></center>\r\n</body>\r\n</html>\r\n"
    return status, {"Content-Type": "text/html"}, page.encode()


def _say_who(group: str, host: str) -> Answer:
    ecs = upstream.module("services.ecs")
    task = next((each for each in list(ecs._tasks.values()) if ecs._task_ip(each) == host), {})
    told = {"targetGroup": group.split("/")[1], "taskDefinition": task.get("taskDefinitionArn", ""), "task": task.get("taskArn", "")}
    return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()
