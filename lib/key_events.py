"""What becomes of the key, the secrets and the certificate, told by EventBridge: no metric of ours shows it, and no alarm could say it.

Its topic isn't encrypted under our key: one that is disabled would keep the message of its own end. So no message has more in it than what happened to what.
"""

from collections.abc import Sequence
from typing import cast

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from lib.acknowledgements import acknowledge

UNUSABLE_KEY_CALLS = ("DisableKey", "ScheduleKeyDeletion")
"""After either nothing can be opened or sealed any more: neither secrets nor the database's storage, its backups, logs, images."""
_SECTION = "What to do: docs/runbook.md#a-message-about-a-secret-or-the-key"


class KeyEvents(Construct):
    """Exposes `topic`. Events come by way of CloudTrail: the account must have a trail that records management events."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment_suffix: str,
        key_arn: str,
        secret_arns: Sequence[str],
        certificate_arn: str | None,
        email: str | None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.topic = sns.Topic(self, "Topic", display_name=f"Tap {environment_suffix} key and secrets", enforce_ssl=True)
        acknowledge(
            self.topic,
            {
                "PCI.DSS.321::PCI.DSS.321-SNSEncryptedKMS": "It tells that the key can't be used, which one encrypted under that key could not."
            },
        )
        if email is not None:
            self.topic.add_subscription(cast("sns.ITopicSubscription", subscriptions.EmailSubscription(email)))
        called = events.EventField.from_path("$.detail.eventName")
        self._rule(
            "RotationFailed",
            "A secret's rotation failed",
            events.EventPattern(
                source=["aws.secretsmanager"],
                detail_type=["AWS Service Event via CloudTrail"],
                detail={
                    "eventSource": ["secretsmanager.amazonaws.com"],
                    "eventName": ["RotationFailed"],
                    "additionalEventData": {"SecretId": list(secret_arns)},
                },
            ),
            f"Tap {environment_suffix}: the rotation of {events.EventField.from_path('$.detail.additionalEventData.SecretId')} failed. {_SECTION}",
        )
        self._rule(
            "KeyUnusable",
            "The key was disabled, or is going to be deleted",
            events.EventPattern(
                source=["aws.kms"],
                detail_type=["AWS API Call via CloudTrail"],
                detail={
                    "eventSource": ["kms.amazonaws.com"],
                    "eventName": list(UNUSABLE_KEY_CALLS),
                    "errorCode": [{"exists": False}],
                    "resources": {"ARN": [key_arn]},
                },
            ),
            f"Tap {environment_suffix}: {called} was called for {key_arn}, which can't be used any more. {_SECTION}",
        )

        if certificate_arn is not None:
            self._rule(
                "CertificateEnds",
                "The certificate wasn't renewed",
                # From 45 days before its end, each day; ACM renews what it issued before that, and what was imported never.
                events.EventPattern(
                    source=["aws.acm"], detail_type=["ACM Certificate Approaching Expiration"], resources=[certificate_arn]
                ),
                f"Tap {environment_suffix}: the certificate {certificate_arn} ends in {events.EventField.from_path('$.detail.DaysToExpiry')} days. {_SECTION}",
            )

    def _rule(self, construct_id: str, description: str, pattern: events.EventPattern, message: str) -> None:
        # By the topic's policy, without a condition and without a role: EventBridge's documentation has it so, and a message that is refused is never seen.
        topic = targets.SnsTopic(cast("sns.ITopic", self.topic), message=events.RuleTargetInput.from_text(message))
        events.Rule(self, construct_id, description=description, event_pattern=pattern, targets=[cast("events.IRuleTarget", topic)])
