"""CodeDeploy's state machine against fakes and a clock that is set by hand."""

from dataclasses import dataclass, field

import pytest

from rehearsal.emulator.deployment import Code, Deployment, DeploymentProblem, Phase, Plan, RollbackCause, Status
from rehearsal.emulator.lifecycle import EVENTS, Event, EventStatus
from rehearsal.emulator.traffic import TrafficStep, UnknownConfiguration, routing, traffic_steps

MINUTE = 60.0
ALL = frozenset(RollbackCause)


@dataclass
class World:
    """Tasks, rules, alarms and functions, in one; `done` tells what was asked of them, in order."""

    done: list[str] = field(default_factory=list[str])
    now: float = 0
    healthy: bool = True
    hopeless: bool = False
    gone: bool = True
    alarms: list[str] = field(default_factory=list[str])
    hooks: list[str] = field(default_factory=list[str])
    refusal: str = ""
    ids: int = 0

    def start_replacement(self) -> None:
        if self.refusal:
            raise DeploymentProblem(Code.INVALID_REVISION, self.refusal)
        self.done.append("start")

    def replacement_is_healthy(self) -> bool:
        return self.healthy

    def replacement_is_hopeless(self) -> bool:
        return self.hopeless

    def promote_replacement(self) -> None:
        self.done.append("promote replacement")

    def promote_original(self) -> None:
        self.done.append("promote original")

    def stop_replacement(self) -> None:
        self.done.append("stop replacement")

    def stop_original(self) -> None:
        self.done.append("stop original")

    def original_is_gone(self) -> bool:
        return self.gone

    def replacement_is_gone(self) -> bool:
        return self.gone

    def shift_production(self, percent: int) -> None:
        self.done.append(f"production {percent}")

    def shift_test(self, *, to_replacement: bool) -> None:
        self.done.append(f"test {100 if to_replacement else 0}")

    def firing(self) -> list[str]:
        return self.alarms

    def invoke(self, function: str, execution_id: str) -> None:
        self.done.append(f"hook {function}")
        self.hooks.append(execution_id)

    def new_id(self) -> str:
        self.ids += 1
        return f"id-{self.ids}"


def deployment(
    world: World,
    *,
    hooks: dict[Event, str] | None = None,
    configuration: str = "CodeDeployDefault.ECSAllAtOnce",
    causes: frozenset[RollbackCause] = ALL,
    wait: float = 15,
) -> Deployment:
    plan = Plan(
        hooks=hooks or {},
        steps=traffic_steps(configuration),
        has_test_listener=True,
        termination_wait_minutes=wait,
        rollback_causes=causes,
    )
    return Deployment(
        deployment_id="d-1",
        plan=plan,
        task_sets=world,
        traffic=world,
        alarms=world,
        hooks=world,
        clock=lambda: world.now,
        new_id=world.new_id,
    )


def status_of(made: Deployment, event: Event) -> EventStatus:
    return next(each.status for each in made.events if each.event is event)


def test_traffic_moves_only_to_healthy_tasks_and_the_original_is_kept_for_the_wait() -> None:
    world = World(healthy=False)
    made = deployment(world)
    made.advance()
    assert world.done == ["start"]
    assert status_of(made, Event.INSTALL) is EventStatus.IN_PROGRESS
    world.healthy = True
    made.advance()
    assert world.done == ["start", "test 100", "production 100", "promote replacement"]
    assert made.phase is Phase.WAITING_TO_TERMINATE
    world.now = 14.9 * MINUTE
    made.advance()
    assert "stop original" not in world.done
    world.now, world.gone = 15 * MINUTE, False
    made.advance()
    made.advance()
    assert made.status is Status.IN_PROGRESS
    world.gone = True
    made.advance()
    assert made.status is Status.SUCCEEDED
    assert world.done[-1] == "stop original"
    assert [each.status for each in made.events] == [EventStatus.SUCCEEDED] * len(EVENTS)
    assert not made.is_active


def test_hooks_run_in_the_order_of_their_events_and_each_is_waited_for() -> None:
    world = World()
    names = {event: event.value for event in (Event.BEFORE_INSTALL, Event.AFTER_ALLOW_TEST_TRAFFIC, Event.AFTER_ALLOW_TRAFFIC)}
    made = deployment(world, hooks=names)
    made.advance()
    assert world.done == ["hook BeforeInstall"]
    for _ in names:
        made.advance()
        assert made.report_hook(world.hooks[-1], succeeded=True)
        made.advance()
    assert [each for each in world.done if each != "promote replacement"] == [
        "hook BeforeInstall",
        "start",
        "test 100",
        "hook AfterAllowTestTraffic",
        "production 100",
        "hook AfterAllowTraffic",
    ]


def test_hook_that_fails_rolls_back_before_any_customer_is_served() -> None:
    world = World()
    made = deployment(world, hooks={Event.AFTER_ALLOW_TEST_TRAFFIC: "check"})
    made.advance()
    assert made.report_hook(world.hooks[0], succeeded=False, reason="card declined")
    assert (made.status, made.code) == (Status.FAILED, Code.HOOK_EXECUTION_FAILURE)
    assert "card declined" in made.message
    assert "production 100" not in world.done
    assert world.done[-3:] == ["production 0", "test 0", "stop replacement"]
    assert status_of(made, Event.AFTER_ALLOW_TEST_TRAFFIC) is EventStatus.FAILED
    assert status_of(made, Event.ALLOW_TRAFFIC) is EventStatus.SKIPPED


