"""Alarms on metric math: kept under their names with their state, reduced to their first metric. SetAlarmState works on them."""

from typing import Any

from rehearsal.emulator import cloudformation, upstream
from rehearsal.emulator.upstream import Record


def install() -> None:
    """Mend the alarm's CloudFormation."""
    original: Any = None

    def record(name: str, properties: Record) -> Record:
        metrics = properties.get("Metrics")
        if not metrics:
            return original(name, properties)
        stat = next(each["MetricStat"] for each in metrics if "MetricStat" in each)
        reduced = {
            **{key: value for key, value in properties.items() if key != "Metrics"},
            "MetricName": stat["Metric"]["MetricName"],
            "Namespace": stat["Metric"]["Namespace"],
            "Dimensions": stat["Metric"].get("Dimensions", []),
            "Period": stat["Period"],
            "Statistic": stat["Stat"] if not str(stat["Stat"]).startswith("p") else "Average",
        }
        return original(name, reduced)

    original = upstream.replace(cloudformation.provisioners(), "_cw_metric_alarm_record", record)


def firing(names: list[str]) -> list[str]:
    """Return which of these alarms are in state ALARM."""
    alarms: Any = upstream.module("services.cloudwatch")._alarms
    return [name for name in names if alarms.get(name, {}).get("StateValue") == "ALARM"]
