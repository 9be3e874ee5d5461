"""CodeDeploy's blue/green deployment on ECS, as a state machine that somebody advances.

BeforeInstall → Install → AfterInstall → AllowTestTraffic → AfterAllowTestTraffic → BeforeAllowTraffic → AllowTraffic → AfterAllowTraffic
→ the original tasks are kept for a while → they are stopped. An alarm, a failed hook, tasks that don't get healthy in time, or a request
to stop ends it; as the group is configured, traffic then goes back at once and the replacement is stopped.

The machine knows neither ECS nor a load balancer nor what time it is: it is given a clock and what it acts upon.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, assert_never

from rehearsal.emulator.lifecycle import EVENTS, HOOK_EVENTS, Event, EventRecord, EventStatus
from rehearsal.emulator.traffic import TrafficStep


class Status(StrEnum):
    """A deployment's state, in CodeDeploy's words."""

    CREATED = "Created"
    IN_PROGRESS = "InProgress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"


TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.STOPPED})


class RollbackCause(StrEnum):
    """What a deployment group may roll back upon."""

    FAILURE = "DEPLOYMENT_FAILURE"
    ALARM = "DEPLOYMENT_STOP_ON_ALARM"
    REQUEST = "DEPLOYMENT_STOP_ON_REQUEST"


class Code(StrEnum):
    """Why a deployment ended without success: `errorInformation.code`."""

    ALARM_ACTIVE = "ALARM_ACTIVE"
    HOOK_EXECUTION_FAILURE = "HOOK_EXECUTION_FAILURE"
    INVALID_REVISION = "INVALID_REVISION"
    ECS_UPDATE_ERROR = "ECS_UPDATE_ERROR"
    MANUAL_STOP = "MANUAL_STOP"
    TIMEOUT = "TIMEOUT"


class DeploymentProblem(Exception):
    """What is acted upon refused; the deployment fails with this code and message."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


class TaskSets(Protocol):
    """The original and the replacement tasks of one service."""

    def start_replacement(self) -> None:
        """Create the replacement; raises `DeploymentProblem`."""
        ...

    def replacement_is_healthy(self) -> bool:
        """Whether all of its tasks run and pass their target group's health check."""
        ...

    def replacement_is_hopeless(self) -> bool:
        """Whether its tasks have failed as often in a row as they would in the time that an installation may take."""
        ...

    def promote_replacement(self) -> None:
        """Make the replacement the service's primary task set."""
        ...

    def promote_original(self) -> None:
        """Make the original the primary task set again."""
        ...

    def stop_replacement(self) -> None:
        """Begin to drain and stop it."""
        ...

    def stop_original(self) -> None:
        """Begin to drain and stop it."""
        ...

    def original_is_gone(self) -> bool:
        """Whether its last task has stopped."""
        ...

    def replacement_is_gone(self) -> bool:
        """Whether its last task has stopped."""
        ...


class Traffic(Protocol):
    """The listeners' rules of one service."""

    def shift_production(self, percent: int) -> None:
        """Send `percent` of the traffic to the replacement, and the rest to the original."""
        ...

    def shift_test(self, *, to_replacement: bool) -> None:
        """Send the test listener's traffic to the replacement or the original."""
        ...


class Alarms(Protocol):
    """CloudWatch."""

    def firing(self) -> list[str]:
        """Return the names of those of the group's alarms that are in state ALARM."""
        ...


class Hooks(Protocol):
    """Lambda."""

    def invoke(self, function: str, execution_id: str) -> None:
        """Start a hook and return; it answers by `Deployment.report_hook`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to deploy. Minutes are CodeDeploy's; how long one takes is told for waits and for time limits."""

    hooks: Mapping[Event, str]
    steps: tuple[TrafficStep, ...]
    has_test_listener: bool
    termination_wait_minutes: float
    rollback_causes: frozenset[RollbackCause]
    install_minutes_max: float = 60
    hook_minutes_max: float = 60
    seconds_per_minute: float = 60
    limit_seconds_per_minute: float = 60


class Phase(StrEnum):
    """Where a deployment is after its last lifecycle event."""

    EVENTS = "events"
    WAITING_TO_TERMINATE = "waiting to terminate"
    TERMINATING = "terminating"
    ENDED = "ended"


@dataclass(slots=True)
class Rollback:
    """The deployment that CodeDeploy makes to undo another."""

    deployment_id: str
    started_at: float
    status: Status = Status.IN_PROGRESS
    ended_at: float | None = None