def test_hook_that_never_answers_fails_after_its_time_and_its_late_answer_counts_for_nothing() -> None:
    world = World()
    made = deployment(world, hooks={Event.AFTER_INSTALL: "check"})
    made.advance()
    world.now = 60 * MINUTE + 1
    made.advance()
    assert (made.status, made.code) == (Status.FAILED, Code.HOOK_EXECUTION_FAILURE)
    assert not made.report_hook(world.hooks[0], succeeded=True)


@pytest.mark.parametrize(("minutes", "hopeless"), [(61, False), (0, True)])
def test_replacement_that_never_gets_healthy_fails_the_installation(minutes: int, hopeless: bool) -> None:
    world = World(healthy=False)
    made = deployment(world)
    made.advance()
    assert made.status is Status.IN_PROGRESS
    world.now, world.hopeless = minutes * MINUTE, hopeless
    made.advance()
    assert (made.status, made.code) == (Status.FAILED, Code.TIMEOUT)
    assert status_of(made, Event.INSTALL) is EventStatus.FAILED
    assert world.done[-1] == "stop replacement"


def test_revision_that_cannot_be_started_fails_at_once() -> None:
    world = World(refusal="no such task definition")
    made = deployment(world)
    made.advance()
    assert (made.status, made.code, made.message) == (Status.FAILED, Code.INVALID_REVISION, "no such task definition")


def test_canary_serves_its_share_for_its_minutes() -> None:
    world = World()
    made = deployment(world, configuration="CodeDeployDefault.ECSCanary10Percent5Minutes")
    made.advance()
    assert made.percent == 10
    world.now = 4.9 * MINUTE
    made.advance()
    assert made.percent == 10
    assert "promote replacement" not in world.done
    world.now = 5 * MINUTE
    made.advance()
    assert made.percent == 100
    assert [each for each in world.done if each.startswith("production")] == ["production 10", "production 100"]


def test_linear_configuration_takes_equal_steps() -> None:
    steps = traffic_steps("CodeDeployDefault.ECSLinear10PercentEvery3Minutes")
    assert steps == (*(TrafficStep(percent, 3) for percent in range(10, 100, 10)), TrafficStep(100, 0))
    assert routing("CodeDeployDefault.ECSLinear10PercentEvery1Minutes")["timeBasedLinear"] == {"linearPercentage": 10, "linearInterval": 1}


def test_unknown_configuration_is_refused() -> None:
    with pytest.raises(UnknownConfiguration):
        traffic_steps("CodeDeployDefault.OneAtATime")


@pytest.mark.parametrize("minutes", [0.0, 6.0, 14.0])
def test_alarm_brings_traffic_back_at_once_also_while_the_original_is_kept(minutes: float) -> None:
    world = World()
    made = deployment(world, configuration="CodeDeployDefault.ECSCanary10Percent5Minutes")
    made.advance()
    for now in range(int(minutes * MINUTE)):
        world.now = float(now)
        made.advance()
    world.alarms = ["errors"]
    made.advance()
    assert (made.status, made.code) == (Status.STOPPED, Code.ALARM_ACTIVE)
    assert "errors" in made.message
    after = world.done[world.done.index("production 0") :]
    assert after == ["production 0", "test 0", *(["promote original"] if minutes > 5 else []), "stop replacement"]
    assert made.is_active
    made.advance()
    assert made.rollback is not None
    assert made.rollback.status is Status.SUCCEEDED
    assert not made.is_active


def test_alarm_stops_without_rollback_when_the_group_does_not_ask_for_one() -> None:
    world = World(alarms=["errors"])
    made = deployment(world, causes=frozenset({RollbackCause.FAILURE}))
    made.advance()
    assert made.status is Status.STOPPED
    assert made.rollback is None
    assert world.done == []


@pytest.mark.parametrize(("asked", "rolls_back"), [(True, True), (False, False), (None, False)])
def test_stop_rolls_back_as_asked_or_as_configured(asked: bool | None, rolls_back: bool) -> None:
    world = World(healthy=False)
    made = deployment(world, causes=frozenset())
    made.advance()
    assert made.stop(roll_back=asked)
    assert made.status is Status.IN_PROGRESS, "the request is only pending"
    made.advance()
    assert (made.status, made.code) == (Status.STOPPED, Code.MANUAL_STOP)
    assert (made.rollback is not None) is rolls_back
    assert ("stop replacement" in world.done) is rolls_back
    assert not made.stop(roll_back=asked)


def test_nothing_is_rolled_back_once_the_original_is_being_stopped() -> None:
    world = World(gone=False)
    made = deployment(world, wait=0)
    made.advance()
    made.advance()
    assert made.phase is Phase.TERMINATING
    world.alarms = ["errors"]
    made.advance()
    assert made.status is Status.STOPPED
    assert made.rollback is None
    assert "production 0" not in world.done


def test_termination_wait_can_be_cut_short() -> None:
    world = World()
    made = deployment(world)
    assert not made.end_termination_wait()
    made.advance()
    assert made.end_termination_wait()
    made.advance()
    made.advance()
    assert made.status is Status.SUCCEEDED
