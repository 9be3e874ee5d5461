"""The steps of a rehearsal that release: what gets into service, what doesn't, and who undoes it."""

import threading
from dataclasses import dataclass

from payments.runtime.topology import Service
from rehearsal.operating import Operator, RehearsalFailed, Watching
from rehearsal.report import Report
from rehearsal.traffic import Traffic

_WAIT_SECONDS_MAX = 300.0


@dataclass(frozen=True, slots=True)
class Releasing:
    """Releases by CodeDeploy, under traffic."""

    operator: Operator
    report: Report
    traffic: Traffic

    def release(self, service: Service) -> None:
        """As it should be: blue and green side by side for a while, then green alone."""
        with self.report.step(f"release {service}") as step:
            idle = next(colour for colour, weight in self.operator.service(service).weights.items() if weight == 0)
            seen: list[int] = []
            with Watching(lambda: self.operator.service(service).weights[idle], seen):
                self.operator.tap("release", service, "--image", self._good[1], "--build")
            self.traffic.wait_for(20)
            serving = self.operator.service(service)
            digest = self.operator.deployed.image(serving.task_definition)
            if "@sha256:" not in digest:
                raise RehearsalFailed(f"{service} serves {digest}, which names no digest")
            if not any(0 < share < 100 for share in seen):
                raise RehearsalFailed(f"blue and green never served side by side: {seen}")
            if self.operator.is_suspended(service):
                raise RehearsalFailed(f"{service} doesn't scale after its release")
            self.operator.tap("status")
            step.shown = f"traffic on the new tasks: {' → '.join(map(str, seen))} %"

    def release_though_the_command_dies(self, service: Service) -> None:
        """The deployment goes on without it, and whoever lets the service scale again is the environment's own function."""
        with self.report.step(f"release {service}; the command is killed in the middle") as step:
            before = self.operator.service(service)
            with self.operator.running("release", service, "--image", self._good[1], "--build") as command:
                self.operator.until(
                    lambda: command.poll() is not None or self.operator.is_suspended(service), f"auto scaling of {service} is suspended"
                )
                if command.poll() is not None:
                    raise RehearsalFailed(f"tap release {service} ended before it suspended auto scaling")
                command.kill()
            self.operator.until(lambda: self.operator.service(service).active_deployment is None, "the deployment ends without the command")
            after = self.operator.service(service)
            if after.task_definition == before.task_definition or after.serving in (None, before.serving):
                raise RehearsalFailed(f"{service}: {after.task_definition} serves on {after.serving}, as if nothing had been released")
            self.operator.until(lambda: not self.operator.is_suspended(service), f"{service} scales again")
            self.traffic.wait_for(20)
            step.shown = "it went through; the function let the service scale again"

    def go_back(self, service: Service) -> None:
        """Back, when the old tasks are gone already, and forward again."""
        with self.report.step(f"tap rollback of {service}, and forward again") as step:
            released = self.operator.service(service)
            self.operator.tap("rollback", service)
            back = self.operator.service(service)
            if back.task_definition == released.task_definition:
                raise RehearsalFailed("the rollback left the release in service")
            self.traffic.wait_for(20)
            self.operator.tap("release", service, "--image", self._good[1], "--skip-migration", "--end-wait")
            self.traffic.wait_for(20)
            step.shown = "there and back"

    def release_what_is_broken(self) -> None:
        """Tasks that never start."""
        with self.report.step("release an image that doesn't start") as step:
            image = self.operator.stage.releases.broken
            self._must_be_undone(Service.PAYMENT_API, "--image", image, "--build", "--skip-migration", "--end-wait")
            step.shown = "rolled back; payments went on"

    def release_what_pays_badly(self) -> None:
        """Tasks that start well, and do to payments what nobody should see: the hook's payment finds it before any traffic moves."""
        service, releases = Service.TRANSACTION_PROCESSOR, self.operator.stage.releases
        for what, tag in (("declines everything", releases.declining), ("hangs", releases.hanging)):
            with self.report.step(f"release a {service} that {what}") as step:
                idle = next(colour for colour, weight in self.operator.service(service).weights.items() if weight == 0)
                seen: list[int] = []
                with Watching(lambda idle=idle: self.operator.service(service).weights[idle], seen):
                    self._must_be_undone(service, "--image", tag, "--build", "--skip-migration", "--end-wait")
                if seen != [0]:
                    raise RehearsalFailed(f"it had traffic: {seen} %")
                step.shown = "caught by the hook; it had no traffic"

    def alarm_while_traffic_shifts(self, service: Service) -> None:
        """The release's own alarm turns red during the canary."""
        with self.report.step("an alarm while traffic shifts") as step:
            live, cloudwatch = self.operator.service(service), self.operator.aws.cloudwatch
            raised = threading.Event()

            def raise_alarm() -> None:
                self.operator.until(lambda: all(self.operator.service(service).weights.values()), "traffic shifts")
                cloudwatch.set_alarm_state(AlarmName=live.alarms[0], StateValue="ALARM", StateReason="Rehearsal")
                raised.set()

            thread = threading.Thread(target=raise_alarm, daemon=True)
            thread.start()
            try:
                self._must_be_undone(service, "--image", self._good[2], "--build", "--skip-migration", "--end-wait")
            finally:
                thread.join(_WAIT_SECONDS_MAX)
                cloudwatch.set_alarm_state(AlarmName=live.alarms[0], StateValue="OK", StateReason="Rehearsal")
            if not raised.is_set():
                raise RehearsalFailed("traffic never shifted, so that the alarm showed nothing")
            step.shown = "rolled back; payments went on"

    @property
    def _good(self) -> tuple[str, str, str]:
        return self.operator.stage.releases.good

    def _must_be_undone(self, service: Service, *arguments: str) -> None:
        before = self.operator.service(service)
        if self.operator.run("release", service, *arguments) == 0:
            raise RehearsalFailed(f"tap release {service} {' '.join(arguments)} succeeded, and must not")
        self.operator.until(lambda: self.operator.service(service).active_deployment is None, "the rollback ends")
        after = self.operator.service(service)
        if (after.task_definition, after.serving) != (before.task_definition, before.serving):
            raise RehearsalFailed(
                f"{service}: {after.task_definition} on {after.serving} serves, {before.task_definition} on {before.serving} did"
            )
        self.operator.until(lambda: not self.operator.is_suspended(service), f"{service} scales again")
        self.traffic.wait_for(20)