@dataclass(slots=True, kw_only=True)
class Deployment:
    """One deployment. `advance` does what is due; nothing happens between two calls of it."""

    deployment_id: str
    plan: Plan
    task_sets: TaskSets
    traffic: Traffic
    alarms: Alarms
    hooks: Hooks
    clock: Callable[[], float]
    """Seconds."""
    new_id: Callable[[], str]
    status: Status = Status.CREATED
    phase: Phase = Phase.EVENTS
    created_at: float = 0
    started_at: float | None = None
    ended_at: float | None = None
    code: Code | None = None
    message: str = ""
    percent: int = 0
    """The replacement's share of the production traffic."""
    rollback: Rollback | None = None
    termination_wait_started_at: float | None = None
    events: list[EventRecord] = field(default_factory=lambda: [EventRecord(event) for event in EVENTS])
    _position: int = 0
    _step: int = 0
    _step_started_at: float = 0
    _execution_id: str | None = None
    _installed: bool = False
    _promoted: bool = False
    _cut_short: bool = False
    _stop: bool | None = None
    """A request to stop that is still to be done: whether it rolls back."""

    def __post_init__(self) -> None:
        self.created_at = self.clock()

    @property
    def is_active(self) -> bool:
        """Whether it, or the rollback it caused, still has work to do: a group takes one deployment at a time."""
        return self.status not in TERMINAL or (self.rollback is not None and self.rollback.status not in TERMINAL)

    def advance(self) -> None:
        """Do what is due now."""
        if self.status in TERMINAL:
            self._finish_rollback()
            return
        if self.status is Status.CREATED:
            self.status, self.started_at = Status.IN_PROGRESS, self.clock()
        if self._stop is not None:
            self._end(
                Status.STOPPED, Code.MANUAL_STOP, "The deployment was stopped by a user.", RollbackCause.REQUEST, roll_back=self._stop
            )
            return
        if firing := self.alarms.firing():
            self._end(
                Status.STOPPED,
                Code.ALARM_ACTIVE,
                "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, and the affected deployments "
                f"have been stopped. Activated alarms: <{', '.join(firing)}>",
                RollbackCause.ALARM,
            )
            return
        try:
            self._work()
        except DeploymentProblem as problem:
            self._end(Status.FAILED, problem.code, str(problem), RollbackCause.FAILURE)

    def _work(self) -> None:
        match self.phase:
            case Phase.EVENTS:
                # Several events may be over at once; an ended one doesn't wait for the next call.
                while self.phase is Phase.EVENTS and self._event_is_over(self.events[self._position]):
                    self._next_event()
            case Phase.WAITING_TO_TERMINATE:
                waited = self.clock() - (self.termination_wait_started_at or 0)
                if self._cut_short or waited >= self._seconds(self.plan.termination_wait_minutes):
                    self.phase = Phase.TERMINATING
                    self.task_sets.stop_original()
            case Phase.TERMINATING:
                if self.task_sets.original_is_gone():
                    self.phase, self.status, self.ended_at = Phase.ENDED, Status.SUCCEEDED, self.clock()
            case Phase.ENDED:
                pass
            case _:
                assert_never(self.phase)

    def _seconds(self, minutes: float) -> float:
        return minutes * self.plan.seconds_per_minute

    def _next_event(self) -> None:
        record = self.events[self._position]
        record.status, record.ended_at = EventStatus.SUCCEEDED, self.clock()
        self._position += 1
        if self._position == len(self.events):
            self.phase, self.termination_wait_started_at = Phase.WAITING_TO_TERMINATE, self.clock()

    def _event_is_over(self, record: EventRecord) -> bool:
        if record.status is EventStatus.PENDING:
            record.status, record.started_at = EventStatus.IN_PROGRESS, self.clock()
            self._begin(record.event)
        started_at = record.started_at or 0
        if record.event in HOOK_EVENTS:
            return self._hook_is_over(record.event, self.clock() - started_at)
        if record.event is Event.INSTALL:
            return self._installation_is_over(self.clock() - started_at)
        if record.event is Event.ALLOW_TRAFFIC:
            return self._shift_is_over()
        return True

    def _begin(self, event: Event) -> None:
        if event in HOOK_EVENTS:
            if function := self.plan.hooks.get(event):
                self._execution_id = self.new_id()
                self.hooks.invoke(function, self._execution_id)
        elif event is Event.INSTALL:
            self._installed = True
            self.task_sets.start_replacement()
        elif event is Event.ALLOW_TEST_TRAFFIC:
            if self.plan.has_test_listener:
                self.traffic.shift_test(to_replacement=True)
        else:
            self._start_step(0)

    def _hook_is_over(self, event: Event, seconds: float) -> bool:
        if self._execution_id is None:
            return True
        if seconds > self.plan.hook_minutes_max * self.plan.limit_seconds_per_minute:
            self._execution_id = None
            raise DeploymentProblem(
                Code.HOOK_EXECUTION_FAILURE,
                f"The following validation lifecycle event hook, configured for {event}, timed out: {self.plan.hooks[event]}",
            )
        return False

    def _installation_is_over(self, seconds: float) -> bool:
        if self.task_sets.replacement_is_healthy():
            return True
        if seconds > self.plan.install_minutes_max * self.plan.limit_seconds_per_minute or self.task_sets.replacement_is_hopeless():
            raise DeploymentProblem(
                Code.TIMEOUT,
                "The deployment timed out while waiting for the replacement task set to become healthy. "
                f"This time out period is {self.plan.install_minutes_max:g} minutes.",
            )
        return False

    def _start_step(self, number: int) -> None:
        self._step, self._step_started_at = number, self.clock()
        self.percent = self.plan.steps[number].percent
        self.traffic.shift_production(self.percent)

    def _shift_is_over(self) -> bool:
        while self.clock() - self._step_started_at >= self._seconds(self.plan.steps[self._step].minutes):
            if self._step + 1 == len(self.plan.steps):
                self._promoted = True
                self.task_sets.promote_replacement()
                return True
            self._start_step(self._step + 1)
        return False

    def report_hook(self, execution_id: str, *, succeeded: bool, reason: str = "") -> bool:
        """Take a hook's answer; returns False when nobody waits for it."""
        if self.status in TERMINAL or execution_id != self._execution_id:
            return False
        self._execution_id = None
        if not succeeded:
            event = self.events[self._position].event
            message = f"The following validation lifecycle event hook, configured for {event}, failed: {self.plan.hooks[event]}"
            self._end(
                Status.FAILED,
                Code.HOOK_EXECUTION_FAILURE,
                f"{message} ({reason})" if reason else message,
                RollbackCause.FAILURE,
            )
        return True

    def stop(self, *, roll_back: bool | None) -> bool:
        """Have it end when it advances next; None rolls back as the group is configured. Returns False when it has ended already."""
        if self.status in TERMINAL:
            return False
        causes = self.plan.rollback_causes
        self._stop = RollbackCause.REQUEST in causes if roll_back is None else roll_back
        return True

    def end_termination_wait(self) -> bool:
        """Stop the original tasks without further waiting; returns False when nothing waits."""
        if self.status in TERMINAL or self.phase is not Phase.WAITING_TO_TERMINATE:
            return False
        self._cut_short = True
        return True

    def _end(self, status: Status, code: Code, message: str, cause: RollbackCause, *, roll_back: bool | None = None) -> None:
        now = self.clock()
        self.status, self.code, self.message, self.ended_at, self._execution_id = status, code, message, now, None
        for record in self.events:
            if record.status is EventStatus.IN_PROGRESS:
                record.status, record.ended_at, record.message = EventStatus.FAILED, now, message
            elif record.status is EventStatus.PENDING:
                record.status = EventStatus.SKIPPED
        wanted = cause in self.plan.rollback_causes if roll_back is None else roll_back
        # Once the original tasks are being stopped there is nothing to go back to.
        possible = self.phase in {Phase.EVENTS, Phase.WAITING_TO_TERMINATE}
        self.phase = Phase.ENDED
        if wanted and possible:
            self._roll_back()

    def _roll_back(self) -> None:
        self.rollback = Rollback(self.new_id(), self.clock())
        if self._installed:
            self.percent = 0
            self.traffic.shift_production(0)
            if self.plan.has_test_listener:
                self.traffic.shift_test(to_replacement=False)
            if self._promoted:
                self.task_sets.promote_original()
            self.task_sets.stop_replacement()

    def _finish_rollback(self) -> None:
        if self.rollback is None or self.rollback.status in TERMINAL:
            return
        if not self._installed or self.task_sets.replacement_is_gone():
            self.rollback.status, self.rollback.ended_at = Status.SUCCEEDED, self.clock()
